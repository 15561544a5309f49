//! A hub with keys, as people run it: real curl, real tokens, every place where a key can be said.

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use crate::running::{Curl, Ended, Hub, curl, fanfare, run};
use crate::token::{KEY, file, made};

const OTHER: &str = "another secret of more than thirty-two bytes";

fn status(arguments: &[&str]) -> String {
    curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[test]
fn curl_publishes_and_subscribes_with_tokens_of_every_kind() {
    let pair = |kind| {
        let pair = KeyPair::generate_for(kind).unwrap();
        (file(&pair.serialize_pem()), file(&pair.public_key_pem()))
    };
    let (ec, rsa) = (pair(&PKCS_ECDSA_P256_SHA256), pair(&PKCS_RSA_SHA256));
    let (secret, _) = (file(&format!("{KEY}\n")), ());
    for (private, public, algorithm) in [
        (secret.1.as_str(), KEY, "HS256"),
        (KEY, secret.1.as_str(), "HS512"),
        (&ec.0.1, &ec.1.1, "ES256"),
        (&rsa.0.1, &rsa.1.1, "PS256"),
    ] {
        let hub = Hub::start(&["serve", "--memory", "--publisher-key", public, "--publisher-alg", algorithm]);
        let token = |arguments: &[&str]| made(&[arguments, &["--key", private, "--alg", algorithm]].concat());
        let (publisher, subscriber) = (token(&["--publish", "*"]), token(&["--subscribe", "a"]));
        let (publish, url) = (bearer(&publisher), hub.url("/events/a?private"));
        assert_eq!(status(&["-d", "x", &url]), "401", "{algorithm}");
        assert_eq!(status(&["-d", "x", "-H", &bearer(&subscriber), &url]), "403");
        assert_eq!(status(&[&hub.url("/events/a")]), "401");
        for (arguments, path) in [
            (vec!["-H".to_owned(), bearer(&subscriber)], "/events/a".to_owned()),
            (vec![], format!("/.well-known/mercure?topic=a&authorization={subscriber}")),
            (vec!["-b".to_owned(), format!("mercureAuthorization={subscriber}")], "/events".to_owned()),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut follower = Curl::follow(&hub.url(&path), &arguments);
            follower.until(|line| line == ":");
            curl(&["-d", algorithm, "-H", &publish, &url]);
            follower.until(|line| line == format!("data: {algorithm}"));
        }
    }
}

#[test]
fn the_greeting_shows_where_the_token_goes_and_no_key() {
    let hub = Hub::start(&["serve", "--memory", "--publisher-key", KEY]);
    assert!(hub.greeting.contains("curl -N -H \"Authorization: Bearer $TOKEN\" http://"), "{}", hub.greeting);
    assert!(!hub.greeting.contains(KEY));
    let help = run(fanfare(&["serve", "--help"]).env("FANFARE_PUBLISHER_KEY", KEY), b"");
    assert!(help.stdout.contains("FANFARE_PUBLISHER_KEY") && !help.stdout.contains(KEY));
}

#[test]
fn the_other_commands_take_tokens() {
    let hub = Hub::start(&["serve", "--memory", "--publisher-key", KEY, "--subscriber-key", OTHER]);
    let publisher = made(&["--publish", "*", "--key", KEY]);
    let subscriber = made(&["--subscribe", "*", "--key", OTHER]);
    let publish = |token: &str| -> Ended {
        run(fanfare(&["publish", "a", "-d", "x", "--private", "--hub", &hub.url("")]).args(["--token", token]), b"")
    };
    assert_eq!(publish(&publisher).code, Some(0));
    let refused = publish(&subscriber);
    assert!(refused.code == Some(3) && refused.stderr.contains("signature"), "{refused:?}");
    let subscribe = |token: &str| -> Ended {
        let url = hub.url("/events/a");
        let arguments = ["subscribe", &url, "-n", "1", "-o", "data", "--last-event-id", "earliest", "--token", token];
        run(&mut fanfare(&arguments), b"")
    };
    let seen = subscribe(&subscriber);
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(0), "x\n"), "{seen:?}");
    assert_eq!(subscribe(&publisher).code, Some(3));

    let bench = |hub: &Hub, token: &[&str]| {
        let arguments = ["--subscribers", "5", "--duration", "200ms", "--warm-up", "0", "--rate", "50"];
        run(fanfare(&["bench", &hub.url("")]).args(arguments).args(token), b"").code
    };
    assert_eq!(bench(&hub, &["--token", &subscriber, "--publish-token", &publisher]), Some(0));
    assert_eq!(bench(&hub, &["--token", &subscriber]), Some(3));
    assert_eq!(bench(&hub, &[]), Some(3));
    let one_key = Hub::start(&["serve", "--memory", "--publisher-key", KEY]);
    let token = made(&["--publish", "*", "--subscribe", "*", "--key", KEY]);
    assert_eq!(bench(&one_key, &["--token", &token]), Some(0));
}

