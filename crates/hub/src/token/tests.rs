//! Tokens with real keys of every kind, and what attackers make of them.

mod claimed;
mod forged;
mod keys;
mod published;

use std::future::Future;
use std::sync::LazyLock;

use fanfare_log::Timestamp;
use futures_util::FutureExt;
use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use serde_json::{Value, json};

use super::{Algorithm, Claims, TokenError, Verifier, VerifyingKey};

/// In seconds since 1970.
const NOW: u64 = 1_750_000_000;
const SECRET: &str = "a secret of more than thirty-two bytes";

/// A pair of keys, as `openssl` would write them.
struct Pair {
    private: String,
    public: String,
}

impl Pair {
    fn new(kind: &'static SignatureAlgorithm) -> Self {
        let pair = KeyPair::generate_for(kind).unwrap();
        Self { private: pair.serialize_pem(), public: pair.public_key_pem() }
    }
}

static RSA: LazyLock<Pair> = LazyLock::new(|| Pair::new(&PKCS_RSA_SHA256));
static P256: LazyLock<Pair> = LazyLock::new(|| Pair::new(&PKCS_ECDSA_P256_SHA256));
static P384: LazyLock<Pair> = LazyLock::new(|| Pair::new(&PKCS_ECDSA_P384_SHA384));
static ED25519: LazyLock<Pair> = LazyLock::new(|| Pair::new(&PKCS_ED25519));

const ALGORITHMS: [&str; 12] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

fn pair(algorithm: &str) -> Option<&'static Pair> {
    match algorithm {
        "ES256" => Some(&P256),
        "ES384" => Some(&P384),
        "EdDSA" => Some(&ED25519),
        _ if algorithm.starts_with('H') => None,
        _ => Some(&RSA),
    }
}

fn algorithm(name: &str) -> Algorithm {
    name.parse().unwrap()
}

fn signing_key(name: &str) -> EncodingKey {
    let Some(pair) = pair(name) else { return EncodingKey::from_secret(SECRET.as_bytes()) };
    let pem = pair.private.as_bytes();
    let key = match name {
        "ES256" | "ES384" => EncodingKey::from_ec_pem(pem),
        "EdDSA" => EncodingKey::from_ed_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    };
    key.unwrap()
}

fn verifying_key(name: &str) -> VerifyingKey {
    let text = pair(name).map_or(SECRET, |pair| &pair.public);
    VerifyingKey::new(text.as_bytes(), algorithm(name)).unwrap()
}

fn header(name: &str) -> Header {
    Header::new(algorithm(name).0)
}

/// A token with this header and these claims, signed by the right key.
fn signed(header: &Header, claims: &Value) -> String {
    encode(header, claims, &signing_key(&Algorithm(header.alg).to_string())).unwrap()
}

/// A token of HS256.
fn token(claims: &Value) -> String {
    signed(&header("HS256"), claims)
}

fn claims() -> Value {
    json!({ "mercure": { "publish": ["a"], "subscribe": ["b", "c/{x}"] }, "exp": NOW + 60 })
}

/// Base64 as tokens have it.
fn base64(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.as_ref().chunks(3) {
        let number = three.iter().chain(&[0, 0]).take(3).fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        (0..=three.len()).for_each(|digit| text.push(char::from(DIGITS[number >> (18 - 6 * digit) & 63])));
    }
    text
}

/// A token with this text for a header and for claims, and a right signature of HS256.
fn written(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", base64(header), base64(claims));
    let key = signing_key("HS256");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm("HS256").0).unwrap();
    format!("{message}.{signature}")
}

const HS256_HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What a future is that has nothing to wait for.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("with one key nothing is waited for")
}

fn verify(name: &str, token: &str) -> Result<Claims, TokenError> {
    now_or_never(Verifier::new(verifying_key(name)).verify(token, Timestamp(NOW * 1000)))
}

fn check(token: &str, expected: Result<(), TokenError>) {
    assert_eq!(verify("HS256", token).map(drop), expected, "{token}");
}
