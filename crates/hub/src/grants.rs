//! Grants that many have: equal claims share one, and so does what an application grants alike.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use crate::grant::Grant;
use crate::limits::{GRANT_SELECTORS_MAX, GRANTS_ROOM, TEMPLATES_MAX};
use crate::selector::{Selector, Selectors};
use crate::token::TokenError;
use crate::token::claims::ClaimedSelectors;

/// Grants by the claims that they come from. A crowd with one grant costs one, and its URI Templates are compiled once.
#[derive(Debug, Default)]
pub(crate) struct Grants(Mutex<Held<ClaimedSelectors, Arc<Grant>>>);

impl Grants {
    /// The grant of these claims.
    pub(crate) fn of(&self, claims: ClaimedSelectors) -> Result<Arc<Grant>, TokenError> {
        let held = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grant) = held().grants.get(&claims) {
            return Ok(grant.clone());
        }
        // Without the lock, because compiling may take a millisecond.
        let grant = Arc::new(Grant::new(selectors(&claims.publish)?, selectors(&claims.subscribe)?));
        let mut held = held();
        held.make_room(|_, grant| Arc::strong_count(grant) > 1);
        Ok(held.grants.entry(claims).or_insert(grant).clone())
    }
}

/// Grants that come from the application, each once.
#[derive(Debug, Default)]
pub(crate) struct EqualGrants(Mutex<Held<Arc<Grant>, ()>>);

impl EqualGrants {
    /// The one that everybody has who has an equal one.
    pub(crate) fn one_for(&self, grant: Arc<Grant>) -> Arc<Grant> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((one, ())) = held.grants.get_key_value(&grant) {
            return one.clone();
        }
        held.make_room(|grant, ()| Arc::strong_count(grant) > 1);
        held.grants.insert(grant.clone(), ());
        grant
    }
}

/// Grants that are remembered. When there are as many as there is room for, those that nobody holds are dropped.
#[derive(Debug)]
struct Held<K, V> {
    grants: HashMap<K, V>,
    room: usize,
}

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Self { grants: HashMap::new(), room: GRANTS_ROOM }
    }
}

impl<K: Eq + Hash, V> Held<K, V> {
    fn make_room(&mut self, is_held: impl Fn(&K, &V) -> bool) {
        if self.grants.len() >= self.room {
            self.grants.retain(|key, value| is_held(key, value));
            // Looking through costs no more than what was put in since.
            self.room = (self.grants.len() * 2).max(GRANTS_ROOM);
        }
    }
}

fn selectors(texts: &[String]) -> Result<Selectors, TokenError> {
    if texts.len() > GRANT_SELECTORS_MAX {
        return Err(TokenError::Selectors);
    }
    // Counted before they are compiled.
    if texts.iter().filter(|text| text.contains('{')).count() > TEMPLATES_MAX {
        return Err(TokenError::Selectors);
    }
    texts.iter().map(|text| Selector::parse(text).map_err(TokenError::Selector)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(subscribe: &[&str]) -> ClaimedSelectors {
        let subscribe = subscribe.iter().map(|text| (*text).to_owned()).collect();
        ClaimedSelectors { publish: Vec::new(), subscribe }
    }

    #[test]
    fn equal_claims_share_a_grant() {
        let grants = Grants::default();
        let first = grants.of(claims(&["a", "b/{x}"])).unwrap();
        assert!(Arc::ptr_eq(&first, &grants.of(claims(&["a", "b/{x}"])).unwrap()));
        assert!(!Arc::ptr_eq(&first, &grants.of(claims(&["a"])).unwrap()));
    }

    #[test]
    fn grants_without_a_holder_are_dropped() {
        let grants = Grants::default();
        let held: Vec<_> = (0..10).map(|n| grants.of(claims(&[&format!("held {n}")])).unwrap()).collect();
        for n in 0..GRANTS_ROOM * 3 {
            grants.of(claims(&[&n.to_string()])).unwrap();
        }
        assert!(grants.0.lock().unwrap().grants.len() <= GRANTS_ROOM);
        for (n, grant) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(grant, &grants.of(claims(&[&format!("held {n}")])).unwrap()));
        }
    }

    #[test]
    fn equal_grants_of_an_application_are_one_as_long_as_somebody_holds_it() {
        let grants = EqualGrants::default();
        let grant = |text: String| Arc::new(Grant::default().with_subscribe([text]).unwrap());
        let first = grants.one_for(grant("a".into()));
        assert!(Arc::ptr_eq(&first, &grants.one_for(grant("a".into()))));
        for n in 0..GRANTS_ROOM * 3 {
            grants.one_for(grant(n.to_string()));
        }
        assert!(grants.0.lock().unwrap().grants.len() <= GRANTS_ROOM);
        assert!(Arc::ptr_eq(&first, &grants.one_for(grant("a".into()))));
    }

    #[test]
    fn selectors_are_bounded() {
        let many = |text: &str, count| claims(&vec![text; count]);
        let grants = Grants::default();
        assert!(grants.of(many("a", GRANT_SELECTORS_MAX)).is_ok());
        assert_eq!(grants.of(many("a", GRANT_SELECTORS_MAX + 1)), Err(TokenError::Selectors));
        assert_eq!(grants.of(many("{x}", TEMPLATES_MAX + 1)), Err(TokenError::Selectors));
        for text in ["", "a\nb", "{x:9999}", &"x".repeat(4097)] {
            assert!(matches!(grants.of(claims(&[text])), Err(TokenError::Selector(_))), "{text:?}");
        }
    }
}