/// The flag, the environment, the names of the reference hub, the file: the first that says a key counts.
#[test]
fn a_key_may_be_said_in_four_places() {
    let (config, _) = file(&format!("publisher_key = '{OTHER}'\nanonymous = true\ncookie_name = 'session'"));
    let config = config.path().to_str().unwrap();
    let accepts = |arguments: &[&str], environment: &[(&str, &str)], key: &str, alg: &str| {
        let mut command = fanfare(&["serve", "--memory", "--listen", "127.0.0.1:0"]);
        command.args(arguments).envs(environment.iter().copied()).env("FANFARE_LOG", "off").stderr(Stdio::inherit());
        let hub = Hub::spawn(&mut command);
        let token = made(&["--publish", "*", "--key", key, "--alg", alg]);
        status(&["-d", "x", "-H", &bearer(&token), &hub.url("/events/a")])
    };
    const MERCURE: [(&str, &str); 2] =
        [("MERCURE_PUBLISHER_JWT_KEY", "!ChangeThisMercureHubJWTSecretKey!"), ("MERCURE_PUBLISHER_JWT_ALG", "HS384")];
    let ours = [MERCURE[0], MERCURE[1], ("FANFARE_PUBLISHER_KEY", OTHER), ("FANFARE_PUBLISHER_ALG", "HS512")];
    let (mercure_key, flag) = (MERCURE[0].1, ["--publisher-key", KEY, "--publisher-alg", "HS256"]);
    assert_eq!(accepts(&["--config", config], &[], OTHER, "HS256"), "200");
    assert_eq!(accepts(&["--config", config], &MERCURE, mercure_key, "HS384"), "200");
    assert_eq!(accepts(&["--config", config], &MERCURE, OTHER, "HS256"), "401");
    assert_eq!(accepts(&[], &ours, OTHER, "HS512"), "200");
    assert_eq!(accepts(&[], &ours, mercure_key, "HS384"), "401");
    assert_eq!(accepts(&flag, &ours, KEY, "HS256"), "200");
    assert_eq!(accepts(&flag, &ours, OTHER, "HS512"), "401");
}

#[test]
fn anonymous_and_the_cookies_name_come_from_anywhere() {
    let (config, _) = file(&format!("publisher_key = '{KEY}'\nanonymous = true\ncookie_name = 'session'"));
    let hub = Hub::start(&["serve", "--memory", "--config", config.path().to_str().unwrap()]);
    let mut follower = Curl::follow(&hub.url("/events/a"), &[]);
    follower.until(|line| line == ":");
    let cookie = format!("session={}", made(&["--publish", "*", "--key", KEY]));
    assert_eq!(status(&["-b", &cookie, "-d", "x", &hub.url("/events/a")]), "403", "a cookie needs an Origin");
    let own = format!("Origin: {}", hub.url(""));
    assert_eq!(status(&["-b", &cookie, "-H", &own, "-d", "public", &hub.url("/events/a")]), "200");
    follower.until(|line| line == "data: public");
}

