//! Which content coding a client is sent.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A coding whose streams can be put together from pieces that others get too: gzip's blocks, Zstandard's frames, and Brotli's
/// blocks if they are made for it, stand for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// The first of equals is preferred: Zstandard's compressor is the quickest, and gzip has each subscriber make a checksum.
    pub(crate) const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// What it is called in `Content-Encoding`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The coding that a request with these headers prefers (RFC 9110, section 12.5.3), or `None` for none at all.
    ///
    /// Whoever refuses `identity` too, and accepts none of ours, is sent `identity` all the same, as the RFC allows: an
    /// `EventSource` would give up for good on a 406.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let (mut named, mut identity, mut other) = ([None; Self::ALL.len()], None, None);
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for element in values.flat_map(|value| value.split(',')) {
            let mut parts = element.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            // What is no weight counts as a refusal.
            let weight = parts.next().map_or(Some(WEIGHT_MAX), weight).unwrap_or(0);
            match Self::ALL.iter().position(|coding| coding.is_called(name)) {
                Some(at) => named[at] = Some(weight),
                None if name == "*" => other = Some(weight),
                None if name.eq_ignore_ascii_case("identity") => identity = Some(weight),
                None => {}
            }
        }
        let weights = named.map(|weight| weight.or(other).unwrap_or(0));
        // Of equals `max_by_key` takes the last.
        let (best, coding) = weights.into_iter().zip(Self::ALL).rev().max_by_key(|(weight, _)| *weight)?;
        // What is not named is acceptable, and what is named is preferred to it.
        (best > 0 && best >= identity.unwrap_or(0)).then_some(coding)
    }

    /// Whether a client may call it so.
    fn is_called(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.name()) || self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip")
    }
}

const WEIGHT_MAX: u16 = 1000;

/// `q=0.5`, in thousandths.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let is_well_formed =
        name.trim_end().eq_ignore_ascii_case("q") && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{part:0<3}").parse::<u16>().ok().filter(|_| is_well_formed)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(WEIGHT_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, line.parse().unwrap());
        }
        assert_eq!(Coding::of(&headers).map_or("identity", Coding::name), expected, "{lines:?}");
    }

    #[test]
    fn the_preferred_coding_is_taken() {
        check(&[], "identity");
        check(&[""], "identity");
        check(&["gzip, deflate, br, zstd"], "zstd");
        check(&["gzip, deflate, br"], "br");
        check(&["gzip, deflate"], "gzip");
        check(&["deflate"], "identity");
        check(&["GZip"], "gzip");
        check(&["x-gzip;q=0.1"], "gzip");
        check(&["gzip", "BR"], "br");
        check(&["*"], "zstd");
        check(&["*;q=0.5, zstd;q=0"], "br");
        check(&["*;q=0.5, zstd;q=0, br;q=0.4"], "gzip");
        check(&["*;q=0, gzip"], "gzip");
        check(&["*;q=0"], "identity");
    }

    #[test]
    fn weights_decide() {
        check(&["zstd;q=0.5, gzip;q=0.8"], "gzip");
        check(&["br;q=0.5, gzip;q=0.8"], "gzip");
        check(&["zstd;q=0.5, br;q=0.8, gzip;q=0.8"], "br");
        check(&["zstd;q=0.001,gzip;q=0.0"], "zstd");
        check(&["zstd ; Q=1.000 , gzip"], "zstd");
        check(&["gzip;q=0"], "identity");
        check(&["identity, gzip;q=0.5"], "identity");
        check(&["identity;q=0.5, gzip;q=0.5"], "gzip");
        check(&["identity;q=0.5, *;q=0.1"], "identity");
        check(&["identity;q=0, gzip;q=0.1"], "gzip");
        // Nothing that it accepts is there.
        check(&["identity;q=0, deflate"], "identity");
    }

    #[test]
    fn a_weight_that_is_none_is_a_refusal() {
        for weight in ["q=1.001", "q=2", "q=", "q=.5", "q=0.1234", "q=-1", "q=0.x", "q", "level=9", ""] {
            check(&[&format!("gzip;{weight}")], "identity");
        }
    }
}
