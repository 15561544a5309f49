//! The candidates. Each reads one stream to its end and says what it found.
//!
//! The clock starts when a client has been made, which takes some of them milliseconds for TLS that is not used here.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;

use crate::Clock;

/// What a client found, which must be the same for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    pub events: usize,
    pub data_bytes: usize,
}

impl Found {
    fn count(&mut self, data: &str) {
        self.events += 1;
        self.data_bytes += data.len();
    }
}

pub struct Client {
    pub name: &'static str,
    pub read: fn(String) -> Reading,
}

type Reading = Pin<Box<dyn Future<Output = (Clock, Found)> + Send>>;

/// Ours first: the others are compared with it.
pub const CLIENTS: [Client; 5] = [
    Client { name: "fanfare-client", read: |url| Box::pin(fanfare(url)) },
    Client { name: "fanfare-client, callbacks", read: |url| Box::pin(fanfare_callbacks(url)) },
    Client { name: "eventsource-client 0.18.0", read: |url| Box::pin(eventsource_client(url)) },
    Client { name: "reqwest-eventsource 0.6.0", read: |url| Box::pin(reqwest_eventsource(url)) },
    Client { name: BYTES_ALONE, read: |url| Box::pin(bytes_alone(url)) },
];

/// Finds no events, and is no client: what HTTP alone costs.
pub const BYTES_ALONE: &str = "reqwest alone, bytes";

async fn fanfare(url: String) -> (Clock, Found) {
    let builder = fanfare_client::EventSource::builder(url).retry(fanfare_client::RetryPolicy::never());
    let mut events = builder.stream().expect("it is a URL");
    let clock = Clock::start();
    let mut found = Found::default();
    while let Some(event) = events.next().await {
        found.count(event.expect("it is a stream").data());
    }
    (clock, found)
}

async fn fanfare_callbacks(url: String) -> (Clock, Found) {
    let found = Arc::new(Mutex::new(Found::default()));
    let counting = Arc::clone(&found);
    let (ended, wait_ended) = tokio::sync::oneshot::channel();
    let mut ended = Some(ended);
    let client = reqwest::Client::new();
    let clock = Clock::start();
    let source = fanfare_client::EventSource::builder(url)
        .client(client)
        .retry(fanfare_client::RetryPolicy::never())
        .on_message(move |event| counting.lock().expect("nobody panics").count(event.data()))
        .on_error(move |_| {
            // Whoever waits for the end is still there.
            let _ = ended.take().map(|ended| ended.send(()));
        })
        .connect()
        .expect("it is a URL");
    wait_ended.await.expect("it ends");
    drop(source);
    let found = *found.lock().expect("nobody panics");
    (clock, found)
}

async fn eventsource_client(url: String) -> (Clock, Found) {
    use eventsource_client::Client as _;

    let transport = launchdarkly_sdk_transport::HyperTransport::builder().build_http().expect("it speaks HTTP");
    let client = eventsource_client::ClientBuilder::for_url(&url)
        .expect("it is a URL")
        .reconnect(eventsource_client::ReconnectOptions::reconnect(false).build())
        .build_with_transport(transport);
    let mut events = client.stream();
    let clock = Clock::start();
    let mut found = Found::default();
    while let Some(Ok(event)) = events.next().await {
        if let eventsource_client::SSE::Event(event) = event {
            found.count(&event.data);
        }
    }
    (clock, found)
}

async fn reqwest_eventsource(url: String) -> (Clock, Found) {
    let mut events = reqwest_eventsource::EventSource::get(url);
    let clock = Clock::start();
    let mut found = Found::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(reqwest_eventsource::Event::Message(event)) => found.count(&event.data),
            Ok(reqwest_eventsource::Event::Open) => {}
            // The end of the stream, after which it would reconnect.
            Err(_) => break,
        }
    }
    (clock, found)
}

/// Reqwest, as ours uses it, without looking at the bytes.
async fn bytes_alone(url: String) -> (Clock, Found) {
    let client = reqwest::Client::new();
    let clock = Clock::start();
    let mut bytes = client.get(url).send().await.expect("it answers").bytes_stream();
    let mut read = 0;
    while let Some(chunk) = bytes.next().await {
        read += chunk.expect("it is whole").len();
    }
    (clock, Found { events: 0, data_bytes: read })
}
