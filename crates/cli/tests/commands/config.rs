//! `fanfare config`: the example is whole and works, and a check says what `serve` would.

use std::fs;
use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::running::{Ended, fanfare, run};

/// Keys that mean nothing alone, with those that they need.
const COMPANIONS: [(&str, &[&str]); 13] = [
    ("publisher_alg", &["publisher_key"]),
    ("subscriber_alg", &["subscriber_key"]),
    ("tls_cert", &["tls_key"]),
    ("tls_key", &["tls_cert"]),
    ("engine_stream", &["engine"]),
    ("engine_replicas", &["engine"]),
    ("engine_user", &["engine", "engine_password"]),
    ("engine_password", &["engine", "engine_user"]),
    ("engine_token", &["engine"]),
    ("engine_creds", &["engine"]),
    ("engine_ca", &["engine"]),
    ("engine_cert", &["engine", "engine_key"]),
    ("engine_key", &["engine", "engine_cert"]),
];

fn example() -> String {
    let ended = run(&mut fanfare(&["config", "example"]), b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout
}

/// The name of a key that is commented out.
fn commented(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('#')?.split_once(" = ")?;
    (!name.starts_with(' ')).then_some(name)
}

fn check(file: &Path, arguments: &[&str]) -> Ended {
    let mut command = fanfare(&["config", "check", "--config", file.to_str().unwrap()]);
    run(command.args(arguments).current_dir(file.parent().unwrap()), b"")
}

/// The line of a setting.
fn setting<'a>(ended: &'a Ended, name: &str) -> Vec<&'a str> {
    let mut lines = ended.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find(|words| words[0] == name).unwrap_or_else(|| panic!("no {name}: {ended:?}"))
}

#[test]
fn the_example_has_every_flag_and_changes_nothing() {
    let text = example();
    let keys: Vec<&str> = text.lines().filter_map(commented).collect();
    let help = run(&mut fanfare(&["serve", "--help"]), b"").stdout;
    // A line of the help begins with its flag, as in `--memory[=<true|false>]`.
    let lines = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let flags = lines.map(|line| line.split([' ', '[']).next().unwrap().replace('-', "_"));
    assert_eq!(flags.filter(|flag| flag != "config").collect::<Vec<_>>(), keys);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    fs::write(&file, &text).unwrap();
    let ended = check(&file, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for key in keys {
        assert_eq!(setting(&ended, key)[1], "default", "{key}");
    }
}

#[test]
fn each_key_of_the_example_is_taken_as_it_stands_there() {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("secret"), "0123456789abcdef0123456789abcdef").unwrap();
    // A file holds what the key it is for needs: a certificate, and its own key, or who a hub is to NATS.
    let certificate = cert.pem() + &signing_key.serialize_pem();
    let seed = nkeys::KeyPair::new_user().seed().unwrap();
    let credentials = format!("-----BEGIN NATS USER JWT-----\na.b.c\n-----BEGIN USER NKEY SEED-----\n{seed}\n");
    let (text, file) = (example(), folder.path().join("fanfare.toml"));
    for key in text.lines().filter_map(commented) {
        let sample = if key == "engine_creds" { &credentials } else { &certificate };
        fs::write(folder.path().join("fanfare.pem"), sample).unwrap();
        let companions = COMPANIONS.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, companions)| companions);
        let is_wanted = |line: &str| commented(line).is_some_and(|name| name == key || companions.contains(&name));
        let lines = text.lines().map(|line| if is_wanted(line) { &line[1..] } else { line });
        fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let ended = check(&file, &[]);
        assert_eq!(ended.code, Some(0), "{key}: {ended:?}");
        assert_eq!(setting(&ended, key)[1], "file", "{key}");
    }
}

#[test]
fn each_setting_says_where_it_comes_from_and_a_key_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    let secret = "0123456789abcdef0123456789abcdef";
    let lines =
        format!("heartbeat = '5s'\nmemory = true\nretain_count = 7\npublisher_key = '{secret}'\nmax_body = '2MiB'");
    fs::write(&file, lines).unwrap();
    let mut command = fanfare(&["config", "check", "--heartbeat", "7s", "--data-dir", "d"]);
    command.env("FANFARE_CONFIG", &file).env("FANFARE_MAX_BODY", "3MiB");
    let ended = run(command.env("MERCURE_SUBSCRIBER_JWT_KEY", secret).env("FANFARE_LOG", "off"), b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for expected in [
        ["heartbeat", "flag", "7s"],
        ["data_dir", "flag", "d"],
        // Overruled by the other one.
        ["memory", "default", "-"],
        ["max_body", "environment", "3MiB"],
        ["retain_count", "file", "7"],
        ["drain", "default", "10s"],
        ["publisher_key", "file", "(not"],
        ["subscriber_key", "environment", "(not"],
    ] {
        assert_eq!(setting(&ended, expected[0])[..3], expected);
    }
    assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended:?}");
}

#[test]
fn what_is_wrong_is_said_with_its_key_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    for (text, expected) in [
        ("drain = '5s'\nhearbeat = '5s'", &["line 2", "hearbeat"][..]),
        ("# a comment\n\nheartbeat = 'soon'", &["line 3", "heartbeat", "soon"]),
        ("listen = [\n", &["line"]),
        ("listen = '0.0.0.0:80'", &["without a publisher key"]),
        ("memory = true\ndata_dir = 'd'", &["line 2", "--memory", "exclude each other"]),
        (
            "drain = 1\ncookie_name = 'a b'\npublisher_key = '0123456789abcdef0123456789abcdef'",
            &["line 2", "--cookie-name"],
        ),
        ("publisher_alg = 'RS256'", &["line 1", "--publisher-alg", "there is no key"]),
        ("tls_cert = '/nowhere.pem'", &["line 1", "--tls-key FILE"]),
        ("tls_cert = '/nowhere.pem'\ntls_key = '/nowhere.key'", &["line 1", "/nowhere.pem"]),
        ("engine = 'nats://127.0.0.1'\nengine_ca = '/nowhere.pem'", &["line 2", "--engine-ca", "/nowhere.pem"]),
        ("engine = 'nats://127.0.0.1'\nengine_creds = '/nowhere'", &["line 2", "--engine-creds", "/nowhere"]),
        ("heartbeat = 0", &["longer than zero"]),
    ] {
        fs::write(&file, text).unwrap();
        let ended = check(&file, &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{text} {ended:?}");
        for part in expected {
            assert!(ended.stderr.contains(part), "{text}: {part} in {ended:?}");
        }
        assert!(!ended.stderr.contains("0123456789"), "{ended:?}");
    }
    let ended = run(&mut fanfare(&["config", "check", "--config", "/nowhere/fanfare.toml"]), b"");
    assert!(ended.code == Some(2) && ended.stderr.contains("/nowhere/fanfare.toml"), "{ended:?}");
}
