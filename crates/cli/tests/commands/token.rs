//! `fanfare token`: what it makes, and what it says of tokens.

use std::io::Write;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use tempfile::NamedTempFile;

use crate::running::{Ended, fanfare, run};

pub(crate) const KEY: &str = "a secret of more than thirty-two bytes";

fn token(arguments: &[&str]) -> Ended {
    run(fanfare(&["token"]).args(arguments), b"")
}

/// The token that `fanfare token` prints.
pub(crate) fn made(arguments: &[&str]) -> String {
    let ended = token(arguments);
    assert_eq!((ended.code, ended.stderr.as_str(), ended.stdout.lines().count()), (Some(0), "", 1), "{arguments:?}");
    ended.stdout.trim_end().to_owned()
}

pub(crate) fn file(text: &str) -> (NamedTempFile, String) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let argument = format!("@{}", file.path().display());
    (file, argument)
}

fn inspect(arguments: &[&str]) -> Ended {
    run(fanfare(&["token", "inspect"]).args(arguments), b"")
}

#[test]
fn a_token_says_what_was_asked_for() {
    let made = made(&[
        "--publish",
        "*",
        "--subscribe",
        "a",
        "--subscribe",
        "b/{x}",
        "--payload",
        r#"{"user":1}"#,
        "--expires",
        "2h",
        "--key",
        KEY,
    ]);
    let ended = inspect(&[&made, "--key", KEY]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    for part in [
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#""publish": ["#,
        r#""b/{x}""#,
        r#""user": 1"#,
        "expires    in 1", // 119 minutes, or two hours to the second
        "signature  good\n",
    ] {
        assert!(ended.stdout.contains(part), "{part} in {}", ended.stdout);
    }
    let alone = inspect(&[&made]);
    assert_eq!(alone.code, Some(0));
    assert!(alone.stdout.contains("signature  not checked"), "{alone:?}");
    let other = inspect(&[&made, "--key", "another secret"]);
    assert_eq!(other.code, Some(3));
    assert!(other.stdout.contains("signature  not one of this key with HS256"), "{other:?}");
    let by_input = run(&mut fanfare(&["token", "inspect", "@-", "--key", KEY]), format!("{made}\n").as_bytes());
    assert!(by_input.stdout.contains("signature  good"), "{by_input:?}");
}

#[test]
fn it_lasts_an_hour_unless_something_else_is_said() {
    let expires = |arguments: &[&str]| {
        let made = made(&[arguments, &["--key", KEY]].concat());
        let ended = inspect(&[&made, "--key", KEY]);
        ended.stdout.lines().find(|line| line.starts_with("expires")).unwrap().to_owned()
    };
    let hour = expires(&[]);
    assert!(hour.contains("in 59 minutes") || hour.contains("in 60 minutes"), "{hour}");
    assert_eq!(expires(&["--expires", "never"]), "expires    never");
    let days = expires(&["--expires", "90d"]);
    assert!(days.contains("in 89 days") || days.contains("in 90 days"), "{days}");
}

#[test]
fn every_kind_of_key_signs() {
    for (kind, algorithms) in [
        (&PKCS_RSA_SHA256, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (&PKCS_ECDSA_P256_SHA256, &["ES256"]),
        (&PKCS_ECDSA_P384_SHA384, &["ES384"]),
        (&PKCS_ED25519, &["EdDSA"]),
    ] {
        let pair = KeyPair::generate_for(kind).unwrap();
        let (_private, private) = file(&pair.serialize_pem());
        let (_public, public) = file(&pair.public_key_pem());
        for algorithm in algorithms {
            let made = made(&["--publish", "*", "--key", &private, "--alg", algorithm]);
            let ended = inspect(&[&made, "--key", &public, "--alg", algorithm]);
            assert!(ended.code == Some(0) && ended.stdout.contains("signature  good"), "{algorithm} {ended:?}");
        }
    }
}

#[test]
fn what_can_not_be_is_said_without_the_key() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (_public, public) = file(&pair.public_key_pem());
    let table: [(&[&str], &str); 10] = [
        (&[], "--key"),
        (&["--key", ""], "openssl rand"),
        (&["--key", KEY, "--alg", "none"], "`none` is not an algorithm"),
        (&["--key", KEY, "--alg", "ES256"], "private key in PEM form"),
        (&["--key", &public, "--alg", "ES256"], "private key in PEM form"),
        (&["--key", &public], "no secret for HS256"),
        (&["--key", KEY, "--payload", "{"], "not JSON"),
        (&["--key", KEY, "--expires", "soon"], "soon"),
        (&["inspect", "nonsense"], "not a signed JSON Web Token"),
        (&["inspect"], "TOKEN"),
    ];
    for (arguments, reason) in table {
        let ended = token(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(reason) && !ended.stderr.contains(KEY), "{arguments:?} {ended:?}");
    }
    assert_eq!(token(&["--key", "@/nowhere"]).code, Some(1));
}
