//! Each line that the doctor gives for Apache, HAProxy and Caddy, in the configuration that has the fault: with it there is
//! none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use super::proxy::Proxy;
use super::{Diagnosis, IMPATIENT, PATIENT, apache, caddy, diagnose, haproxy};
use crate::running::Hub;

const ORIGIN: &str = "https://a.example";

/// A configuration with a fault, and where the cure belongs.
struct Case {
    /// `{}` is where the line goes.
    configuration: &'static str,
    /// What stands there, and is the fault, or is nothing and the fault is around it.
    fault: &'static str,
    check: &'static str,
    cure: &'static str,
}

fn case(configuration: &'static str, fault: &'static str, check: &'static str, cure: &'static str) -> Case {
    Case { configuration, fault, check, cure }
}

/// What an operator makes of `cure`: a line in place of the one that was there, or that one taken out.
fn applied(cure: &str, fault: &str) -> String {
    let line = cure.split("   #").next().unwrap();
    let Some(names) = line.strip_prefix("take out ") else { return line.replace('…', &format!("\"{ORIGIN}\"")) };
    let is_named = |line: &str| names.split('`').skip(1).step_by(2).any(|name| line.starts_with(name));
    assert!(is_named(fault), "{fault} is none of {names}");
    String::new()
}

fn examine(proxy: &Proxy, patience: &[&str]) -> Diagnosis {
    let origin = ["--origin", ORIGIN, "--idle", "2s"];
    diagnose(&proxy.url("/events"), &[&origin[..], patience].concat())
}

fn check(place: &str, start: fn(&Hub, &str) -> Proxy, cases: &[Case]) {
    let hub = Hub::start(&["serve", "--memory", "--cors-origin", ORIGIN]);
    for Case { configuration, fault, check, cure } in cases {
        let ill = examine(&start(&hub, &configuration.replace("{}", fault)), &IMPATIENT);
        ill.assert(check, "problem", "");
        let line = ill.cure(check, place).unwrap_or_else(|| panic!("no cure of {check}: {ill:?}"));
        assert!(line.starts_with(cure), "{line}");
        let well = examine(&start(&hub, &configuration.replace("{}", &applied(&line, fault))), &PATIENT);
        assert_eq!((well.code, well.problems()), (Some(0), vec![]), "{fault} {line} {well:?}");
        well.assert(check, "ok", "");
    }
}

#[test]
fn of_apache() {
    let held = "<Location \"/\">\nSetOutputFilter SED\nOutputSed \"s/=====/-----/\"\n</Location>\n\
                <Location \"/events\">\n{}\n</Location>";
    check(
        "Apache",
        apache::start,
        &[
            case(held, "", "delivery", "SetOutputFilter NONE"),
            case("{}", "ProxyTimeout 1", "idle", "ProxyTimeout 3600"),
            case("{}", "Header unset Cache-Control", "cache-control", "take out `Header unset"),
            case("{}", "RequestHeader unset Last-Event-ID", "resume", "take out `RequestHeader"),
            case("{}", "Header add Access-Control-Allow-Origin \"*\"", "cors", "Header set"),
            case("Header unset Access-Control-Allow-Origin\n{}", "", "cors", "Header set"),
        ],
    );
}

#[test]
fn of_haproxy() {
    check(
        "HAProxy",
        haproxy::start,
        &[
            case("{}", "http-response wait-for-body time 10s", "delivery", "take out `http-response wait-for-body`"),
            case("{}", "timeout server 1s", "idle", "timeout server 1h"),
            case("{}", "http-response del-header Cache-Control", "cache-control", "take out `http-response"),
            case("{}", "http-request del-header Last-Event-ID", "resume", "take out `http-request"),
            case("{}", "http-response add-header Access-Control-Allow-Origin *", "cors", "http-response set-header"),
            case("http-response del-header Access-Control-Allow-Origin\n{}", "", "cors", "http-response set-header"),
        ],
    );
}

#[test]
fn of_caddy() {
    check(
        "Caddy",
        caddy::start,
        &[
            case(
                "reverse_proxy 127.0.0.1:3000\nencode {\ngzip\nminimum_length 1\n{}\n}",
                "",
                "compression",
                "match header",
            ),
            case(
                "reverse_proxy 127.0.0.1:3000 {\ntransport http {\n{}\n}\n}",
                "read_timeout 1s",
                "idle",
                "read_timeout 1h",
            ),
            case("reverse_proxy 127.0.0.1:3000 {\n{}\n}", "header_down -Cache-Control", "cache-control", "take out"),
            case("reverse_proxy 127.0.0.1:3000 {\n{}\n}", "header_up -Last-Event-ID", "resume", "take out"),
            case(
                "header +Access-Control-Allow-Origin *\nreverse_proxy 127.0.0.1:3000 {\n{}\n}",
                "",
                "cors",
                "header_down -Access-Control-Allow-Origin",
            ),
            case(
                "reverse_proxy 127.0.0.1:3000 {\nheader_down -Access-Control-Allow-Origin\n}\n{}",
                "",
                "cors",
                "header Access-Control-Allow-Origin",
            ),
        ],
    );
}

