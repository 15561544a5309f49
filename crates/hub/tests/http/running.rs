//! A hub on a port of its own, and subscribers that read what it sends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use fanfare_hub::{Hub, HubBuilder, RunError, Settings, Topic, Update};
use fanfare_log::Retention;
use fanfare_wire::{Decoded, Decoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything takes on the slowest machine: a test that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, Retention::default()).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Settings), retention: Retention) -> Self {
        let mut settings = Settings::default();
        set(&mut settings);
        Self::of(Hub::builder().settings(settings).memory(retention)).await
    }

    /// Whatever history `builder` has.
    pub(crate) async fn of(builder: HubBuilder) -> Self {
        Self::seeded(builder, 7).await
    }

    /// The same with other random numbers: subscribers' names are of them.
    pub(crate) async fn seeded(builder: HubBuilder, seed: u64) -> Self {
        let hub = builder.seed(seed).build().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn({
            let hub = hub.clone();
            async move { hub.run(listener, async { stopped.await.unwrap_or_default() }).await }
        });
        Self { hub, address, client: reqwest::Client::new(), stop: Some(stop), server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(self.url(path))
    }

    /// Publishes `data` on `topic` without HTTP and gives the id.
    pub(crate) async fn publish(&self, topic: &str, data: impl Into<String>) -> String {
        self.hub.publish(Update::new(Topic::new(topic).unwrap(), data)).await.unwrap()
    }

    pub(crate) async fn subscribe(&self, path: &str) -> Subscriber {
        Subscriber::new(self.get(path).send().await.unwrap())
    }

    pub(crate) async fn resume(&self, path: &str, last_event_id: &str) -> Subscriber {
        Subscriber::new(self.get(path).header("Last-Event-ID", last_event_id).send().await.unwrap())
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Tells it to stop, as a signal would.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for its end. A paused clock runs ahead of the shards, whose threads it does not know, so patience counts in hours.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(PATIENCE * 1000, self.server).await.unwrap().unwrap().unwrap();
    }
}

/// An event as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) event_type: String,
    pub(crate) data: String,
    pub(crate) id: String,
}

pub(crate) struct Subscriber {
    pub(crate) response: reqwest::Response,
    decoder: Decoder,
    events: VecDeque<Got>,
    pub(crate) comments: usize,
    pub(crate) retry: Option<u64>,
}

impl Subscriber {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self { response, decoder: Decoder::new().with_comments(), events: VecDeque::new(), comments: 0, retry: None }
    }

    pub(crate) fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| std::str::from_utf8(value.as_bytes()).unwrap())
    }

    /// The next event, or `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Got> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The data of the next `count` events.
    pub(crate) async fn data(&mut self, count: usize) -> Vec<String> {
        let mut data = Vec::new();
        for _ in 0..count {
            data.push(self.next().await.unwrap().data);
        }
        data
    }

    /// Reads one chunk. Returns whether there was one.
    pub(crate) async fn read(&mut self) -> bool {
        let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap();
        let Ok(Some(chunk)) = chunk else { return false };
        let mut rest = &chunk[..];
        while let Some(decoded) = self.decoder.decode(&mut rest) {
            match decoded {
                Decoded::Event(message) => self.events.push_back(Got {
                    event_type: message.event_type.to_owned(),
                    data: message.data.to_owned(),
                    id: message.last_event_id.to_owned(),
                }),
                Decoded::Comment(_) => self.comments += 1,
                Decoded::Retry(milliseconds) => self.retry = Some(milliseconds),
                other => panic!("too large for a test: {other:?}"),
            }
        }
        true
    }
}
