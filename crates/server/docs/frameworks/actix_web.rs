use std::convert::Infallible;

use bytes::Bytes;
use fanfare_server::Chunks;
use http::Response;
use http_body::Body;

/// actix-web 4 has an `http` of its own, of before 1.0: headers are copied as bytes, the body is a stream.
pub fn answer<B>(response: Response<B>) -> actix_web::HttpResponse
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
