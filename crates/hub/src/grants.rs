//! The grants of tokens: equal claims share one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::grant::Grant;
use crate::limits::{GRANTS_ROOM, TEMPLATES_MAX, TOKEN_SELECTORS_MAX};
use crate::selector::{Selector, Selectors};
use crate::token::TokenError;
use crate::token::claims::ClaimedSelectors;

/// Grants by the claims that they come from. A crowd with one grant costs one, and its URI Templates are compiled once.
#[derive(Debug)]
pub(crate) struct Grants(Mutex<Held>);

#[derive(Debug)]
struct Held {
    grants: HashMap<ClaimedSelectors, Arc<Grant>>,
    /// When there are so many, those that nobody holds are dropped.
    room: usize,
}

impl Default for Grants {
    fn default() -> Self {
        Self(Mutex::new(Held { grants: HashMap::new(), room: GRANTS_ROOM }))
    }
}

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
        if held.grants.len() >= held.room {
            held.grants.retain(|_, grant| Arc::strong_count(grant) > 1);
            // Looking through costs no more than what was put in since.
            held.room = (held.grants.len() * 2).max(GRANTS_ROOM);
        }
        Ok(held.grants.entry(claims).or_insert(grant).clone())
    }
}

fn selectors(texts: &[String]) -> Result<Selectors, TokenError> {
    if texts.len() > TOKEN_SELECTORS_MAX {
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
    fn selectors_are_bounded() {
        let many = |text: &str, count| claims(&vec![text; count]);
        let grants = Grants::default();
        assert!(grants.of(many("a", TOKEN_SELECTORS_MAX)).is_ok());
        assert_eq!(grants.of(many("a", TOKEN_SELECTORS_MAX + 1)), Err(TokenError::Selectors));
        assert_eq!(grants.of(many("{x}", TEMPLATES_MAX + 1)), Err(TokenError::Selectors));
        for text in ["", "a\nb", "{x:9999}", &"x".repeat(4097)] {
            assert!(matches!(grants.of(claims(&[text])), Err(TokenError::Selector(_))), "{text:?}");
        }
    }
}
