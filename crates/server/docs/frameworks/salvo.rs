use std::convert::Infallible;

use bytes::Bytes;
use fanfare_server::Chunks;
use http::Response;
use http_body::Body;

/// salvo 0.95 hands a handler its response to fill in.
pub fn fill<B>(response: Response<B>, answer: &mut salvo::Response)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (parts, body) = response.into_parts();
    *answer.headers_mut() = parts.headers;
    answer.stream(Chunks::new(body));
}
