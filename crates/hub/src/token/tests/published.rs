//! Keys that an issuer publishes: which are used, how they change, and how often they are fetched.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use tokio::time::{advance, sleep};

use super::*;
use crate::limits::{KEY_FETCH_INTERVAL, KEY_FETCH_TIMEOUT, KEY_REFRESH_INTERVAL, KEY_SET_BYTES_MAX, STALE_KEYS_MAX};
use crate::token::key_set::{InvalidKeySet, PublishedKeys};
use crate::token::{Fetching, KeySource};

/// An issuer, and how often it was asked.
#[derive(Debug, Clone, Default)]
struct Issuer(Arc<Published>);

#[derive(Debug, Default)]
struct Published {
    /// `None` while it is away.
    text: Mutex<Option<String>>,
    fetches: AtomicUsize,
    hangs: std::sync::atomic::AtomicBool,
}

impl Issuer {
    fn publishes(&self, keys: &[Value]) {
        *self.0.text.lock().unwrap() = Some(set(keys));
    }

    fn is_away(&self) {
        *self.0.text.lock().unwrap() = None;
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::Relaxed)
    }
}

impl KeySource for Issuer {
    fn fetch(&self, _: usize) -> Fetching<'_> {
        self.0.fetches.fetch_add(1, Ordering::Relaxed);
        let text = self.0.text.lock().unwrap().clone();
        Box::pin(async move {
            if self.0.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            text.map(String::into_bytes).ok_or_else(|| "nobody is there".into())
        })
    }
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// The public half of a key of this algorithm, as an issuer publishes it.
fn jwk(name: &str, id: &str) -> Value {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let mut jwk = if name == "EdDSA" {
        // The library knows no way from such a key to its public half.
        let key = verifying_key(name);
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": name, "x": base64(key.key().try_get_as_bytes().unwrap()) })
    } else {
        serde_json::to_value(Jwk::from_encoding_key(&signing_key(name), algorithm(name).0).unwrap()).unwrap()
    };
    jwk["kid"] = id.into();
    jwk
}

fn with(mut jwk: Value, member: &str, value: Value) -> Value {
    jwk[member] = value;
    jwk
}

fn without(mut jwk: Value, member: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(member);
    jwk
}

fn signed_by(name: &str, id: Option<&str>) -> String {
    let header = Header { kid: id.map(str::to_owned), ..header(name) };
    signed(&header, &claims())
}

/// Whether a token that was signed with `name` passes for such a set.
fn is_believed(keys: &[Value], allowed: Option<&str>, name: &str, id: Option<&str>) -> bool {
    let Ok(keys) = PublishedKeys::parse(set(keys).as_bytes(), allowed.map(algorithm)) else { return false };
    let token = signed_by(name, id);
    let header = jsonwebtoken::decode_header(&token).unwrap();
    matches!(keys.verify(&token, &header, Timestamp(NOW * 1000)), Some(Ok(_)))
}

#[test]
fn every_asymmetric_algorithm_may_be_published() {
    for name in ALGORITHMS.into_iter().filter(|name| !name.starts_with('H')) {
        assert!(is_believed(&[jwk(name, "1")], None, name, Some("1")), "{name}");
        assert!(is_believed(&[jwk(name, "1")], Some(name), name, Some("1")), "{name}");
        assert!(is_believed(&[jwk("ES384", "other"), jwk(name, "1")], None, name, None), "{name}");
        assert!(!is_believed(&[jwk(name, "2")], None, name, Some("1")), "{name}");
        for other in ["RS256", "ES256", "EdDSA"].into_iter().filter(|other| *other != name) {
            assert!(!is_believed(&[jwk(name, "1")], Some(other), name, Some("1")), "{name} where {other} is set");
        }
    }
}

