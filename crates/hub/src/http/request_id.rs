//! The name of a request: in its answer, in the log, in a problem document.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::limits::REQUEST_ID_BYTES_MAX;

/// The header that carries it, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A short name of letters, digits, `-`, `_` and `.`, which can be written anywhere as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The name that a request brings, if it is one. Whoever asks may choose it: a proxy in front names requests so, and it
    /// serves to find lines and for nothing else. Who chooses badly confuses lines about requests of its own.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(REQUEST_ID)?;
        let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_one = (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(is_safe);
        is_one.then(|| Self(value.clone()))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Makes names for requests that bring none.
#[derive(Debug)]
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A name that this has not given before, and that nobody else has but by a chance of one in many billions: sixteen
    /// hexadecimal digits.
    pub(crate) fn fresh(&self) -> RequestId {
        let mut number = self.0.fetch_add(1, Ordering::Relaxed);
        // A bijection (the end of SplitMix64), so that numbers in a row look nothing alike.
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^= number >> 31;
        let digits =
            std::array::from_fn::<u8, 16, _>(|at| b"0123456789abcdef"[(number >> (60 - 4 * at)) as usize & 15]);
        // Digits are a header's value.
        RequestId(HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("0")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_over_if_it_can_be_written_anywhere() {
        let check = |value: &[u8], expected: bool| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(value).unwrap())]);
            assert_eq!(
                RequestId::of(&headers).is_some_and(|id| id.as_str().as_bytes() == value),
                expected,
                "{value:?}"
            );
        };
        check(b"7", true);
        check(b"0190b6a2-7e1c-7d0e-8b43-6d0a1f2e3c4d", true);
        check(b"A.b_c", true);
        check(&[b'x'; REQUEST_ID_BYTES_MAX], true);
        check(&[b'x'; REQUEST_ID_BYTES_MAX + 1], false);
        for value in [&b""[..], b"a b", b"a\tb", b"a\"b", b"a=b", b"{}", b"\xff", "\u{202e}".as_bytes()] {
            check(value, false);
        }
        assert_eq!(RequestId::of(&HeaderMap::new()), None);
    }

    #[test]
    fn names_differ() {
        let ids = RequestIds::new(7);
        let mut names: Vec<String> = (0..1000).map(|_| ids.fresh().as_str().to_owned()).collect();
        assert!(names.iter().all(|name| name.len() == 16));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 1000);
    }
}
