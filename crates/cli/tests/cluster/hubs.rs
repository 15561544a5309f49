use std::net::SocketAddr;
use std::sync::Mutex;

use tempfile::TempDir;

use crate::running::Hub;
use crate::until;

/// Hubs with addresses that stay, whatever becomes of their processes.
pub(crate) struct Hubs {
    hubs: Vec<(Vec<String>, Mutex<Option<Hub>>)>,
    addresses: Vec<SocketAddr>,
    /// Where publishers and subscribers come in: the hubs themselves, unless something stands before them.
    pub(crate) doors: Vec<SocketAddr>,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Hubs {
    /// One hub for each URL of an engine: the first keeps its events in memory, the others on disk.
    pub(crate) fn start(engines: &[String], more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut hubs, mut addresses) = (Vec::new(), Vec::new());
        for (index, engine) in engines.iter().enumerate() {
            let data = folder.path().join(index.to_string());
            let name = format!("hub{index}");
            let mut arguments = vec!["serve", "--engine", engine, "--node-name", &name];
            let data = data.to_str().unwrap().to_owned();
            match index {
                0 => arguments.push("--memory"),
                _ => arguments.extend(["--data-dir", &data]),
            }
            arguments.extend(more);
            let hub = Hub::start(&arguments);
            let address = hub.address.to_string();
            addresses.push(hub.address);
            arguments.extend(["--listen", &address]);
            hubs.push((arguments.into_iter().map(str::to_owned).collect(), Mutex::new(Some(hub))));
        }
        Self { hubs, doors: addresses.clone(), addresses, client: reqwest::Client::new(), _folder: folder }
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// At a random door.
    pub(crate) fn somewhere(&self, path: &str) -> String {
        format!("http://{}{path}", self.doors[fastrand::usize(0..self.doors.len())])
    }

    pub(crate) fn url(&self, index: usize, path: &str) -> String {
        format!("http://{}{path}", self.addresses[index])
    }

    /// Ends one as `kill -9` does.
    pub(crate) fn kill(&self, index: usize) {
        let mut hub = self.hubs[index].1.lock().unwrap().take().unwrap();
        hub.signal("KILL");
        hub.ended();
    }

    /// Starts it where it was.
    pub(crate) fn begin(&self, index: usize) {
        let arguments: Vec<&str> = self.hubs[index].0.iter().map(String::as_str).collect();
        *self.hubs[index].1.lock().unwrap() = Some(Hub::start(&arguments));
    }

    /// What `/health/ready` says, if anything.
    pub(crate) async fn ready(&self, index: usize) -> Option<(bool, String)> {
        let answer = self.client.get(self.url(index, "/health/ready")).send().await.ok()?;
        Some((answer.status().is_success(), answer.text().await.ok()?))
    }

    pub(crate) async fn is_ready(&self, index: usize) -> bool {
        self.ready(index).await.is_some_and(|(is_ready, _)| is_ready)
    }

    pub(crate) async fn all_ready(&self) {
        for index in 0..self.hubs.len() {
            until("the hub is ready", async || self.is_ready(index).await).await;
        }
    }
}