#[test]
fn a_key_is_used_only_for_what_it_is_for() {
    let check = |jwk: Value, name, expected| {
        assert_eq!(is_believed(std::slice::from_ref(&jwk), None, name, Some("1")), expected, "{jwk}")
    };
    check(with(jwk("ES256", "1"), "use", json!("sig")), "ES256", true);
    check(with(jwk("ES256", "1"), "use", json!("enc")), "ES256", false);
    check(with(jwk("ES256", "1"), "use", json!(5)), "ES256", false);
    check(with(jwk("ES256", "1"), "key_ops", json!(["verify", "sign"])), "ES256", true);
    check(with(jwk("ES256", "1"), "key_ops", json!(["encrypt"])), "ES256", false);
    check(with(jwk("ES256", "1"), "key_ops", json!([])), "ES256", false);
    // The algorithm of a key is its own, or the usual one of its kind; never one that the token asks for.
    check(without(jwk("RS256", "1"), "alg"), "RS256", true);
    check(without(jwk("RS256", "1"), "alg"), "PS256", false);
    check(jwk("PS256", "1"), "RS256", false);
    check(without(jwk("ES384", "1"), "alg"), "ES384", true);
    check(without(jwk("EdDSA", "1"), "alg"), "EdDSA", true);
    check(with(jwk("RS256", "1"), "alg", json!("RSA-OAEP")), "RS256", false);
    check(with(jwk("RS256", "1"), "alg", json!("none")), "RS256", false);
    check(with(jwk("RS256", "1"), "alg", json!("ES256")), "RS256", false);
    check(with(jwk("ES256", "1"), "alg", json!("ES384")), "ES256", false);
    check(with(jwk("ES256", "1"), "crv", json!("P-384")), "ES256", false);
    check(with(jwk("RS256", "1"), "n", json!("AQAB")), "RS256", false);
    // A secret that is published is none, unless the operator says that it is.
    let secret = json!({ "kty": "oct", "k": base64(SECRET), "alg": "HS256", "kid": "1" });
    check(secret.clone(), "HS256", false);
    assert!(is_believed(std::slice::from_ref(&secret), Some("HS256"), "HS256", Some("1")));
    assert!(!is_believed(&[with(secret, "k", json!(""))], Some("HS256"), "HS256", Some("1")));
    // One key that is of no use does not spoil the others.
    assert!(is_believed(&[json!(5), json!({ "kty": "new" }), jwk("ES256", "1")], None, "ES256", Some("1")));
}

