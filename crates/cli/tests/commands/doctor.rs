//! `fanfare doctor` through a real nginx, Apache, HAProxy and Caddy, with and without each fault, and in front of servers that
//! play one.

mod proxy;

mod apache;
mod caddy;
mod haproxy;
mod nginx;

mod cures;
mod scripted;

use serde_json::Value;

use crate::running::{Ended, Hub, fanfare, run};

/// Longer than anything takes on the slowest machine: what should arrive has this much time.
const PATIENT: [&str; 4] = ["--patience", "30s", "--max-time", "5m"];
/// What is held back is waited for in vain.
const IMPATIENT: [&str; 4] = ["--patience", "500ms", "--max-time", "2m"];

/// What the doctor said.
#[derive(Debug)]
struct Diagnosis {
    code: Option<i32>,
    report: Value,
}

fn diagnose(url: &str, arguments: &[&str]) -> Diagnosis {
    let Ended { code, stdout, stderr } = run(fanfare(&["doctor", "--json", url]).args(arguments), b"");
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout} {stderr}"));
    Diagnosis { code, report }
}

impl Diagnosis {
    fn check(&self, name: &str) -> &Value {
        let checks = self.report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    fn assert(&self, name: &str, verdict: &str, text: &str) -> &Self {
        let check = self.check(name);
        assert_eq!(check["verdict"], verdict, "{name}: {self:?}");
        assert!(check["text"].as_str().unwrap().contains(text), "{name}: {self:?}");
        self
    }

    /// The fault is cured by a line of nginx, and of no other proxy, because it said who it is.
    fn assert_cure(&self, name: &str, line: &str) -> &Self {
        assert_eq!(self.report["proxy"], "nginx", "{self:?}");
        assert!(self.cure(name, "nginx").is_some_and(|cure| cure.contains(line)), "{self:?}");
        assert_eq!(self.cure(name, "Apache"), None);
        self
    }

    /// The line for `place`.
    fn cure(&self, name: &str, place: &str) -> Option<String> {
        let cures = self.check(name)["cures"].as_array().unwrap();
        let cure = cures.iter().find(|cure| cure["for"] == place)?;
        Some(cure["line"].as_str().unwrap().to_owned())
    }

    fn problems(&self) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap();
        let problems = checks.iter().filter(|check| check["verdict"] == "problem");
        problems.map(|check| check["check"].as_str().unwrap()).collect()
    }
}

#[test]
fn a_hub_of_this_machine_is_well() {
    let hub = Hub::start(&["serve", "--memory"]);
    for (path, published) in
        [("", true), ("/events/books/1", true), ("/.well-known/mercure?topic=a", true), ("", false)]
    {
        let arguments = if published { &PATIENT[..] } else { &[&PATIENT[..], &["--no-publish"]].concat() };
        let diagnosis = diagnose(&hub.url(path), arguments);
        assert_eq!((diagnosis.code, diagnosis.problems()), (Some(0), vec![]), "{path} {diagnosis:?}");
        assert_eq!(diagnosis.report["published"], published);
        diagnosis.assert("delivery", "ok", "").assert("first-bytes", "ok", "");
        diagnosis.assert("resume", if published { "ok" } else { "unknown" }, "");
        diagnosis.assert("idle", "unknown", "--idle");
    }
}

#[test]
fn the_nginx_of_the_documentation_is_well() {
    let hub = Hub::start(&["serve", "--memory", "--heartbeat", "100ms", "--cors-origin", "https://a.example"]);
    let nginx = nginx::start_documented(&hub);
    let certificate = nginx.certificate();
    let arguments = ["--cacert", certificate.to_str().unwrap(), "--origin", "https://a.example", "--idle", "1s"];
    let diagnosis = diagnose(&nginx.url("/events"), &[&arguments[..], &PATIENT].concat());
    assert_eq!((diagnosis.code, diagnosis.problems()), (Some(0), vec![]), "{diagnosis:?}");
    assert_eq!(diagnosis.report["proxy"], "nginx");
    for name in
        ["http", "cache-control", "last-event-id", "cors", "first-bytes", "delivery", "compression", "resume", "idle"]
    {
        diagnosis.assert(name, "ok", "");
    }
}

