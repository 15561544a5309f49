//! Tokens: made up, mutated from good ones, and signed with whatever claims.

use std::sync::LazyLock;

use fanfare_hub::{Algorithm, Claims, TokenError, Verifier, VerifyingKey};
use fanfare_log::Timestamp;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::sign;

pub const WORDS: &[&[u8]] = &[
    b"written\n",
    b"signed\n",
    b".",
    b"=",
    b"\"alg\":",
    b"\"HS256\"",
    b"\"none\"",
    b"\"kid\":",
    b"\"crit\":[]",
    b"\"mercure\":",
    b"\"https://mercure.rocks/\":",
    b"\"publish\":",
    b"\"subscribe\":",
    b"\"payload\":",
    b"\"exp\":",
    b"\"nbf\":",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b"null",
    b"true",
    b"\"*\"",
    b"1e309",
    b"-1",
    b"18446744073709551616",
    b"0.5",
    b"\\ud800",
    b"eyJhbGciOiJub25lIn0",
];

/// For each algorithm a key and a token that is good, which is also a seed. The private keys are nowhere.
static VERIFIERS: LazyLock<Vec<(&str, Verifier, &str)>> = LazyLock::new(|| {
    macro_rules! good {
        ($algorithm:literal, $key:expr, $seed:literal) => {{
            let algorithm: Algorithm = $algorithm.parse().expect("it is known");
            let key = VerifyingKey::new($key, algorithm).expect("it is a key for that");
            let seed = include_str!(concat!("../seeds/token/", $seed));
            let token = seed.strip_prefix("written\n").expect("the first line says how it is made");
            ($algorithm, Verifier::new(key), token)
        }};
    }
    let rsa = include_bytes!("../keys/rsa.pem");
    vec![
        good!("HS256", SECRET, "hs256"),
        good!("HS384", SECRET, "hs384"),
        good!("HS512", SECRET, "hs512"),
        good!("RS256", rsa, "rs256"),
        good!("RS384", rsa, "rs384"),
        good!("RS512", rsa, "rs512"),
        good!("PS256", rsa, "ps256"),
        good!("PS384", rsa, "ps384"),
        good!("PS512", rsa, "ps512"),
        good!("ES256", include_bytes!("../keys/p256.pem"), "es256"),
        good!("ES384", include_bytes!("../keys/p384.pem"), "es384"),
        good!("EdDSA", include_bytes!("../keys/ed25519.pem"), "eddsa"),
    ]
});

const SECRET: &[u8] = b"the secret of the fuzz targets, which opens nothing";

/// After a first line `written` the token itself: it is believed only if it says what the good one says, under the algorithm
/// of that one. After `signed` a line of header and then claims, which are signed with HS256's secret: whatever they are, no
/// other key believes them.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(token) = text.strip_prefix("written\n") {
        for (name, verifier, good) in &*VERIFIERS {
            if verify(verifier, token).is_ok() {
                assert_eq!(message(token), message(good), "{name} believes what nobody signed");
            } else {
                assert_ne!(token, *good, "{name} does not believe its own");
            }
        }
    } else if let Some((header, claims)) = text.strip_prefix("signed\n").and_then(|rest| rest.split_once('\n')) {
        let message = format!("{}.{}", base64(header), base64(claims));
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let signature = sign(message.as_bytes(), &EncodingKey::from_secret(SECRET), algorithm);
        let token = format!("{message}.{}", signature.expect("a secret signs anything"));
        for (name, verifier, _) in &*VERIFIERS {
            let verified = verify(verifier, &token);
            assert!(*name == "HS256" || verified.is_err(), "{name} believes what HS256's secret signed");
            if let Some(payload) = verified.as_ref().ok().and_then(Claims::payload) {
                assert!(claims.contains(payload), "{payload} is not what was claimed");
            }
        }
    }
}

/// With one key nothing is waited for.
fn verify(verifier: &Verifier, token: &str) -> Result<Claims, TokenError> {
    futures_util::FutureExt::now_or_never(verifier.verify(token, Timestamp(1_800_000_000_000)))
        .expect("it does not wait")
}

/// What is signed of a token.
fn message(token: &str) -> Option<&str> {
    token.rsplit_once('.').map(|(message, _)| message)
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        encoded.extend((0..=three.len()).map(|place| char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63])));
    }
    encoded
}
