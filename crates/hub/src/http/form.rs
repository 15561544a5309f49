//! `application/x-www-form-urlencoded`: queries and the bodies of Mercure's publishers.

use percent_encoding::percent_decode_str;

use crate::http::Problem;
use crate::limits::FORM_PAIRS_MAX;

/// The pairs of a form, decoded. Text that is not UTF-8 is refused, not replaced: a topic with U+FFFD in it would be
/// another topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        if text.split('&').nth(FORM_PAIRS_MAX).is_some() {
            return Err(Problem::bad_request(format!("more than {FORM_PAIRS_MAX} parameters")));
        }
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The values of `name`, in order.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name`. Empty is as absent. Twice is refused: two readers could each take another one.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(Problem::bad_request(format!("`{name}` is given twice"))),
            (value, _) => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// Whether `name` is there, with any value or none.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The first name that is not among `known`.
    pub(crate) fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !known.contains(name))
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Into::into).map_err(|_| Problem::bad_request("a parameter is not UTF-8 once it is percent-decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        Form::parse(text).unwrap().0
    }

    #[test]
    fn pairs_are_decoded() {
        let expected =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        assert_eq!(
            pairs("a=1&b=x+y%20z&&c&d==&a=%C3%A9"),
            expected(&[("a", "1"), ("b", "x y z"), ("c", ""), ("d", "="), ("a", "é")])
        );
        assert_eq!(pairs(""), []);
        assert_eq!(pairs("a=%zz%"), expected(&[("a", "%zz%")]));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert!(Form::parse("a=%FF").is_err());
        assert!(Form::parse("%C3=a").is_err());
    }

    #[test]
    fn pairs_are_bounded() {
        assert!(Form::parse(&"a&".repeat(FORM_PAIRS_MAX - 1)).is_ok());
        assert!(Form::parse(&"a&".repeat(FORM_PAIRS_MAX)).is_err());
    }

    #[test]
    fn one_value_is_one() {
        let form = Form::parse("a=1&b=&c=1&c=2&d").unwrap();
        assert_eq!(form.one("a"), Ok(Some("1")));
        assert_eq!(form.one("b"), Ok(None));
        assert_eq!(form.one("x"), Ok(None));
        assert!(form.one("c").is_err());
        assert!(form.has("d"));
        assert_eq!(form.unknown(&["a", "b", "c"]), Some("d"));
    }
}