#[test]
fn http_1_0_to_the_hub_and_a_flushed_gzip_are_no_faults() {
    let hub = Hub::start(&["serve", "--memory"]);
    let nginx =
        nginx::start(&hub, &[], "proxy_http_version 1.0; gzip on; gzip_min_length 0; gzip_types text/event-stream;");
    let diagnosis = diagnose(&nginx.url("/events"), &PATIENT);
    assert_eq!((diagnosis.code, diagnosis.problems()), (Some(0), vec![]), "{diagnosis:?}");
    diagnosis.assert("delivery", "ok", "").assert("compression", "ok", "gzip");
}

#[test]
fn a_buffer_is_found() {
    let hub = Hub::start(&["serve", "--memory"]);
    let nginx = nginx::start(&hub, &[], "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;");
    for path in ["/events", "/.well-known/mercure"] {
        let diagnosis = diagnose(&nginx.url(path), &IMPATIENT);
        assert_eq!(diagnosis.code, Some(1));
        diagnosis.assert("delivery", "problem", "held back").assert_cure("delivery", "proxy_buffering off;");
        diagnosis.assert("first-bytes", "problem", "").assert("resume", "unknown", "");
    }
}

#[test]
fn a_short_time_out_is_found() {
    let hub = Hub::start(&["serve", "--memory"]);
    let nginx = nginx::start(&hub, &[], "proxy_read_timeout 1s;");
    let diagnosis = diagnose(&nginx.url("/events"), &[&PATIENT[..], &["--idle", "1m"]].concat());
    assert_eq!(diagnosis.code, Some(1));
    diagnosis.assert("idle", "problem", "cut off").assert_cure("idle", "proxy_read_timeout");
}

#[test]
fn headers_that_do_not_arrive_are_found() {
    let hub = Hub::start(&["serve", "--memory", "--cors-origin", "https://a.example"]);
    let origin = ["--origin", "https://a.example"];
    for (configuration, name, text, cure) in [
        ("proxy_hide_header Cache-Control;", "cache-control", "does not arrive", "proxy_hide_header Cache-Control;"),
        ("proxy_hide_header Last-Event-ID;", "last-event-id", "does not arrive", "proxy_hide_header Last-Event-ID;"),
        ("proxy_hide_header Content-Type;", "content-type", "text/event-stream", ""),
        ("proxy_set_header Last-Event-ID \"\";", "resume", "not passed on", "$http_last_event_id"),
        ("proxy_hide_header Access-Control-Allow-Origin;", "cors", "there is no", "add_header"),
        ("add_header Access-Control-Allow-Origin \"*\";", "cors", "twice", "proxy_hide_header"),
    ] {
        let nginx = nginx::start(&hub, &[], configuration);
        let diagnosis = diagnose(&nginx.url("/events"), &[&origin[..], &IMPATIENT].concat());
        assert_eq!((diagnosis.code, diagnosis.problems()), (Some(1), vec![name]), "{configuration} {diagnosis:?}");
        diagnosis.assert(name, "problem", text);
        if !cure.is_empty() {
            diagnosis.assert_cure(name, cure);
        }
    }
}

#[test]
fn a_page_that_sends_a_token_needs_a_preflight() {
    let hub = Hub::start(&["serve", "--memory", "--cors-origin", "https://a.example"]);
    let arguments = ["--origin", "https://a.example", "--token", "x"];
    let nginx = nginx::start(&hub, &[], "");
    let diagnosis = diagnose(&nginx.url("/events"), &[&arguments[..], &PATIENT].concat());
    diagnosis.assert("preflight", "ok", "");
    let nginx = nginx::start(&hub, &[], "if ($request_method = OPTIONS) { return 405; }");
    let diagnosis = diagnose(&nginx.url("/events"), &[&arguments[..], &PATIENT].concat());
    diagnosis.assert("preflight", "problem", "405").assert_cure("preflight", "Access-Control-Allow-Headers");
    let elsewhere = ["--origin", "https://b.example", "--token", "x"];
    let diagnosis = diagnose(&nginx.url("/events"), &[&elsewhere[..], &PATIENT].concat());
    diagnosis.assert("cors", "problem", "https://b.example").assert("preflight", "problem", "");
    assert_eq!(diagnosis.check("cors")["cures"][0]["line"], "fanfare serve --cors-origin https://b.example");
}

