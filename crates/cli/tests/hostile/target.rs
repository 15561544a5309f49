//! The hub under attack, and the one check that it withstands one.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use fanfare_wire::{Decoded, Decoder};
use reqwest::{Client, Response};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::running::{Hub, PATIENCE};

/// How often an attack is made after the first time, in which the allocator and the tables grow to the size that they keep.
const ROUNDS: usize = 2;

/// What memory may differ by from one moment to another: freed pages that the allocator keeps for its threads. Each attack
/// would leave more behind if what it made the hub hold stayed.
const SLACK_BYTES: u64 = 8 << 20;

/// Between two checks while an attack lasts: each takes a port of loopback that is only free again a minute later.
const PACE: Duration = Duration::from_millis(20);

/// With little history, so that what is published does not look like a leak.
pub(crate) const SERVE: [&str; 6] = ["serve", "--memory", "--retain-bytes", "2MiB", "--shards", "2"];

pub(crate) struct Target {
    pub(crate) hub: Hub,
    client: Client,
    /// For whoever comes anew: each on a connection of its own.
    newcomers: Client,
    /// A subscriber who was there before, and to whom nothing may happen.
    bystander: Mutex<Reader>,
    published: Cell<usize>,
    /// Connections that are open when nobody attacks.
    connections: u64,
}

impl Target {
    /// A hub of its own, with these arguments beside [`SERVE`].
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::of(Hub::start(&[&SERVE, arguments].concat()), Client::builder()).await
    }

    /// A hub that runs already, and a client that it serves.
    pub(crate) async fn of(hub: Hub, client: reqwest::ClientBuilder) -> Self {
        let client = client.pool_max_idle_per_host(1).build().unwrap();
        let bystander = Reader::subscribe(&client, &hub.url("/events/bystander")).await;
        let bystander = Mutex::new(bystander);
        let newcomers = Client::builder().danger_accept_invalid_certs(true).pool_max_idle_per_host(0).build().unwrap();
        let mut target = Self { hub, client, newcomers, bystander, published: Cell::new(0), connections: 0 };
        target.serves_others().await;
        target.connections = target.metric("fanfare_connections").await;
        target
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.hub.address
    }

    /// Makes the attack several times. It may take `held_bytes` of the hub's memory while it lasts, nothing after it, and
    /// nothing of the others' service.
    pub(crate) async fn withstands(&self, held_bytes: u64, attack: impl AsyncFn(SocketAddr)) {
        let peak = self.serves_others_during(attack(self.address())).await;
        self.everybody_has_gone().await;
        let before = self.memory_bytes();
        let mut peak = peak;
        for _ in 0..ROUNDS {
            peak = peak.max(self.serves_others_during(attack(self.address())).await);
            self.everybody_has_gone().await;
        }
        self.memory_is_back_to(before).await;
        assert!(peak <= before + held_bytes + SLACK_BYTES, "{peak} bytes while it lasted, {before} before");
    }

    /// Serves others as long as the attack lasts, and once more. Gives the most memory that was seen.
    async fn serves_others_during(&self, attack: impl Future<Output = ()>) -> u64 {
        let (is_over, peak) = (Cell::new(false), Cell::new(0));
        let attacked = async {
            timeout(PATIENCE * 5, attack).await.expect("the attack does not come to its end");
            is_over.set(true);
        };
        let served = async {
            while !is_over.get() {
                self.serves_others().await;
                peak.set(peak.get().max(self.memory_bytes()));
                sleep(PACE).await;
            }
            self.serves_others().await;
        };
        futures_util::future::join(attacked, served).await;
        peak.get()
    }

    /// A publisher is answered, and its event comes to a subscriber of old, who missed none, and to a new one.
    pub(crate) async fn serves_others(&self) {
        self.serves_the_bystander().await;
        let mut newcomer = Reader::subscribe(&self.newcomers, &self.hub.url("/events/newcomer")).await;
        self.publish("newcomer", "welcome").await;
        assert_eq!(newcomer.next().await, "welcome");
    }

    /// A publisher is answered, and its event comes to a subscriber of old.
    pub(crate) async fn serves_the_bystander(&self) {
        let number = self.published.get().to_string();
        self.published.set(self.published.get() + 1);
        self.publish("bystander", &number).await;
        assert_eq!(self.bystander.lock().await.next().await, number);
    }

    pub(crate) async fn publish(&self, topic: &str, data: &str) {
        let request = self.client.post(self.hub.url(&format!("/events/{topic}"))).body(data.to_owned());
        let response = timeout(PATIENCE, request.send()).await.expect("a publisher is answered").unwrap();
        assert_eq!(response.status(), 200);
        // The connection goes back to the pool when the answer was read.
        response.bytes().await.unwrap();
    }

    /// What subscribers of `topic` were sent that is kept.
    pub(crate) async fn history(&self, topic: &str) -> Vec<String> {
        self.publish(topic, "the end").await;
        let url = self.hub.url(&format!("/events/{topic}?lastEventID=earliest"));
        let mut reader = Reader::subscribe(&self.client, &url).await;
        let mut history = Vec::new();
        loop {
            match reader.next().await {
                end if end == "the end" => return history,
                data => history.push(data),
            }
        }
    }

    /// Waits until nobody is connected but those who were before.
    pub(crate) async fn everybody_has_gone(&self) {
        let gone = async {
            while self.metric("fanfare_connections").await > self.connections
                || self.metric("fanfare_subscribers").await > 1
            {
                sleep(PACE).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("the hub still holds connections that nobody has");
    }

    async fn metric(&self, name: &str) -> u64 {
        let response = timeout(PATIENCE, self.client.get(self.hub.url("/metrics")).send()).await.unwrap().unwrap();
        let text = response.text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("there is no {name} in {text}"))
    }

    async fn memory_is_back_to(&self, before: u64) {
        let back = async {
            while self.memory_bytes() > before + SLACK_BYTES {
                sleep(PACE).await;
            }
        };
        if timeout(PATIENCE, back).await.is_err() {
            panic!("{} bytes after it, {before} before", self.memory_bytes());
        }
    }

    /// The hub's own memory: no files, nothing that it shares.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.hub.id())).unwrap();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        kilobytes.unwrap().parse::<u64>().unwrap() << 10
    }
}

/// A subscriber of good will.
struct Reader {
    response: Response,
    decoder: Decoder,
    events: std::collections::VecDeque<String>,
}

impl Reader {
    async fn subscribe(client: &Client, url: &str) -> Self {
        let response = timeout(PATIENCE, client.get(url).send()).await.expect("a subscriber is answered").unwrap();
        assert_eq!(response.status(), 200);
        Self { response, decoder: Decoder::new(), events: std::collections::VecDeque::new() }
    }

    /// The data of the next event.
    async fn next(&mut self) -> String {
        loop {
            if let Some(data) = self.events.pop_front() {
                return data;
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event comes").unwrap();
            let chunk = chunk.expect("the stream goes on");
            let mut rest = &chunk[..];
            while let Some(decoded) = self.decoder.decode(&mut rest) {
                if let Decoded::Event(event) = decoded {
                    self.events.push_back(event.data.to_owned());
                }
            }
        }
    }
}
