//! How a response of `fanfare-server` is returned from a handler of each framework. The tests run every one of them.

use std::convert::Infallible;

use bytes::Bytes;
use fanfare_server::Chunks;
use futures_util::TryStreamExt;
use http::Response;
use http_body::Body;

/// actix-web has an `http` of its own, of before 1.0: headers are copied as bytes, the body is a stream.
pub fn actix_web<B>(response: Response<B>) -> actix_web::HttpResponse
where
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let (parts, body) = response.into_parts();
    let mut answer = actix_web::HttpResponse::Ok();
    for (name, value) in &parts.headers {
        answer.insert_header((name.as_str(), value.as_bytes()));
    }
    answer.streaming(Chunks::new(body))
}

/// poem takes a stream of bytes.
pub fn poem<B>(response: Response<B>) -> poem::Response
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (parts, body) = response.into_parts();
    let chunks = Chunks::new(body).map_err(|never| match never {});
    let mut answer = poem::Response::builder().body(poem::Body::from_bytes_stream::<_, _, std::io::Error>(chunks));
    *answer.headers_mut() = parts.headers;
    answer
}

/// salvo hands a handler its response to fill in.
pub fn salvo<B>(response: Response<B>, answer: &mut salvo::Response)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let (parts, body) = response.into_parts();
    *answer.headers_mut() = parts.headers;
    answer.stream(Chunks::new(body));
}

/// warp takes a stream that is also `Sync`.
pub fn warp<B>(response: Response<B>) -> impl warp::Reply
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
{
    let (parts, body) = response.into_parts();
    let mut answer = warp::Reply::into_response(warp::reply::stream(Chunks::new(body)));
    *answer.headers_mut() = parts.headers;
    answer
}
