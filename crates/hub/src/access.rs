//! What an application says of one who asks: a grant, for how long, and what others are told.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare_log::Timestamp;
use serde_json::value::RawValue;

use crate::grant::Grant;
use crate::revocation::Revocation;

/// What one who asks may do: a [`Grant`], which may be that of many, and what is its own.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_hub::{Access, Grant, Revocation, Topic};
///
/// let session = Revocation::new(); // the application keeps it where it keeps its session
/// let grant = Grant::default().with_subscribe([Topic::new("users/ada")?])?;
/// let access = Access::from(grant).expires_in(Duration::from_secs(3600)).until(&session);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "access counts when it is returned to the hub"]
pub struct Access {
    pub(crate) grant: Arc<Grant>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) revocation: Option<Revocation>,
    pub(crate) payload: Option<Arc<RawValue>>,
    pub(crate) is_for_any_page: bool,
}

/// When access ends by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expiry {
    In(Duration),
    At(Timestamp),
}

impl Access {
    /// Has it end after `left`, counted from when the request is answered. A stream ends by itself before that, in the
    /// last tenth or half a minute, so that those who came together do not come back together; one can't begin with
    /// less than two seconds left.
    pub fn expires_in(self, left: Duration) -> Self {
        Self { expiry: Some(Expiry::In(left)), ..self }
    }

    /// Has it end at `time`, as [`expires_in`](Self::expires_in) does.
    pub fn expires_at(self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Self { expiry: Some(Expiry::At(time)), ..self }
    }

    /// Has it end when `revocation` is revoked, and streams with it at once.
    pub fn until(self, revocation: &Revocation) -> Self {
        Self { revocation: Some(revocation.clone()), ..self }
    }

    /// What others are told of the subscriber in subscription events and lists, if the hub keeps them
    /// ([`Settings::subscriptions`](crate::Settings::subscriptions)): a name, say. Whoever may subscribe to those reads
    /// it. With more than 16 KiB other hubs of a cluster do not list the subscriber, and say that their list is not whole.
    pub fn with_payload(self, payload: &serde_json::Value) -> Self {
        Self { payload: RawValue::from_string(payload.to_string()).ok().map(Arc::from), ..self }
    }

    /// Lets a page of any origin publish with it. For applications whose requests carry a secret that no browser sends
    /// by itself, such as an `Authorization: Bearer` header. With cookies it would let every page on the web publish in
    /// its visitor's name.
    pub fn from_any_page(self) -> Self {
        Self { is_for_any_page: true, ..self }
    }
}

impl From<Grant> for Access {
    fn from(grant: Grant) -> Self {
        Arc::new(grant).into()
    }
}

/// For grants that the application holds and gives to many.
impl From<Arc<Grant>> for Access {
    fn from(grant: Arc<Grant>) -> Self {
        Self { grant, expiry: None, revocation: None, payload: None, is_for_any_page: false }
    }
}
