use std::convert::Infallible;

use bytes::Bytes;
use fanfare_server::Chunks;
use futures_util::TryStreamExt;
use http::Response;
use http_body::Body;

/// poem 3 takes a stream of bytes.
pub fn answer<B>(response: Response<B>) -> poem::Response
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (parts, body) = response.into_parts();
    let chunks = Chunks::new(body).map_err(|never| match never {});
    let mut answer = poem::Response::builder().body(poem::Body::from_bytes_stream::<_, _, std::io::Error>(chunks));
    *answer.headers_mut() = parts.headers;
    answer
}
