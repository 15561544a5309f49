//! Durations and sizes as people write them: `15s`, `1.5h`, `64MiB`.

use std::time::Duration;

/// A number with `ms`, `s`, `m`, `h` or `d`; without a unit, seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let milliseconds = parse(text, "s", &DURATION_UNITS)?;
    Ok(Duration::from_millis(milliseconds))
}

/// A number with `KB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`; without a unit, bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, "B", &SIZE_UNITS)
}

/// In milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60 * 1_000), ("h", 60 * 60 * 1_000), ("d", 24 * 60 * 60 * 1_000)];

/// In bytes.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The number times its unit, in whole smallest units. Integers throughout, so that nothing is rounded but the digits
/// that are too small to count.
fn parse(text: &str, default_unit: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = if unit.is_empty() { default_unit } else { unit.trim_start() };
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("{unit:?} is no unit here: write a number and one of {}", names()));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.contains('.') {
        return Err(format!("{text:?} does not begin with a number: write a number and one of {}", names()));
    }
    let too_large = || format!("{text:?} is too large");
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let part = fraction.bytes().rev().fold(0.0, |sum, digit| (sum + f64::from(digit - b'0')) / 10.0);
    // The part is below one, so that its product with a unit is exact enough and in range.
    let part = (part * *factor as f64) as u64;
    whole.checked_mul(*factor).and_then(|product| product.checked_add(part)).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected_ms) in [
            ("0", Some(0)),
            ("15", Some(15_000)),
            ("15s", Some(15_000)),
            (" 15 s ", Some(15_000)),
            ("250ms", Some(250)),
            ("2m", Some(120_000)),
            ("1.5h", Some(5_400_000)),
            ("0.25", Some(250)),
            ("7d", Some(604_800_000)),
            ("18446744073709551615ms", Some(u64::MAX)),
            ("18446744073709551615", None),
            ("99999999999999999999ms", None),
            ("", None),
            ("s", None),
            (".5s", None),
            ("5.s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1 week", None),
            ("1S", None),
            ("1e3s", None),
        ] {
            assert_eq!(parse_duration(text).ok(), expected_ms.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("1KB", Some(1_000)),
            ("1KiB", Some(1_024)),
            ("1.5 MB", Some(1_500_000)),
            ("64MiB", Some(64 << 20)),
            ("2GB", Some(2_000_000_000)),
            ("2GiB", Some(2 << 30)),
            ("18446744073709551615GiB", None),
            ("1TB", None),
            ("1kb", None),
            ("MB", None),
        ] {
            assert_eq!(parse_size(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn an_error_says_what_to_write() {
        assert_eq!(
            parse_duration("3 weeks").unwrap_err(),
            "\"weeks\" is no unit here: write a number and one of ms, s, m, h, d"
        );
    }
}
