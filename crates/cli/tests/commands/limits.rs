//! The limits of a client, as flags, in the environment and in the file.

use std::io::Write;

use crate::running::{Hub, curl, fanfare, run};

fn status(arguments: &[&str]) -> String {
    curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat())
}

#[test]
fn each_comes_from_the_flag_the_environment_or_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "memory = true\ntrusted_proxy = ['127.0.0.1', '10.0.0.0/8']\npublish_rate = 1\nmax_topics = 1")
        .unwrap();
    writeln!(file, "slow_policies = 'conflate'").unwrap();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--config", file.path().to_str().unwrap()]);
    command.args(["--max-topics", "2"]).env("FANFARE_PUBLISH_RATE", "2");
    let hub = Hub::spawn(command.env("FANFARE_SLOW_POLICIES", "catch-up,conflate"));
    let publish = |client: &str| status(&["-H", client, "-d", "x", &hub.url("/events/a")]);
    let (one, other) = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2");
    // A batch takes more than there is, so that the next is refused however slow this machine is.
    let batch = "{\"topic\":\"a\"}\n".repeat(1000);
    let ndjson = "Content-Type: application/x-ndjson";
    assert_eq!(status(&["-H", one, "-H", ndjson, "--data-binary", &batch, &hub.url("/events")]), "200");
    assert_eq!(publish(one), "429");
    assert_eq!(publish(other), "200");
    let subscribe = |query: &str| status(&[&hub.url(&format!("/events?{query}"))]);
    assert_eq!(subscribe("topic=a&topic=b&topic=c"), "400");
    assert_eq!(subscribe("slow=disconnect"), "403");
    assert_eq!(subscribe("slow=soon"), "400");
}

#[test]
fn what_can_not_be_is_said() {
    let table: [(&[&str], &str); 6] = [
        (&["--trusted-proxy", "10.0.0.0/33"], "10.0.0.0/33"),
        (&["--trusted-proxy", "proxy.example"], "is not a network"),
        (&["--publish-rate", "0"], "--publish-rate"),
        (&["--slow-policies", "fast"], "catch-up, disconnect or conflate"),
        (&["--max-connection-age", "0"], "longer than zero"),
        (&["--max-connections-per-ip", "many"], "--max-connections-per-ip"),
    ];
    for (arguments, reason) in table {
        let all = [&["serve", "--memory", "--listen", "127.0.0.1:0"], arguments].concat();
        let ended = run(&mut fanfare(&all), b"");
        assert!(ended.code == Some(2) && ended.stderr.contains(reason), "{arguments:?} {ended:?}");
    }
}
