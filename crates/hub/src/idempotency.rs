//! The same publish sent twice is stored once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use crate::grant::Grant;
use crate::limits::{IDEMPOTENCY_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_WINDOW};

/// A name that a publisher gives to one publish, so that it can send it again after a connection broke without having
/// it stored twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    text: Arc<str>,
    holder: Option<Arc<Grant>>,
}

impl IdempotencyKey {
    /// Makes a key of `text`: 1 to 255 bytes of any text.
    ///
    /// # Errors
    ///
    /// [`InvalidIdempotencyKey`] if it is empty or longer.
    pub fn new(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        if text.is_empty() || text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(InvalidIdempotencyKey);
        }
        Ok(Self { text: text.into(), holder: None })
    }

    /// The key of somebody with this grant: the same text of others is another key, or they would be given the ids that
    /// somebody else chose, and their own publish would be dropped.
    pub(crate) fn of_holder(self, grant: &Arc<Grant>) -> Self {
        Self { holder: Some(grant.clone()), ..self }
    }

    /// The key as an engine has it, the same on every node: a hash, because a holder's grant may be long, and one that
    /// nobody can make collide with that of another holder.
    pub(crate) fn for_engine(&self) -> String {
        let mut hashed = vec![u8::from(self.holder.is_some())];
        if let Some(holder) = &self.holder {
            holder.encode(&mut hashed);
        }
        hashed.extend_from_slice(self.text.as_bytes());
        let digest = digest(&SHA256, &hashed);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes")]
pub struct InvalidIdempotencyKey;

/// The answer to a publish: empty until there is one. Its lock is held while the first publish is under way, so that a
/// second one with the same key waits for its answer.
pub(crate) type Answer = Arc<tokio::sync::Mutex<Option<Vec<String>>>>;

/// The answers of the last two minutes.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    answers: HashMap<IdempotencyKey, Answer>,
    /// In the order in which they expire, with the bytes that each was counted with.
    expiry: VecDeque<(Instant, IdempotencyKey, usize)>,
    bytes: usize,
}

impl Answers {
    /// The answer for `key`, empty if it is new. An answer takes `bytes` at most. `None` if there are too many to
    /// remember: a key that is forgotten early would break the promise in silence.
    pub(crate) fn of(&self, key: &IdempotencyKey, bytes: usize, now: Instant) -> Option<Answer> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.forget_expired(now);
        if let Some(answer) = held.answers.get(key) {
            return Some(answer.clone());
        }
        let bytes = key.text.len() + bytes;
        if held.answers.len() >= IDEMPOTENCY_KEYS_MAX || held.bytes + bytes > IDEMPOTENCY_BYTES_MAX {
            return None;
        }
        held.bytes += bytes;
        held.expiry.push_back((now + IDEMPOTENCY_WINDOW, key.clone(), bytes));
        let answer = Answer::default();
        held.answers.insert(key.clone(), answer.clone());
        Some(answer)
    }

    /// How many keys are remembered. Those whose time is up go with the next publish that has one.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.len()
    }
}

impl Held {
    fn forget_expired(&mut self, now: Instant) {
        while let Some((expires, ..)) = self.expiry.front()
            && *expires <= now
            && let Some((_, key, bytes)) = self.expiry.pop_front()
        {
            self.answers.remove(&key);
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::new(text).unwrap()
    }

    #[test]
    fn a_key_is_remembered_for_two_minutes() {
        let (answers, start) = (Answers::default(), Instant::now());
        let first = answers.of(&key("a"), 1, start).unwrap();
        let again = answers.of(&key("a"), 1, start + IDEMPOTENCY_WINDOW / 2).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let later = answers.of(&key("a"), 1, start + IDEMPOTENCY_WINDOW).unwrap();
        assert!(!Arc::ptr_eq(&first, &later));
    }

    #[test]
    fn what_can_not_be_remembered_is_refused_until_there_is_room() {
        let (answers, start) = (Answers::default(), Instant::now());
        for n in 0..IDEMPOTENCY_KEYS_MAX {
            assert!(answers.of(&key(&n.to_string()), 1, start).is_some());
        }
        assert!(answers.of(&key("more"), 1, start).is_none());
        assert!(answers.of(&key("0"), 1, start).is_some());
        assert!(answers.of(&key("more"), 1, start + IDEMPOTENCY_WINDOW).is_some());
        assert_eq!(answers.0.lock().unwrap().answers.len(), 1);
    }

    #[test]
    fn answers_are_bounded_by_their_bytes() {
        let (answers, start) = (Answers::default(), Instant::now());
        let fits = (0..IDEMPOTENCY_KEYS_MAX)
            .take_while(|n| answers.of(&key(&n.to_string()), 1 << 20, start).is_some())
            .count();
        assert_eq!(fits, (IDEMPOTENCY_BYTES_MAX >> 20) - 1);
    }

    #[test]
    fn an_engine_is_given_the_same_key_for_the_same_holder_alone() {
        let grant = |publish: &str, subscribe: &str| {
            let selectors = |text: &str| text.split_whitespace().map(|text| Selector::parse(text).unwrap()).collect();
            Arc::new(Grant::new(selectors(publish), selectors(subscribe)))
        };
        let of = |publish, subscribe, text| key(text).of_holder(&grant(publish, subscribe)).for_engine();
        assert_eq!(of("a b", "c", "x"), of("b a", "c", "x"));
        let others =
            [of("a", "b c", "x"), of("a b", "", "cx"), of("*", "c", "x"), of("a b", "c", "y"), key("x").for_engine()];
        assert!(others.iter().all(|other| *other != of("a b", "c", "x")), "{others:?}");
        // Nodes of several versions must agree.
        assert_eq!(key("x").for_engine(), "3c7e9bc930dc93f01fa69985ef242d9f9e861f3c5355aa24ce5ef4b4b8a70ccb");
    }

    #[test]
    fn a_key_has_a_length() {
        assert_eq!(IdempotencyKey::new(""), Err(InvalidIdempotencyKey));
        assert_eq!(IdempotencyKey::new(&"x".repeat(256)), Err(InvalidIdempotencyKey));
    }
}
