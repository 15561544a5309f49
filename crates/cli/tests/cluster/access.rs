use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::accounts::Operator;
use crate::certificates::Authority;
use crate::running::{Curl, Ended, Hub, PATIENCE, curl, fanfare};
use crate::servers::Servers;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A hub with these flags, which must not end by itself.
fn command(arguments: &[&str]) -> Command {
    let mut command = fanfare(&["serve", "--memory", "--listen", "127.0.0.1:0"]);
    command.args(arguments).env("FANFARE_LOG", "off");
    command
}

/// What `/health/ready` says, once that `is` so.
fn ready_until(hub: &Hub, is: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let said = curl(&[&hub.url("/health/ready")]);
        if is(&said) {
            return said;
        }
        assert!(begun.elapsed() < PATIENCE, "it stays so: {said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_ready(said: &str) -> bool {
    said.trim() == "ready"
}

/// A hub starts and takes an event.
fn let_in(command: &mut Command) -> Hub {
    let hub = Hub::spawn(command.stderr(Stdio::inherit()));
    ready_until(&hub, is_ready);
    let position = curl(&["-d", "hello", &hub.url("/events/a")]);
    assert!(position.trim().parse::<fanfare_log::Position>().is_ok(), "{position}");
    hub
}

/// A hub that writes its log lines into a file.
fn logging(command: &mut Command) -> (Hub, NamedTempFile) {
    let log = NamedTempFile::new().unwrap();
    let hub = Hub::spawn(command.env_remove("FANFARE_LOG").stderr(log.reopen().unwrap()));
    ready_until(&hub, is_ready);
    (hub, log)
}

/// The log, once it has these words.
fn log_until(log: &NamedTempFile, words: &str) -> String {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(log.path()).unwrap();
        if text.contains(words) {
            return text;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not say {words:?}: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A hub ends by itself, with this exit code and all of these words.
fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let ended = ended(command);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word} in {ended:?}");
    }
    for secret in ["s3cret", "wr0ng", "SUA", "PRIVATE KEY", "eyJ"] {
        assert!(!ended.stderr.contains(secret), "{ended:?}");
    }
}