/// A URL with a token in it is what must not be found in a log later.
#[test]
fn no_token_and_no_key_is_ever_logged() {
    let mut command = fanfare(&["serve", "--memory", "--listen", "127.0.0.1:0", "--publisher-key", KEY]);
    let mut child = command.env("FANFARE_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let first = lines.next().unwrap().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let hub = first.rsplit(' ').next().unwrap();
    let good = made(&["--publish", "*", "--subscribe", "*", "--key", KEY]);
    let bad = made(&["--publish", "*", "--key", OTHER]);
    let quietly = |arguments: &[&str]| {
        // A stream is left after a moment.
        let arguments = [&["-sS", "--max-time", "0.5", "-o", "/dev/null"], arguments].concat();
        assert!(std::process::Command::new("curl").args(arguments).stderr(Stdio::null()).status().is_ok());
    };
    for token in [&good, &bad] {
        let query = format!("authorization={token}");
        for http in ["--http1.1", "--http2-prior-knowledge"] {
            quietly(&[http, "-d", "x", &format!("{hub}/events/a?{query}")]);
            quietly(&[http, "-d", "topic=a", &format!("{hub}/.well-known/mercure?{query}")]);
            quietly(&[http, &format!("{hub}/events/a?{query}")]);
            quietly(&[http, &format!("{hub}/nowhere?{query}")]);
            quietly(&[http, &format!("{hub}/events?topic=%FF&{query}")]);
            quietly(&[http, "-H", &bearer(token), &format!("{hub}/events")]);
            quietly(&[http, "-H", &format!("Cookie: mercureAuthorization={token}"), &format!("{hub}/events")]);
        }
    }
    assert_eq!(status(&[&format!("{hub}/health/live")]), "200");
    child.kill().unwrap();
    child.wait().unwrap();
    let log = log.join().unwrap();
    assert!(log.lines().count() > 5, "there is a log: {log}");
    for secret in [KEY, &good, &bad] {
        // Also not a part of it: the last one is the signature.
        let part = secret.rsplit('.').next().unwrap();
        assert!(!log.contains(part), "{}", log.lines().find(|line| line.contains(part)).unwrap());
    }
}

#[test]
fn what_can_not_be_is_said_at_the_start() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (_private, private) = file(&pair.serialize_pem());
    let (_public, public) = file(&pair.public_key_pem());
    let (broken, _) = file(&format!("heartbeat = 5\npublisher_key = '{KEY}' x"));
    let (typed, _) = file("publisher_key = 31415926535");
    let (broken, typed) = (broken.path().to_str().unwrap(), typed.path().to_str().unwrap());
    let table: [(&[&str], &str); 13] = [
        (&["--publisher-key", ""], "--publisher-key: the key is empty"),
        (&["--subscriber-key", ""], "--subscriber-key: the key is empty"),
        (&["--publisher-key", &public], "no secret for HS256"),
        (&["--publisher-key", KEY, "--publisher-alg", "ES256"], "public key in PEM form"),
        (&["--publisher-key", &private, "--publisher-alg", "ES256"], "private key"),
        (&["--publisher-key", &public, "--publisher-alg", "ES384"], "not a key for ES384"),
        (&["--publisher-key", KEY, "--publisher-alg", "none"], "`none` is not an algorithm"),
        (&["--publisher-alg", "ES256"], "there is no key"),
        (&["--publisher-key", KEY, "--publisher-jwks-url", "https://issuer.example/"], "exclude each other"),
        (&["--publisher-key", KEY, "--cookie-name", "a b"], "can't be the name of a cookie"),
        (&["--subscriber-key", KEY, "--listen", "0.0.0.0:0"], "without a publisher key"),
        (&["--config", broken], "line 2"),
        (&["--config", typed], "a key is written in quotes"),
    ];
    for (arguments, reason) in table {
        let ended = run(fanfare(&["serve", "--memory"]).args(arguments), b"");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?} {ended:?}");
        assert!(!ended.stderr.contains(KEY) && !ended.stderr.contains("31415926535"), "{ended:?}");
    }
    let missing = run(&mut fanfare(&["serve", "--memory", "--publisher-key", "@/nowhere"]), b"");
    assert!(missing.code == Some(1) && missing.stderr.contains("/nowhere"), "{missing:?}");
}

