//! A hub without sockets, which answers the requests of the targets.

use std::time::Duration;

use axum::body::Body;
use fanfare_hub::{Hub, Topic, Update};
use fanfare_log::Retention;
use fanfare_wire::{Decoded, Decoder};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Longer than any answer takes: an input that hangs is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestHub {
    hub: Hub,
    runtime: Runtime,
}

thread_local! {
    static HUB: TestHub = TestHub::new();
}

/// Does something with the hub of this thread.
pub(crate) fn with_hub<T>(then: impl FnOnce(&TestHub) -> T) -> T {
    HUB.with(then)
}

impl TestHub {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let retention = Retention { count: Some(8192), ..Retention::default() };
        let hub = runtime.block_on(Hub::builder().memory(retention).seed(7).build()).expect("a hub in memory");
        Self { hub, runtime }
    }

    /// Answers `request` as the hub's server would.
    pub(crate) fn answer(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.response(request);
        let status = response.status();
        let body = self.runtime.block_on(response.into_body().collect()).expect("answers come whole").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("answers are text"))
    }

    fn response(&self, request: Request<Body>) -> Response<Body> {
        let answered = async { tokio::time::timeout(PATIENCE, self.hub.router().oneshot(request)).await };
        let Ok(response) = self.runtime.block_on(answered).expect("it is answered in time");
        response
    }

    pub(crate) fn publish(&self, topic: &str, data: &str) -> String {
        let update = Update::new(Topic::new(topic).expect("a topic that can be"), data);
        self.runtime.block_on(self.hub.publish(update)).expect("memory has room")
    }

    /// The data of the events that a subscriber with this query gets after the event `since`, up to the one whose data is
    /// `last`; `None` if it is refused.
    pub(crate) fn replay(&self, query: &str, since: &str, last: &str) -> Option<Vec<String>> {
        let request = Request::get(format!("/events?{query}")).header("last-event-id", since);
        let response = self.response(request.body(Body::empty()).ok()?);
        if response.status() != StatusCode::OK {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
            return None;
        }
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        let read = async {
            loop {
                let events = data(&bytes);
                if let Some(end) = events.iter().position(|data| data == last) {
                    return events[..end].to_vec();
                }
                let frame = body.frame().await.expect("the stream goes on").expect("and is sound");
                bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
        };
        Some(self.runtime.block_on(async { tokio::time::timeout(PATIENCE, read).await.expect("the last event comes") }))
    }
}

/// The data of each event. A type may look like anything else that a stream says.
fn data(mut stream: &[u8]) -> Vec<String> {
    let (mut decoder, mut found) = (Decoder::new(), Vec::new());
    while let Some(decoded) = decoder.decode(&mut stream) {
        if let Decoded::Event(event) = decoded {
            found.push(event.data.to_owned());
        }
    }
    found
}