fn ended(command: &mut Command) -> Ended {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("it neither starts nor ends: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

const NOT_LET_IN: &[&str] = &["does not let this node in", "look at the user and password", "authorization violation"];

#[test]
fn a_user_is_let_in_with_its_password() {
    let servers = Servers::one_with("authorization { user: hub, password: s3cret }");
    let (url, address) = (servers.url(), servers.address(0));
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "s3cret\n").unwrap();
    let file = format!("@{}", text(&password));
    let_in(&mut command(&["--engine", &url, "--engine-user", "hub", "--engine-password", &file]));
    let in_url = format!("nats://hub:s3cret@{address}");
    let_in(command(&[]).env("FANFARE_ENGINE", in_url));
    refused(&mut command(&["--engine", &url]), 3, NOT_LET_IN);
    refused(&mut command(&["--engine", &url, "--engine-user", "hub", "--engine-password", "wr0ng"]), 3, NOT_LET_IN);
    refused(&mut command(&["--engine", &format!("nats://hub:wr0ng@{address}")]), 3, NOT_LET_IN);
    refused(&mut command(&["--engine", &url, "--engine-token", "wr0ng"]), 3, NOT_LET_IN);
    refused(&mut command(&["--engine", &url, "--engine-user", "hub"]), 2, &["--engine-password go together"]);
}

#[test]
fn a_token_is_enough_where_a_server_wants_one() {
    let servers = Servers::one_with("authorization { token: s3cret }");
    let (url, address) = (servers.url(), servers.address(0));
    let_in(&mut command(&["--engine", &url, "--engine-token", "s3cret"]));
    let_in(&mut command(&["--engine", &format!("nats://s3cret@{address}")]));
    refused(&mut command(&["--engine", &url, "--engine-token", "wr0ng"]), 3, NOT_LET_IN);
    refused(&mut command(&["--engine", &url]), 3, NOT_LET_IN);
}

#[test]
fn a_credentials_file_is_what_an_operator_gives() {
    let (operator, other) = (Operator::new(), Operator::new());
    let mut servers = Servers::one_with(&operator.configuration);
    let url = servers.url();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.creds");
    let arguments = ["--engine", &url, "--engine-creds", text(&file)];
    fs::write(&file, operator.user()).unwrap();
    let (hub, log) = logging(&mut command(&arguments));
    // What is renewed in place is used: the hub that runs reads it for its next connection.
    let other_server = &other.configuration;
    servers.kill(0);
    servers.configure(0, other_server);
    servers.begin(0);
    ready_until(&hub, |said| said.contains("does not let this node in"));
    fs::write(&file, "no credentials").unwrap();
    log_until(&log, "hub.creds: it is no credentials file");
    fs::write(&file, other.user()).unwrap();
    ready_until(&hub, is_ready);
    fs::write(&file, operator.user()).unwrap();
    refused(&mut command(&arguments), 3, NOT_LET_IN);
    fs::write(&file, "no credentials").unwrap();
    refused(&mut command(&arguments), 2, &["hub.creds", "nsc"]);
    fs::remove_file(&file).unwrap();
    refused(&mut command(&arguments), 2, &["--engine-creds", "hub.creds"]);
}

const NO_TLS: &[&str] = &["can't agree on TLS", "look at the CA"];

#[test]
fn servers_are_known_by_who_signed_them() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut servers = Servers::one_with(&authority.server("127.0.0.1", None));
    let url = servers.url();
    let trusting = ["--engine", &url, "--engine-ca", text(&authority.ca())].map(str::to_owned);
    let trusting: Vec<&str> = trusting.iter().map(String::as_str).collect();
    let_in(&mut command(&trusting));
    let_in(&mut command(&["--engine", &url.replace("nats:", "tls:"), "--engine-ca", trusting[3]]));
    let with_ca = |ca: &Path| command(&["--engine", &url, "--engine-ca", text(ca)]);
    refused(&mut with_ca(&other.ca()), 3, NO_TLS);
    refused(&mut command(&["--engine", &url]), 3, NO_TLS);
    refused(&mut with_ca(&authority.path("nowhere.pem")), 2, &["nowhere.pem", "can't be read"]);
    fs::write(authority.path("empty.pem"), "nothing").unwrap();
    refused(&mut with_ca(&authority.path("empty.pem")), 2, &["empty.pem", "no certificate"]);
    let (hub, log) = logging(&mut command(&trusting));
    servers.kill(0);
    servers.configure(0, &other.server("127.0.0.1", None));
    servers.begin(0);
    ready_until(&hub, |said| said.contains("a certificate that it does not trust"));
    log_until(&log, "invalid peer certificate");
    servers.kill(0);
    servers.configure(0, &authority.server("127.0.0.1", None));
    servers.begin(0);
    ready_until(&hub, is_ready);
    // A certificate of another host, and no TLS where it is asked for.
    for extra in [authority.server("elsewhere", None), String::new()] {
        servers.kill(0);
        servers.configure(0, &extra);
        servers.begin(0);
        refused(&mut command(&["--engine", &url.replace("nats:", "tls:"), "--engine-ca", trusting[3]]), 3, NO_TLS);
    }
}

#[test]
fn a_hub_shows_its_certificate_to_servers_that_ask_for_it() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let servers = Servers::one_with(&authority.server("127.0.0.1", Some(&clients.ca())));
    let (url, ca) = (servers.url(), authority.ca());
    let with = |more: &[&Path]| {
        let mut command = command(&["--engine", &url, "--engine-ca", text(&ca)]);
        for (flag, file) in ["--engine-cert", "--engine-key"].iter().zip(more) {
            command.arg(flag).arg(file);
        }
        command
    };
    let (certificate, key) = clients.sign("hub");
    let_in(&mut with(&[&certificate, &key]));
    let mut by_environment = with(&[]);
    by_environment.env("FANFARE_ENGINE_CERT", &certificate).env("FANFARE_ENGINE_KEY", &key);
    let_in(&mut by_environment);
    refused(&mut with(&[]), 3, NO_TLS);
    let (foreign, foreign_key) = authority.sign("hub");
    refused(&mut with(&[&foreign, &foreign_key]), 3, NO_TLS);
    refused(&mut with(&[&certificate]), 2, &["--engine-cert and --engine-key go together"]);
    refused(&mut with(&[&certificate, &foreign_key]), 2, &["hub.key", "is not the key of"]);
    refused(&mut with(&[&certificate, &certificate]), 2, &["hub.pem", "no private key"]);
    refused(&mut with(&[&certificate, &clients.path("nowhere.key")]), 2, &["nowhere.key", "can't be read"]);
}

