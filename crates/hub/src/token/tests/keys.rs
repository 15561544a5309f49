//! Every algorithm with a key of its own, and keys that don't fit.

use super::*;
use crate::token::InvalidKey;

#[test]
fn every_algorithm_verifies_what_it_signed_and_nothing_else() {
    for signer in ALGORITHMS {
        let token = signed(&header(signer), &claims());
        let found = verify(signer, &token).unwrap();
        assert_eq!(found.selectors.publish, ["a"], "{signer}");
        assert_eq!(found.selectors.subscribe, ["b", "c/{x}"], "{signer}");
        assert_eq!(found.expires(), Some(Timestamp((NOW + 60) * 1000)));
        for verifier in ALGORITHMS.into_iter().filter(|verifier| *verifier != signer) {
            let refused = verify(verifier, &token).map(drop);
            assert_eq!(refused, Err(TokenError::Signature), "signed with {signer}, verified with {verifier}");
        }
    }
}

#[test]
fn another_key_of_the_same_kind_verifies_nothing() {
    let others = [
        ("RS256", Pair::new(&PKCS_RSA_SHA256).public),
        ("ES256", Pair::new(&PKCS_ECDSA_P256_SHA256).public),
        ("EdDSA", Pair::new(&PKCS_ED25519).public),
        ("HS256", "another secret of more than thirty-two bytes".to_owned()),
    ];
    for (name, other) in others {
        let verifier = Verifier::new(VerifyingKey::new(other.as_bytes(), algorithm(name)).unwrap());
        let token = signed(&header(name), &claims());
        let found = now_or_never(verifier.verify(&token, Timestamp(NOW * 1000)));
        assert_eq!(found.map(drop), Err(TokenError::Signature), "{name}");
    }
}

#[test]
fn a_key_must_fit_its_algorithm() {
    let check = |text: &str, name: &str, expected| {
        let found = VerifyingKey::new(text.as_bytes(), algorithm(name)).map(drop);
        assert_eq!(found, Err(expected), "{name}");
    };
    let kind = |name| InvalidKey::Kind(algorithm(name));
    for name in ["HS256", "HS512", "RS256", "EdDSA"] {
        check("", name, InvalidKey::Empty);
        check(" \n", name, InvalidKey::Empty);
    }
    check(&RSA.public, "HS256", InvalidKey::NoSecret(algorithm("HS256")));
    check(&RSA.private, "HS384", InvalidKey::NoSecret(algorithm("HS384")));
    check(SECRET, "RS256", InvalidKey::NotPem(algorithm("RS256")));
    check(&RSA.public, "ES256", kind("ES256"));
    check(&RSA.public, "EdDSA", kind("EdDSA"));
    check(&P256.public, "RS256", kind("RS256"));
    check(&P256.public, "ES384", kind("ES384"));
    check(&P384.public, "ES256", kind("ES256"));
    check(&ED25519.public, "ES256", kind("ES256"));
    for (pair, name) in [(&RSA, "RS256"), (&P256, "ES256"), (&ED25519, "EdDSA")] {
        check(&pair.private, name, InvalidKey::Private);
    }
    let broken = RSA.public.replace("MII", "AAA");
    check(&broken, "RS256", kind("RS256"));
    check("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "ES256", kind("ES256"));
}

/// 1024 bits, which was common once: `openssl genrsa 1024 | openssl rsa -pubout`.
#[test]
fn a_short_rsa_key_is_refused() {
    let short = "-----BEGIN PUBLIC KEY-----\n\
                 MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC9hlmPJLoTf0EOYN32V1Yg4yCh\n\
                 MTdbyiRCrpWdY9nGbdbcdinm1oR4fYaRcvXz9unFDf2g78nNXv5dkv0wnBU6LM6b\n\
                 7hM9va577HnM6MXRQW4cRyA39KdRRyW2VHH0ioAYYvWqViziKYvjFlVZ9I/8swAJ\n\
                 SExNlwviwdNj2PMjMQIDAQAB\n\
                 -----END PUBLIC KEY-----";
    let found = VerifyingKey::new(short.as_bytes(), algorithm("RS256")).map(drop);
    assert_eq!(found, Err(InvalidKey::Length(algorithm("RS256"), 1024)));
}

#[test]
fn a_short_secret_is_taken_and_told() {
    let is_short = |length, name| VerifyingKey::new(&vec![b'x'; length], algorithm(name)).unwrap().is_short();
    assert!(is_short(31, "HS256") && !is_short(32, "HS256"));
    assert!(is_short(63, "HS512") && !is_short(64, "HS512"));
    assert!(!verifying_key("ES256").is_short());
}

#[test]
fn algorithms_have_the_names_of_the_standard() {
    for name in ALGORITHMS {
        assert_eq!(algorithm(name).to_string(), name);
    }
    for name in ["none", "None", "hs256", "ES512", "ES256K", "RSA", ""] {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
}

#[test]
fn no_key_is_shown() {
    for name in ALGORITHMS {
        let text = format!("{:?} {:?}", verifying_key(name), Verifier::new(verifying_key(name)));
        assert!(!text.contains("secret") && !text.contains("48, 130") && text.len() < 1000, "{text}");
    }
}
