//! What a request says of the subscriber who sent it.

use http::HeaderMap;

use crate::{LastEventId, LastEventIdNotUtf8};

/// A subscriber's request: where it wants to go on and, behind a `Listener` (feature `listener`), its connection.
///
/// With the feature `axum` it is an extractor, whose rejection is a 400. Elsewhere it is made of the request's headers:
///
/// ```
/// use fanfare_server::{Channel, Event, Subscriber};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let channel = Channel::new();
/// let first = channel.publish("news", Event::data("a"))?;
/// let request = http::Request::get("/events").header("Last-Event-ID", first.as_str()).body(())?;
///
/// let subscriber = Subscriber::from_headers(request.headers())?;
/// assert_eq!(subscriber.last_event_id().0, Some(first));
/// let response = channel.subscribe(["news"]).to(subscriber).response();
/// # assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Subscriber {
    pub(crate) last_event_id: LastEventId,
    #[cfg(feature = "listener")]
    pub(crate) connection: Option<crate::Connection>,
}

impl Subscriber {
    /// Reads it from a request's headers.
    ///
    /// # Errors
    ///
    /// As those of [`LastEventId::from_headers`].
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, LastEventIdNotUtf8> {
        Ok(LastEventId::from_headers(headers)?.into())
    }

    /// Where it wants to go on.
    #[must_use]
    pub fn last_event_id(&self) -> &LastEventId {
        &self.last_event_id
    }
}

impl From<LastEventId> for Subscriber {
    fn from(last_event_id: LastEventId) -> Self {
        Self {
            last_event_id,
            #[cfg(feature = "listener")]
            connection: None,
        }
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for Subscriber {
    type Rejection = LastEventIdNotUtf8;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, LastEventIdNotUtf8> {
        #[cfg_attr(not(feature = "listener"), expect(unused_mut, reason = "nobody else has connections"))]
        let mut subscriber = Self::from_headers(&parts.headers)?;
        #[cfg(feature = "listener")]
        {
            subscriber.connection = crate::Connection::of(parts);
        }
        Ok(subscriber)
    }
}