#[test]
fn an_account_without_jetstream_is_named() {
    let accounts = "accounts { A: { users: [ { user: hub, password: s3cret } ] } }";
    let servers = Servers::one_with(accounts);
    let url = servers.url();
    let words = ["no JetStream for this node", "jetstream: enabled"];
    refused(&mut command(&["--engine", &url, "--engine-user", "hub", "--engine-password", "s3cret"]), 3, &words);
}

/// One server can't keep three copies, nor can two streams have one subject.
#[test]
fn a_stream_that_can_not_be_made_is_said_to_be_so() {
    let servers = Servers::one();
    let url = servers.url();
    let check = |arguments: &[&str], words: &str| {
        let hub = Hub::spawn(command(&["--engine", &url]).args(arguments).stderr(Stdio::inherit()));
        let said = ready_until(&hub, |said| said.contains("can't be made"));
        assert!(said.contains("look at --engine-replicas") && said.contains(words), "{said}");
    };
    check(&["--engine-replicas", "3"], "replicas > 1 not supported");
    check(&["--retain-bytes", "5GiB"], "insufficient storage");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let operator = async_nats::jetstream::new(async_nats::connect(&url).await.unwrap());
        let subjects = vec!["fanfare.>".to_owned()];
        let other = async_nats::jetstream::stream::Config { name: "ALL".to_owned(), subjects, ..Default::default() };
        operator.create_stream(other).await.unwrap();
    });
    check(&[], "subjects overlap");
}

