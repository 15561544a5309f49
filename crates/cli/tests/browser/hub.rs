//! The hub under test: the binary that people run.

use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::Response;

use crate::process::Process;

/// `fanfare serve` or `fanfare demo` on a port of its own.
pub(crate) struct Hub {
    process: Process,
    arguments: Vec<String>,
    scheme: String,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
}

impl Hub {
    pub(crate) fn serve() -> Self {
        Self::serve_with(&[])
    }

    pub(crate) fn serve_with(arguments: &[&str]) -> Self {
        Self::start([&["serve", "--memory"], arguments].concat(), "127.0.0.1:0")
    }

    /// The same over TLS, with a certificate that nobody knows.
    pub(crate) fn serve_tls(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&certificate, cert.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        let files = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        // It has read them once it listens.
        Self::serve_with(&[&files[..], arguments].concat())
    }

    pub(crate) fn demo() -> Self {
        Self::start(vec!["demo"], "127.0.0.1:0")
    }

    /// Ends it as a crash would. Its port is free then.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address. Its history was in memory and is gone.
    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same with further settings.
    pub(crate) fn restart_with(&mut self, arguments: &[&str]) {
        self.kill();
        let arguments = self.arguments.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        *self = Self::start(arguments, &self.address);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Publishes `data` by a request of its own, from outside the browser, and gives the id.
    pub(crate) async fn publish(&self, path: &str, data: &str) -> String {
        self.post(path, data).await.text().await.unwrap()
    }

    /// Publishes an event for each of `events` on `topic` in one batch.
    pub(crate) async fn publish_batch(&self, topic: &str, events: &[String]) {
        let line = |data: &String| serde_json::json!({ "topic": topic, "data": data }).to_string() + "\n";
        self.post("/events", &events.iter().map(line).collect::<String>()).await;
    }

    /// How many events were published since it started.
    pub(crate) async fn published(&self) -> u64 {
        let request = client().get(self.url("/metrics"));
        let text = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix("fanfare_published_events_total "));
        value.unwrap().parse().unwrap()
    }

    async fn post(&self, path: &str, data: &str) -> Response {
        let content_type = if path == "/events" { "application/x-ndjson" } else { "text/plain" };
        let request = client().post(self.url(path)).header("Content-Type", content_type).body(data.to_owned());
        request.send().await.unwrap().error_for_status().unwrap()
    }

    fn start(arguments: Vec<&str>, address: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.args(&arguments).args(["--listen", address]).env("FANFARE_LOG", "warn");
        let (process, (scheme, address)) = Process::start(command, |line| {
            let (scheme, address) = line.split_once("listens on ")?.1.trim().split_once("://")?;
            Some((scheme.to_owned(), address.to_owned()))
        });
        Self { process, arguments: arguments.into_iter().map(str::to_owned).collect(), scheme, address }
    }
}

fn client() -> reqwest::Client {
    // A hub of a test shows a certificate that nobody knows.
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    client.timeout(crate::webdriver::PATIENCE).build().unwrap()
}
