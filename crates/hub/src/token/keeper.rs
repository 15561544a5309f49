//! Keeps an issuer's keys fresh: fetches them, follows their rotation, and is not made to fetch by strangers.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fanfare_log::Timestamp;
use jsonwebtoken::Header;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::limits::{
    KEY_FETCH_INTERVAL, KEY_FETCH_TIMEOUT, KEY_REFRESH_INTERVAL, KEY_RETRY_MAX, KEY_RETRY_MIN, KEY_SET_BYTES_MAX,
    STALE_KEYS_MAX,
};
use crate::token::claims::Claims;
use crate::token::key_set::PublishedKeys;
use crate::token::{Algorithm, TokenError};

/// Where an issuer's keys come from: an HTTP client, a file.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// Fetches the JSON Web Key Set, of at most `bytes_max` bytes. Given up on after some seconds.
    fn fetch(&self, bytes_max: usize) -> Fetching<'_>;
}

/// What [`KeySource::fetch`] returns.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>>;

/// Why keys could not be fetched, in words for an operator.
pub type FetchError = Box<dyn Error + Send + Sync>;

/// The keys of one source.
#[derive(Debug, Clone)]
pub(super) struct KeySet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Box<dyn KeySource>,
    algorithm: Option<Algorithm>,
    state: watch::Sender<State>,
    /// Somebody came with an unknown key. It holds one wish: more of them ask for nothing more.
    wishes: mpsc::Sender<()>,
    /// The other end, until somebody listens.
    listener: Mutex<Option<mpsc::Receiver<()>>>,
}

/// What is known now. It is looked at from threads without a clock, so it says what the clock does.
#[derive(Debug, Clone, Default)]
struct State {
    keys: Option<Arc<PublishedKeys>>,
    /// Fetches that have ended.
    fetches: u64,
    has_failed: bool,
    /// A fetch has just been made: nobody can have another one for a while.
    is_resting: bool,
}

impl KeySet {
    pub(super) fn new(source: Box<dyn KeySource>, algorithm: Option<Algorithm>) -> Self {
        let (wishes, listener) = mpsc::channel(1);
        let listener = Mutex::new(Some(listener));
        let state = watch::Sender::new(State::default());
        Self(Arc::new(Shared { source, algorithm, state, wishes, listener }))
    }

    /// Starts the task that fetches, once.
    pub(super) fn keep_fresh(&self) {
        let listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(wishes) = listener {
            tokio::spawn(keep(Arc::downgrade(&self.0), wishes));
        }
    }

    pub(super) async fn verify(&self, token: &str, header: &Header, now: Timestamp) -> Result<Claims, TokenError> {
        let verify = |state: &State| state.keys.as_ref().and_then(|keys| keys.verify(token, header, now));
        let mut updates = self.0.state.subscribe();
        let state = updates.borrow_and_update().clone();
        if let Some(checked) = verify(&state) {
            return checked;
        }
        if !state.is_resting {
            // Full means that the wish is known.
            let _ = self.0.wishes.try_send(());
            // The sender is held by this set.
            let _ = updates.wait_for(|next| next.fetches > state.fetches).await;
        }
        let state = updates.borrow().clone();
        match verify(&state) {
            Some(checked) => checked,
            None if state.has_failed => Err(TokenError::KeysUnavailable),
            None => Err(TokenError::Signature),
        }
    }
}

/// Fetches at once, then now and then, and when somebody wishes for it, but not more often than once in
/// [`KEY_FETCH_INTERVAL`]: tokens with made-up keys cost the issuer nothing more.
async fn keep(shared: Weak<Shared>, mut wishes: mpsc::Receiver<()>) {
    let mut fetched_at = Instant::now();
    let mut retry = KEY_RETRY_MIN;
    loop {
        let Some(next) = fetch(&shared).await else { return };
        let now = Instant::now();
        let wait = match next {
            Ok(()) => {
                (fetched_at, retry) = (now, KEY_RETRY_MIN);
                KEY_REFRESH_INTERVAL
            }
            Err(()) => {
                if now - fetched_at >= STALE_KEYS_MAX && !forget(&shared) {
                    return;
                }
                let wait = retry;
                retry = (retry * 2).min(KEY_RETRY_MAX);
                wait
            }
        };
        if !rest(&shared, &mut wishes, now, wait).await {
            return;
        }
    }
}

/// `None` if nobody needs the keys any more.
async fn fetch(shared: &Weak<Shared>) -> Option<Result<(), ()>> {
    let shared = shared.upgrade()?;
    let fetched = timeout(KEY_FETCH_TIMEOUT, shared.source.fetch(KEY_SET_BYTES_MAX)).await;
    let fetched = fetched.unwrap_or_else(|_| Err("there was no answer in time".into()));
    let keys = fetched.and_then(|text| Ok(PublishedKeys::parse(&text, shared.algorithm)?));
    let result = match &keys {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, source = ?shared.source, "the keys that tokens are checked with can't be fetched");
            Err(())
        }
    };
    shared.state.send_modify(|state| {
        state.fetches += 1;
        state.is_resting = true;
        state.has_failed = keys.is_err();
        if let Ok(keys) = keys {
            state.keys = Some(Arc::new(keys));
        }
    });
    Some(result)
}

/// Waits for the next fetch: when `wait` is over, or sooner if somebody wishes for it and the last one is long enough
/// ago. Returns whether anybody needs the keys.
async fn rest(shared: &Weak<Shared>, wishes: &mut mpsc::Receiver<()>, now: Instant, wait: Duration) -> bool {
    let due = now + wait;
    sleep(wait.min(KEY_FETCH_INTERVAL)).await;
    if wait > KEY_FETCH_INTERVAL {
        // Whoever wished before the last fetch ended has had its answer.
        while wishes.try_recv().is_ok() {}
        let Some(awake) = shared.upgrade() else { return false };
        awake.state.send_modify(|state| state.is_resting = false);
        drop(awake);
        tokio::select! {
            () = sleep_until(due) => {}
            wish = wishes.recv() => return wish.is_some(),
        }
    }
    true
}

/// The issuer has been away for so long that its keys may have been withdrawn.
fn forget(shared: &Weak<Shared>) -> bool {
    let Some(shared) = shared.upgrade() else { return false };
    shared.state.send_modify(|state| state.keys = None);
    true
}
