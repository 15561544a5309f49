//! Tokens that are too large, malformed or forged: each is refused, and nobody is let in.

use std::time::Duration;

use fanfare_hub::{Clock, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::peer::{crowd, say, status};
use crate::running::Hub;
use crate::target::{SERVE, Target};

const KEY: &str = "a secret that is long enough for it";

fn signed(claims: &Value, key: &str, algorithm: Algorithm) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let digits = (0..=three.len()).map(|place| ALPHABET[(bits >> (18 - 6 * place)) as usize & 63] as char);
        encoded.extend(digits);
    }
    encoded
}

async fn target() -> Target {
    let all = json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } });
    let token = signed(&all, KEY, Algorithm::HS256);
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    Target::of(
        Hub::start(&[&SERVE[..], &["--publisher-key", KEY, "--anonymous"]].concat()),
        reqwest::Client::builder().default_headers(headers),
    )
    .await
}

#[tokio::test]
async fn what_is_no_token_of_ours_opens_nothing() {
    let target = target().await;
    let all = json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } });
    let good = signed(&all, KEY, Algorithm::HS256);
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let now = Duration::from_millis(SystemClock.now().0);
    let at = |time: Duration| time.as_secs();
    let hour = Duration::from_secs(3600);
    let with = |more: &Value| {
        let mut claims = all.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        signed(&claims, KEY, Algorithm::HS256)
    };
    let selectors = |selector: &dyn Fn(usize) -> String, count: usize| {
        let selectors: Vec<String> = (0..count).map(selector).collect();
        signed(&json!({ "mercure": { "publish": selectors } }), KEY, Algorithm::HS256)
    };
    let tokens = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        ".".repeat(8000),
        "a".repeat(15_000),
        "a".repeat(25_000),
        "%00".to_owned(),
        "\u{80}\u{ff}".to_owned(),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}.{body}.{}", signature.to_ascii_uppercase()),
        format!("{head}.{}.{signature}", base64(r#"{"mercure":{"publish":["*"]},"admin":true}"#)),
        format!("{}.{body}.", base64(r#"{"alg":"none"}"#)),
        format!("{}.{body}.{signature}", base64(r#"{"alg":"none"}"#)),
        format!("{}.{body}.{signature}", base64(r#"{"alg":"HS256","crit":["x"]}"#)),
        format!("{}.{body}.{signature}", base64(&("[".repeat(6000) + &"]".repeat(3000)))),
        format!("{head}.{}.{signature}", base64(&"{\"a\":".repeat(2000))),
        signed(&all, "another secret that is long enough", Algorithm::HS256),
        signed(&all, KEY, Algorithm::HS512),
        with(&json!({ "exp": at(now - hour) })),
        with(&json!({ "nbf": at(now + hour) })),
        with(&json!({ "exp": -1 })),
        with(&json!({ "exp": "soon" })),
        with(&json!({ "mercure": { "publish": "*" } })),
        with(&json!({ "mercure": [[[[[]]]]] })),
        selectors(&|n| format!("{{a:{}}}{{b}}", 5000 + n), 300),
        selectors(&|n| n.to_string(), 1200),
    ];
    target
        .withstands(32 << 20, async |address| {
            crowd(tokens.len() * 3, async |n| {
                let token = &tokens[n / 3];
                let field = match n % 3 {
                    0 => format!("Authorization: Bearer {token}\r\n"),
                    1 => format!("Cookie: mercureAuthorization={token}\r\nOrigin: http://localhost\r\n"),
                    _ => String::new(),
                };
                let query = if n % 3 == 2 { format!("?authorization={token}") } else { String::new() };
                let request =
                    format!("POST /events/a{query} HTTP/1.1\r\nHost: localhost\r\n{field}Content-Length: 1\r\n\r\nx");
                let answer = say(address, request.as_bytes()).await;
                let refused = ["400", "401", "403", "414", "431"].contains(&status(&answer));
                assert!(refused, "{:?} {answer}", &request[..request.len().min(300)]);
            })
            .await;
        })
        .await;
    assert!(target.history("a").await.is_empty());
}

/// Checking a signature is the dearest thing that a stranger can ask for, and a grant the largest that one can have kept.
#[tokio::test]
async fn hundreds_of_different_tokens_leave_nothing_behind() {
    let target = target().await;
    target
        .withstands(32 << 20, async |address| {
            crowd(20, async |n| {
                let mut stream = crate::peer::connect(address).await;
                for round in 0..40 {
                    let topics: Vec<String> = (0..10).map(|topic| format!("{n}/{round}/{topic}/{{a}}{{b}}")).collect();
                    let claims = json!({ "mercure": { "subscribe": topics }, "n": n * 1000 + round });
                    let token = signed(&claims, KEY, Algorithm::HS256);
                    let request = format!(
                        "POST /events/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
                    );
                    let answer = crate::peer::say_on(&mut stream, request.as_bytes()).await;
                    assert_eq!(status(&answer), "403", "{answer}");
                    // What was left of the answer's body would be taken for the next one's head.
                    stream = crate::peer::connect(address).await;
                }
            })
            .await;
        })
        .await;
}