#[test]
fn what_is_no_set_is_refused() {
    let check = |text: &str, expected| {
        assert_eq!(PublishedKeys::parse(text.as_bytes(), None).map(drop), Err(expected), "{text}")
    };
    for text in ["", "[]", "{}", "null", r#"{"keys":{}}"#, "<html>"] {
        check(text, InvalidKeySet::Malformed);
    }
    check(r#"{"keys":[]}"#, InvalidKeySet::NoKey);
    check(&set(&vec![json!({}); 65]), InvalidKeySet::TooMany);
    check(&" ".repeat(KEY_SET_BYTES_MAX + 1), InvalidKeySet::TooLong);
}

fn verifier(issuer: &Issuer) -> Verifier {
    let verifier = Verifier::published(issuer.clone(), None);
    verifier.keep_fresh();
    verifier
}

async fn check_token(verifier: &Verifier, token: &str, expected: Result<(), TokenError>) {
    let found = verifier.verify(token, Timestamp(NOW * 1000)).await.map(drop);
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_and_kept() {
    let issuer = Issuer::default();
    issuer.publishes(&[jwk("ES256", "1")]);
    let verifier = verifier(&issuer);
    for _ in 0..100 {
        check_token(&verifier, &signed_by("ES256", Some("1")), Ok(())).await;
    }
    assert_eq!(issuer.fetches(), 1);
    sleep(KEY_REFRESH_INTERVAL + Duration::from_secs(1)).await;
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_a_withdrawn_one_forgotten() {
    let issuer = Issuer::default();
    issuer.publishes(&[jwk("ES256", "old")]);
    let verifier = verifier(&issuer);
    check_token(&verifier, &signed_by("ES256", Some("old")), Ok(())).await;
    sleep(KEY_FETCH_INTERVAL * 2).await;
    issuer.publishes(&[jwk("EdDSA", "new")]);
    check_token(&verifier, &signed_by("EdDSA", Some("new")), Ok(())).await;
    assert_eq!(issuer.fetches(), 2);
    check_token(&verifier, &signed_by("ES256", Some("old")), Err(TokenError::Signature)).await;
}

/// Whoever makes up keys, however many and however fast, has them fetched once in the interval.
#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_costs_the_issuer_little() {
    let issuer = Issuer::default();
    issuer.publishes(&[jwk("ES256", "1")]);
    let verifier = verifier(&issuer);
    let rounds = 20;
    for round in 0..rounds {
        let flood = (0..200).map(|n| {
            let (verifier, token) = (verifier.clone(), signed_by("ES256", Some(&format!("{round} {n}"))));
            async move { check_token(&verifier, &token, Err(TokenError::Signature)).await }
        });
        futures_util::future::join_all(flood).await;
        check_token(&verifier, &signed_by("ES256", Some("1")), Ok(())).await;
        advance(KEY_FETCH_INTERVAL / 4).await;
    }
    assert!(issuer.fetches() <= 2 + rounds / 4, "{} fetches", issuer.fetches());
    assert!(issuer.fetches() > 2, "an unknown key is looked for");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_signature_of_a_known_key_has_nothing_fetched() {
    let issuer = Issuer::default();
    issuer.publishes(&[jwk("ES256", "1")]);
    let verifier = verifier(&issuer);
    check_token(&verifier, &signed_by("ES256", Some("1")), Ok(())).await;
    sleep(KEY_FETCH_INTERVAL * 2).await;
    let forged = signed_by("ES384", Some("1"));
    for _ in 0..10 {
        check_token(&verifier, &forged, Err(TokenError::Signature)).await;
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_away_its_keys_count_for_an_hour() {
    let issuer = Issuer::default();
    let verifier = verifier(&issuer);
    let token = signed_by("ES256", Some("1"));
    check_token(&verifier, &token, Err(TokenError::KeysUnavailable)).await;
    issuer.publishes(&[jwk("ES256", "1")]);
    sleep(Duration::from_secs(2)).await;
    check_token(&verifier, &token, Ok(())).await;

    issuer.is_away();
    sleep(STALE_KEYS_MAX - Duration::from_secs(60)).await;
    check_token(&verifier, &token, Ok(())).await;
    check_token(&verifier, &signed_by("ES256", Some("2")), Err(TokenError::KeysUnavailable)).await;
    let before = issuer.fetches();
    sleep(Duration::from_secs(180)).await;
    check_token(&verifier, &token, Err(TokenError::KeysUnavailable)).await;
    assert!(issuer.fetches() - before <= 4, "failures are retried with patience");

    issuer.publishes(&[jwk("ES256", "1")]);
    sleep(Duration::from_secs(61)).await;
    check_token(&verifier, &token, Ok(())).await;
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_does_not_answer_holds_nobody_up_for_long() {
    let issuer = Issuer::default();
    issuer.0.hangs.store(true, Ordering::Relaxed);
    let verifier = verifier(&issuer);
    let start = tokio::time::Instant::now();
    check_token(&verifier, &signed_by("ES256", Some("1")), Err(TokenError::KeysUnavailable)).await;
    // The clock is paused, so this is no measurement.
    assert!(start.elapsed() <= KEY_FETCH_TIMEOUT + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn fetching_ends_with_the_verifier() {
    let issuer = Issuer::default();
    issuer.publishes(&[jwk("ES256", "1")]);
    let verifier = verifier(&issuer);
    check_token(&verifier, &signed_by("ES256", Some("1")), Ok(())).await;
    drop(verifier);
    sleep(KEY_REFRESH_INTERVAL * 3).await;
    assert_eq!((issuer.fetches(), Arc::strong_count(&issuer.0)), (1, 1));
}