#[test]
fn a_short_secret_is_warned_of_and_works() {
    let mut command = fanfare(&["serve", "--memory", "--listen", "127.0.0.1:0", "--publisher-key", "short"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let hub = lines.next().unwrap().unwrap().rsplit(' ').next().unwrap().to_owned();
    let token = made(&["--publish", "*", "--key", "short"]);
    assert_eq!(status(&["-d", "x", "-H", &bearer(&token), &format!("{hub}/events/a")]), "200");
    child.kill().unwrap();
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.contains("may be guessed") && !log.contains("short\""), "{log}");
}

/// An issuer that publishes its keys, and what it was asked.
fn issuer(runtime: &tokio::runtime::Runtime, keys: serde_json::Value) -> (String, Arc<AtomicUsize>) {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/keys?secret=hidden", listener.local_addr().unwrap());
    let fetches = Arc::new(AtomicUsize::new(0));
    let counter = fetches.clone();
    let serve = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(keys.to_string())
    };
    let routes = axum::Router::new()
        .route("/keys", axum::routing::get(serve))
        .route("/moved", axum::routing::get(async || axum::response::Redirect::permanent("/keys")))
        .route("/large", axum::routing::get(async || " ".repeat(10 << 20)));
    runtime.spawn(axum::serve(listener, routes).into_future());
    (url, fetches)
}

#[test]
fn keys_are_fetched_from_their_issuer() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (_private, private) = file(&pair.serialize_pem());
    let key = jsonwebtoken::jwk::Jwk::from_encoding_key(
        &jsonwebtoken::EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap(),
        jsonwebtoken::Algorithm::ES256,
    );
    let keys = serde_json::json!({ "keys": [key.unwrap()] });
    let (url, fetches) = issuer(&runtime, keys.clone());
    let token = made(&["--publish", "*", "--key", &private, "--alg", "ES256"]);
    let publish = |hub: &Hub, token: &str| status(&["-d", "x", "-H", &bearer(token), &hub.url("/events/a")]);

    let hub = Hub::start(&["serve", "--memory", "--publisher-jwks-url", &url]);
    assert_eq!(publish(&hub, &token), "200");
    let stranger = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (_stranger, stranger) = file(&stranger.serialize_pem());
    let forged = made(&["--publish", "*", "--key", &stranger, "--alg", "ES256"]);
    for _ in 0..20 {
        assert_eq!(publish(&hub, &forged), "401");
    }
    let fetched = fetches.load(Ordering::Relaxed);
    assert!((1..=3).contains(&fetched), "{fetched} fetches");

    let (_file, argument) = file(&keys.to_string());
    let hub = Hub::start(&["serve", "--memory", "--publisher-jwks-url", &argument.replacen('@', "file://", 1)]);
    assert_eq!(publish(&hub, &token), "200");

    // What can't be had is said, without what the URL may hide, and publishers may try again.
    for path in ["/moved", "/large", "/nowhere"] {
        let other = url.replace("/keys", path);
        let mut command = fanfare(&["serve", "--memory", "--listen", "127.0.0.1:0", "--publisher-jwks-url", &other]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let hub = lines.next().unwrap().unwrap().rsplit(' ').next().unwrap().to_owned();
        assert_eq!(status(&["-d", "x", "-H", &bearer(&token), &format!("{hub}/events/a")]), "503", "{path}");
        child.kill().unwrap();
        let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert!(log.contains("can't be fetched") && log.contains(path) && !log.contains("hidden"), "{log}");
    }
}
