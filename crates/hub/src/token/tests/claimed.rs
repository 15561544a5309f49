//! What a token says, and when it holds.

use super::*;

fn selectors(claims: &Value) -> (Vec<String>, Vec<String>) {
    let found = verify("HS256", &token(claims)).unwrap().selectors;
    (found.publish, found.subscribe)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn both_names_of_the_claim_are_known() {
    let check = |claims: Value, publish: &[&str], subscribe: &[&str]| {
        assert_eq!(selectors(&claims), (texts(publish), texts(subscribe)), "{claims}");
    };
    check(json!({ "mercure": { "publish": ["a"], "subscribe": ["b"] } }), &["a"], &["b"]);
    check(json!({ "https://mercure.rocks/": { "publish": ["a"], "subscribe": ["b"] } }), &["a"], &["b"]);
    check(json!({ "https://mercure.rocks/": { "publish": ["a"] }, "mercure": { "subscribe": ["b"] } }), &["a"], &[]);
    check(json!({ "mercure": { "publish": null, "unknown": 1 }, "iss": ["x"], "aud": "y", "sub": 5 }), &[], &[]);
    check(json!({ "mercure": null }), &[], &[]);
    check(json!({ "mercure": {} }), &[], &[]);
    check(json!({}), &[], &[]);
}

#[test]
fn the_payload_is_kept_as_it_is_written() {
    let payload = |claims: Value| verify("HS256", &token(&claims)).unwrap().payload().map(str::to_owned);
    assert_eq!(
        payload(json!({ "mercure": { "payload": { "user": "é", "n": 1 } } })).as_deref(),
        Some(r#"{"n":1,"user":"é"}"#)
    );
    assert_eq!(payload(json!({ "mercure": { "payload": "text" } })).as_deref(), Some(r#""text""#));
    assert_eq!(payload(json!({ "mercure": { "payload": null } })), None);
    assert_eq!(payload(json!({ "mercure": {} })), None);
}

#[test]
fn times_are_enforced_with_five_seconds_of_leeway() {
    let check_times = |claims: Value, expected| check(&token(&claims), expected);
    check_times(json!({}), Ok(()));
    check_times(json!({ "exp": NOW + 1, "nbf": NOW - 1 }), Ok(()));
    check_times(json!({ "exp": NOW - 4 }), Ok(()));
    check_times(json!({ "exp": NOW - 5 }), Err(TokenError::Expired));
    check_times(json!({ "exp": NOW as f64 - 4.9 }), Ok(()));
    check_times(json!({ "exp": NOW as f64 - 5.1 }), Err(TokenError::Expired));
    check_times(json!({ "exp": 0 }), Err(TokenError::Expired));
    check_times(json!({ "exp": -1 }), Err(TokenError::Expired));
    check_times(json!({ "exp": u64::MAX }), Ok(()));
    check_times(json!({ "exp": 1e300 }), Ok(()));
    check_times(json!({ "exp": null, "nbf": null }), Ok(()));
    check_times(json!({ "nbf": NOW + 5 }), Ok(()));
    check_times(json!({ "nbf": NOW + 6 }), Err(TokenError::NotYetValid));
    check_times(json!({ "nbf": 1e300 }), Err(TokenError::NotYetValid));
}

#[test]
fn claims_of_another_form_are_refused() {
    for claims in [
        json!({ "mercure": "a" }),
        json!({ "mercure": ["a"] }),
        json!({ "mercure": { "publish": "a" } }),
        json!({ "mercure": { "publish": { "a": 1 } } }),
        json!({ "mercure": { "subscribe": [1] } }),
        json!({ "mercure": { "subscribe": ["a", null] } }),
        json!({ "mercure": {}, "https://mercure.rocks/": 1 }),
        json!({ "exp": "1" }),
        json!({ "exp": true }),
        json!({ "exp": [NOW + 60] }),
        json!({ "nbf": {} }),
        json!([]),
        json!("claims"),
        json!(null),
    ] {
        check(&token(&claims), Err(TokenError::Claims));
    }
}

/// Two readers of such a token could each believe another one of them.
#[test]
fn a_claim_that_stands_there_twice_is_refused() {
    for claims in [
        r#"{"exp":1,"exp":9999999999}"#,
        r#"{"mercure":{},"mercure":{"publish":["*"]}}"#,
        r#"{"mercure":{"publish":[],"publish":["*"]}}"#,
        r#"{"mercure":{},"mercur\u0065":{"publish":["*"]}}"#,
        r#"{"exp":NaN}"#,
        r#"{"exp":1e999}"#,
        "{",
        "",
        "\u{feff}{}",
        "{}{}",
    ] {
        check(&written(HS256_HEADER, claims), Err(TokenError::Claims));
    }
    check(&written(HS256_HEADER, r#" {"mercure" : {} } "#), Ok(()));
}
