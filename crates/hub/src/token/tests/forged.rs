//! What somebody without a key may try.

use super::*;
use crate::limits::TOKEN_BYTES_MAX;
use proptest::prelude::*;

/// A token of these parts, with whatever there is for a signature.
fn parts(header: &str, claims: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", base64(header), base64(claims.to_string()))
}

#[test]
fn a_token_without_a_signature_is_none() {
    for name in ["none", "None", "NONE", "nOnE", ""] {
        for signature in ["", "AAAA"] {
            let header = json!({ "alg": name, "typ": "JWT" }).to_string();
            check(&parts(&header, &claims(), signature), Err(TokenError::Malformed));
        }
    }
    check(&parts(HS256_HEADER, &claims(), ""), Err(TokenError::Signature));
    check(&parts(r#"{"typ":"JWT"}"#, &claims(), ""), Err(TokenError::Malformed));
}

/// The public key is known to all, and must not pass for a secret.
#[test]
fn a_public_key_is_no_secret() {
    for name in ["RS256", "PS512", "ES256", "EdDSA"] {
        let public = &pair(name).unwrap().public;
        for secret in [public.as_bytes(), public.trim_end().as_bytes()] {
            let forged = encode(&header("HS256"), &claims(), &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(verify(name, &forged).map(drop), Err(TokenError::Signature), "{name}");
        }
    }
}

#[test]
fn a_swapped_header_or_claim_breaks_the_signature() {
    for name in ALGORITHMS {
        let token = signed(&header(name), &claims());
        let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let more = base64(json!({ "mercure": { "publish": ["*"] } }).to_string());
        assert_eq!(verify(name, &format!("{head}.{more}.{signature}")).map(drop), Err(TokenError::Signature));
        for other in ALGORITHMS.into_iter().filter(|other| *other != name) {
            let head = base64(json!({ "alg": other, "typ": "JWT" }).to_string());
            let swapped = format!("{head}.{body}.{signature}");
            assert_eq!(verify(name, &swapped).map(drop), Err(TokenError::Signature), "{name} as {other}");
        }
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let good = token(&claims());
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        head.to_owned(),
        format!("{head}.{body}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{}", signature.replace(['-', '_'], "+") + "/+"),
        format!(" {good}"),
        format!("{good}\n"),
        good.replace('.', "\0"),
        // An encrypted one has five parts.
        format!("{good}.a.b"),
        "\u{1f512}.\u{1f512}.\u{1f512}".to_owned(),
    ] {
        check(&text, Err(TokenError::Malformed));
    }
}

/// What a header says must be understood, and keys that come with the token are no keys of the operator's.
#[test]
fn keys_and_demands_in_the_header_are_not_followed() {
    check(&written(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "{}"), Err(TokenError::Malformed));
    check(&written(r#"{"alg":"HS256","crit":[]}"#, "{}"), Err(TokenError::Malformed));
    check(&written(r#"{"alg":"HS256","alg":"HS256"}"#, "{}"), Err(TokenError::Malformed));
    check(&written(r#"{"alg":["HS256"]}"#, "{}"), Err(TokenError::Malformed));
    let own = base64("attacker");
    let header = json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": own }, "jku": "http://evil.example/", "kid": "../../dev/null" });
    let message = format!("{}.{}", base64(header.to_string()), base64("{}"));
    let key = EncodingKey::from_secret(b"attacker");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm("HS256").0).unwrap();
    check(&format!("{message}.{signature}"), Err(TokenError::Signature));
    check(&written(&header.to_string(), "{}"), Ok(()));
}

#[test]
fn a_token_has_a_length() {
    let padded = |bytes: usize| {
        let long = token(&json!({ "pad": "x".repeat(bytes) }));
        (long.len(), long)
    };
    // Three bytes are four characters.
    let (length, long) = padded(TOKEN_BYTES_MAX * 3 / 4 - 100);
    assert!(length <= TOKEN_BYTES_MAX);
    check(&long, Ok(()));
    let (length, long) = padded(TOKEN_BYTES_MAX * 3 / 4);
    assert!(length > TOKEN_BYTES_MAX);
    check(&long, Err(TokenError::TooLong));
    // Refused before anything of it is read.
    check(&"[".repeat(1 << 20), Err(TokenError::TooLong));
    check(&written(HS256_HEADER, &"[".repeat(9000)), Err(TokenError::Claims));
    check(&written(&format!(r#"{{"alg":"HS256","x":{}"#, "[".repeat(9000)), "{}"), Err(TokenError::Malformed));
}

proptest! {
    #[test]
    fn no_text_is_believed(text in "[\\PC.]{0,200}") {
        prop_assert!(verify("HS256", &text).is_err());
    }

    #[test]
    fn no_change_is_believed(name in prop::sample::select(&ALGORITHMS[..]), at in any::<prop::sample::Index>(), to in "[A-Za-z0-9._-]") {
        let token = signed(&header(name), &claims());
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        // The last digit of base64 may have bits that count for nothing, and then another spelling is refused.
        prop_assert!(changed == token || verify(name, &changed).is_err());
    }
}
