//! How long a server asks its clients to stay away.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};

use crate::limits::{RETRY_AFTER_MAX, WAIT_MIN};

/// The wait that `Retry-After` asks for, within 100 ms and an hour; `None` if it is absent or says nothing.
///
/// A date is counted from the answer's own `Date`, so that neither a clock is needed here nor a right one there.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?;
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let from = httpdate::parse_http_date(text(headers, &DATE)?).ok()?;
        until.duration_since(from).unwrap_or_default()
    };
    Some(wait.clamp(WAIT_MIN, RETRY_AFTER_MAX))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_clamped() {
        let noon = Some("Fri, 20 Nov 2026 12:00:00 GMT");
        for (retry_after_value, date, expected_ms) in [
            (Some("7"), None, Some(7_000)),
            (Some("0"), None, Some(100)),
            (Some("3601"), None, Some(3_600_000)),
            (Some("99999999999999999999999999"), None, Some(3_600_000)),
            (Some("Fri, 20 Nov 2026 12:00:05 GMT"), noon, Some(5_000)),
            (Some("Fri, 20 Nov 2026 11:00:00 GMT"), noon, Some(100)),
            (Some("Sun, 22 Nov 2026 12:00:00 GMT"), noon, Some(3_600_000)),
            (Some("Fri, 20 Nov 2026 12:00:05 GMT"), None, None),
            (Some("soon"), noon, None),
            (Some("-1"), noon, None),
            (Some("1.5"), noon, None),
            (Some(""), noon, None),
            (None, noon, None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(RETRY_AFTER, retry_after_value), (DATE, date)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let expected = expected_ms.map(Duration::from_millis);
            assert_eq!(retry_after(&headers), expected, "{retry_after_value:?}, {date:?}");
        }
    }
}