#[test]
fn six_connections_are_a_problem_where_a_browser_could_have_more() {
    let hub = Hub::start(&["serve", "--memory"]);
    let nginx = nginx::start(&hub, &["ssl"], "");
    let certificate = nginx.certificate();
    let arguments = [&["--cacert", certificate.to_str().unwrap()], &PATIENT[..]].concat();
    let diagnosis = diagnose(&nginx.url("/events"), &arguments);
    assert_eq!((diagnosis.code, diagnosis.problems()), (Some(1), vec!["http"]), "{diagnosis:?}");
    diagnosis.assert("http", "problem", "six connections").assert_cure("http", "http2");
}

#[test]
fn what_is_no_stream_is_said_with_its_reason() {
    let hub = Hub::start(&["serve", "--memory"]);
    let nginx = nginx::start(&hub, &[], "proxy_set_header Host events.example.com;");
    diagnose(&nginx.url("/events"), &PATIENT).assert("connect", "problem", "421");
    diagnose(&hub.url("/nowhere"), &PATIENT).assert("connect", "problem", "404");
    diagnose(&hub.url("/metrics"), &PATIENT).assert("content-type", "problem", "openmetrics");
    drop(hub);
    let diagnosis = diagnose(&nginx.url("/events"), &PATIENT);
    assert_eq!(diagnosis.code, Some(1));
    diagnosis.assert("connect", "problem", "502").assert_cure("connect", "proxy_pass");
    let url = nginx.url("/events");
    drop(nginx);
    let diagnosis = diagnose(&url, &PATIENT);
    assert_eq!(diagnosis.code, Some(4));
    diagnosis.assert("connect", "problem", "could not connect");
}

#[test]
fn tokens_let_it_publish_and_are_not_shown() {
    let secret = "0123456789abcdef0123456789abcdef";
    let hub = Hub::start(&["serve", "--memory", "--publisher-key", secret]);
    let token = |claims: &[&str]| {
        let ended = run(fanfare(&["token", "--key", secret]).args(claims), b"");
        ended.stdout.trim().to_owned()
    };
    let (publish, subscribe) = (token(&["--publish", "fanfare-doctor/{id}"]), token(&["--subscribe", "a"]));
    let diagnosis = diagnose(&hub.url("/events"), &PATIENT);
    diagnosis.assert("connect", "problem", "401");
    assert!(diagnosis.check("connect")["cures"].to_string().contains("fanfare token"));
    let diagnosis = diagnose(&hub.url("/events"), &[&PATIENT[..], &["--token", &publish]].concat());
    assert_eq!((diagnosis.code, &diagnosis.report["published"]), (Some(0), &Value::Bool(true)), "{diagnosis:?}");
    // One that may not publish watches.
    let query = hub.url(&format!("/events?authorization={subscribe}"));
    let text = run(fanfare(&["doctor", &query]).args(PATIENT), b"");
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.stdout.contains("nothing was published: 40"), "{text:?}");
    let both = [&PATIENT[..], &["--token", &subscribe, "--publish-token", &publish]].concat();
    let shown = run(fanfare(&["doctor", &hub.url("/events")]).args(both), b"");
    assert!(shown.stdout.contains("marked events were published"), "{shown:?}");
    for ended in [text, shown] {
        for token in [&publish, &subscribe] {
            assert!(!ended.stdout.contains(token.as_str()) && !ended.stderr.contains(token.as_str()), "{ended:?}");
        }
    }
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [&["ftp://h/"][..], &["http://h:port/"], &["h", "--origin", "h/page"], &["h", "--idle", "soon"]] {
        assert_eq!(run(fanfare(&["doctor"]).args(arguments), b"").code, Some(2), "{arguments:?}");
    }
}
