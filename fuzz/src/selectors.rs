//! Topics and what selects them: exact texts, `*`, URI Templates.

use std::fmt::Write as _;

use fanfare_hub::{Topic, Update};

use crate::hub::with_hub;

pub const WORDS: &[&[u8]] = &[
    b"*",
    b"{",
    b"}",
    b"{x}",
    b"{+x}",
    b"{#x}",
    b"{.x}",
    b"{/x}",
    b"{;x}",
    b"{?x}",
    b"{&x}",
    b"{x*}",
    b"{x:3}",
    b"{x:9999}",
    b"{x,y}",
    b"{?x,y*}",
    b"/",
    b"%2F",
    b"%",
    b"a",
    b"a=b",
    b",",
    b"?",
    b"&",
    b"#",
    b".",
    b"..",
    b"\n",
    b"https://example.com/",
];

/// The first line is a topic, each of the rest a selector. Together they select what any of them does alone; a text without
/// braces selects itself and nothing else, and every text itself.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let topic = lines.next().unwrap_or_default();
    let selectors: Vec<&str> = lines.take(8).collect();
    let Ok(valid) = Topic::new(topic) else { return };
    if valid.is_reserved() || topic == LAST || Update::new(valid, "").topics().is_empty() {
        return;
    }
    with_hub(|hub| {
        let before = hub.publish("before", "before");
        hub.publish(topic, "found");
        hub.publish(LAST, LAST);
        let selects = |selectors: &[&str]| {
            let mut query = format!("topic={LAST}");
            for selector in selectors {
                query.push_str("&topic=");
                for byte in selector.bytes() {
                    // Writing to a string can't fail.
                    let _ = write!(query, "%{byte:02X}");
                }
            }
            let events = hub.replay(&query, &before, LAST)?;
            assert!(events.len() <= 1, "{events:?}");
            Some(!events.is_empty())
        };
        let alone: Vec<Option<bool>> = selectors.iter().map(|selector| selects(&[selector])).collect();
        for (selector, found) in selectors.iter().zip(&alone) {
            match *selector {
                "*" => assert_eq!(*found, Some(true)),
                // Too long, too large, or nothing.
                _ if found.is_none() => {}
                selector if selector == topic => assert_eq!(*found, Some(true), "{topic:?} does not select itself"),
                selector if !selector.contains('{') => {
                    assert_eq!(*found, Some(false), "{selector:?} selects {topic:?}")
                }
                _ => {}
            }
        }
        let together = selects(&selectors);
        let expected = alone.into_iter().try_fold(false, |any, one| Some(any | one?));
        assert!(together.is_none() && expected.is_none() || together == expected, "{together:?}, {expected:?}");
    });
}

const LAST: &str = "the-last";