/// The permissions that `docs/cluster.md` names are enough, and without them it is said what is missing.
#[test]
fn a_hub_needs_no_other_permissions_than_the_guide_names() {
    let hub = |publish: &str| {
        let subscribe = r#"["_INBOX.>", "fanfare.FANFARE.nodes.*"]"#;
        format!(
            "authorization {{ users: [ {{ user: hub, password: s3cret, permissions: \
             {{ publish: [{publish}], subscribe: {subscribe} }} }} ] }}"
        )
    };
    let named = r#""fanfare.FANFARE", "fanfare.FANFARE.nodes.*", "$KV.FANFARE-epoch.>", "$JS.API.>""#;
    let mut servers = Servers::one_with(&hub(named));
    let url = servers.url();
    let arguments = ["--engine", &url, "--engine-user", "hub", "--engine-password", "s3cret", "--subscriptions"];
    let (running, log) = logging(&mut command(&arguments));
    curl(&["-d", "hello", &running.url("/events/a")]);
    let said = fs::read_to_string(log.path()).unwrap();
    assert!(!said.to_lowercase().contains("permissions"), "{said}");
    // A hub that may not ask JetStream waits, and says what to look at.
    servers.kill(0);
    servers.configure(0, &hub(r#""fanfare.FANFARE""#));
    servers.begin(0);
    let why = ready_until(&running, |said| said.contains("permissions"));
    assert!(why.contains("JetStream does not answer"), "{why}");
    let said = log_until(&log, "a server of NATS says");
    assert!(said.contains("Permissions Violation"), "{said}");
}

/// Everything about the engine in a file, and in the environment, where each has a say.
#[test]
fn an_engine_is_set_by_a_file_and_by_the_environment() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let tls = authority.server("127.0.0.1", Some(&clients.ca()));
    let servers = Servers::one_with(&format!("{tls}\nauthorization {{ user: hub, password: s3cret }}"));
    let (certificate, key) = clients.sign("hub");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    let values = [
        ("engine", servers.url()),
        ("engine_stream", "OTHER".to_owned()),
        ("engine_user", "hub".to_owned()),
        ("engine_password", "s3cret".to_owned()),
        ("engine_ca", text(&authority.ca()).to_owned()),
        ("engine_cert", text(&certificate).to_owned()),
        ("engine_key", text(&key).to_owned()),
    ];
    let lines: String = values.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect();
    fs::write(&file, lines + "engine_replicas = 1\n").unwrap();
    let mut by_file = command(&["--config", text(&file)]);
    let_in(&mut by_file);
    let mut by_environment = command(&[]);
    for (name, value) in &values {
        by_environment.env(format!("FANFARE_{}", name.to_uppercase()), value);
    }
    let_in(&mut by_environment);
    let wanted = ["OTHER", "num_replicas is 1"];
    refused(by_environment.env("FANFARE_ENGINE_REPLICAS", "3"), 2, &wanted);
    // The environment overrules the file, and a flag the environment.
    let both = |arguments: &[&str]| {
        let mut both = command(arguments);
        both.env("FANFARE_CONFIG", &file).env("FANFARE_ENGINE_REPLICAS", "3");
        both
    };
    refused(&mut both(&[]), 2, &wanted);
    let_in(&mut both(&["--engine-replicas", "1"]));
}

/// Somebody publishes on the hubs' subject who is none.
#[test]
fn what_is_no_event_is_passed_over_counted_and_said_once() {
    let servers = Servers::one();
    let (hub, log) = logging(&mut command(&["--engine", &servers.url()]));
    let count = || {
        let metrics = curl(&[&hub.url("/metrics")]);
        let line = metrics.lines().find_map(|line| line.strip_prefix("fanfare_engine_unreadable_messages_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(count(), 0);
    let mut subscriber = Curl::follow(&hub.url("/events/a"), &[]);
    subscriber.until(|line| line == ":");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::jetstream::new(async_nats::connect(servers.url()).await.unwrap());
        // Nothing, no batch, and one of a later format.
        for payload in ["", "{\"an\":\"event\"}", "\u{2}later"].iter().cycle().take(300) {
            client.publish("fanfare.FANFARE", (*payload).into()).await.unwrap().await.unwrap();
        }
    });
    curl(&["-d", "after", &hub.url("/events/a")]);
    let seen = subscriber.until(|line| line == "data: after");
    assert!(!seen.iter().any(|line| line.contains("fanfare-gap")), "{seen:?}");
    assert_eq!(count(), 300);
    let log = log_until(&log, "passed over");
    let said: Vec<_> = log.lines().filter(|line| line.contains("passed over")).collect();
    // Each look has a line of its own, however many there were.
    assert!(said.len() < 150, "{said:?}");
    assert!(said[0].contains("it is not a batch of events") || said[0].contains("use a newer Fanfare"), "{said:?}");
    ready_until(&hub, is_ready);
}

/// The password is another one after a restart, and the old one again after the next.
#[test]
fn a_hub_that_is_not_let_in_any_more_says_so_and_goes_on_when_it_is() {
    let right = "authorization { user: hub, password: s3cret }";
    let mut servers = Servers::one_with(right);
    let arguments = ["--engine", &servers.url(), "--engine-user", "hub", "--engine-password", "s3cret"];
    let (hub, log) = logging(&mut command(&arguments));
    let mut subscriber = Curl::follow(&hub.url("/events/a"), &[]);
    subscriber.until(|line| line == ":");
    curl(&["-d", "before", &hub.url("/events/a")]);
    subscriber.until(|line| line == "data: before");

    servers.kill(0);
    servers.configure(0, &right.replace("s3cret", "0ther"));
    servers.begin(0);
    let said = ready_until(&hub, |said| said.contains("does not let this node in"));
    assert!(said.contains("the log says which") && !said.contains("127.0.0.1"), "{said}");
    let address = servers.address(0);
    log_until(&log, &format!("look at its credentials and certificates: {address}: authorization violation"));
    let answer = curl(&["-w", "%{http_code}", "-d", "meanwhile", &hub.url("/events/a")]);
    assert!(answer.ends_with("503") && answer.contains("does not let this node in"), "{answer}");

    servers.kill(0);
    servers.configure(0, right);
    servers.begin(0);
    ready_until(&hub, is_ready);
    curl(&["-d", "after", &hub.url("/events/a")]);
    let seen = subscriber.until(|line| line == "data: after");
    assert!(!seen.iter().any(|line| line.contains("fanfare-gap") || line.contains("meanwhile")), "{seen:?}");
    let log = fs::read_to_string(log.path()).unwrap();
    let count = log.lines().filter(|line| line.contains("does not let this node in")).count();
    assert!((1..=4).contains(&count), "it is said, and not with each attempt: {log}");
    assert!(!log.contains("s3cret") && !log.contains("0ther"), "{log}");
}
