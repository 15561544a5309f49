use std::convert::Infallible;

use bytes::Bytes;
use fanfare_server::Chunks;
use http::Response;
use http_body::Body;

/// warp 0.4 takes a stream that is also `Sync`.
pub fn answer<B>(response: Response<B>) -> impl warp::Reply
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
{
    let (parts, body) = response.into_parts();
    let mut answer = warp::Reply::into_response(warp::reply::stream(Chunks::new(body)));
    *answer.headers_mut() = parts.headers;
    answer
}