/// This one waits for the end of the answer, also with its head, so that all that it says is a refusal to connect.
#[test]
fn of_a_caddy_that_buffers() {
    let hub = Hub::start(&["serve", "--memory"]);
    let configuration = "reverse_proxy 127.0.0.1:3000 {\n{}\n}";
    let fault = "buffer_responses";
    let proxy = caddy::start(&hub, &configuration.replace("{}", fault));
    let ill = diagnose(&proxy.url("/events"), &["--patience", "500ms", "--max-time", "4s"]);
    ill.assert("connect", "problem", "no answer came");
    let line = ill.cure("connect", "Caddy").unwrap();
    let proxy = caddy::start(&hub, &configuration.replace("{}", &applied(&line, fault)));
    let well = diagnose(&proxy.url("/events"), &PATIENT);
    assert_eq!((well.code, well.problems()), (Some(0), vec![]), "{line} {well:?}");
}

/// Apache flushes what it compresses, and its line is for whoever wants nothing compressed.
#[test]
fn apache_leaves_a_stream_uncompressed_that_it_is_told_to() {
    let hub = Hub::start(&["serve", "--memory"]);
    for (line, told) in
        [("", "compressed (gzip)"), ("SetEnvIf Request_URI \"^/events\" no-gzip no-brotli", "not compressed")]
    {
        let proxy = apache::start(&hub, &format!("SetOutputFilter DEFLATE\n{line}"));
        diagnose(&proxy.url("/events"), &PATIENT).assert("compression", "ok", told);
    }
}

/// A program behind FastCGI that answers everybody with a few events and then has nothing to say. Gives its address.
fn fastcgi() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the process of the tests.
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for client in listener.incoming() {
            let mut client = client.unwrap();
            // All of the request that is wanted: it has come.
            let _ = client.read(&mut [0; 1024]);
            let text = "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n";
            // A record of standard output: version 1, type 6, request 1, the length, no padding (FastCGI, section 3.3).
            let record = [&[1, 6, 0, 1, 0, text.len() as u8, 0, 0], text.as_bytes()].concat();
            let _ = client.write_all(&record);
            open.push(client);
        }
    });
    address
}

#[test]
fn of_apache_before_fastcgi() {
    let (hub, program) = (Hub::start(&["serve", "--memory"]), fastcgi());
    let start = |flush: &str| apache::start(&hub, &format!("ProxyPass \"/ticks\" \"fcgi://{program}/\" {flush}"));
    let ill = diagnose(&start("").url("/ticks"), &["--patience", "500ms", "--max-time", "4s"]);
    ill.assert("connect", "problem", "no answer came");
    let flush = "flushpackets=on";
    assert!(ill.cure("connect", "Apache").unwrap().contains(flush), "{ill:?}");
    let well = diagnose(&start(flush).url("/ticks"), &["--patience", "500ms", "--max-time", "10s"]);
    assert_eq!((well.code, well.problems()), (Some(0), vec![]), "{well:?}");
    well.assert("first-bytes", "ok", "");
}

/// The blocks of `docs/operations.md`, which the one of nginx is tested beside.
#[test]
fn what_is_documented_is_well() {
    let hub = Hub::start(&["serve", "--memory", "--heartbeat", "100ms", "--cors-origin", ORIGIN]);
    for start in [apache::start_documented, haproxy::start_documented, caddy::start_documented] {
        let proxy = start(&hub);
        let certificate = proxy.certificate();
        let arguments = ["--cacert", certificate.to_str().unwrap(), "--origin", ORIGIN, "--idle", "1s"];
        let diagnosis = diagnose(&proxy.url("/events"), &[&arguments[..], &PATIENT].concat());
        assert_eq!((diagnosis.code, diagnosis.problems()), (Some(0), vec![]), "{diagnosis:?}");
        diagnosis.assert("http", "ok", "HTTP/2");
        for name in ["cors", "first-bytes", "delivery", "compression", "resume", "idle"] {
            diagnosis.assert(name, "ok", "");
        }
    }
}
