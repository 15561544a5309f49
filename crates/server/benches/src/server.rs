//! The servers, each as its documentation shows it. They differ in nothing but who fans out.

use std::convert::Infallible;
use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use fanfare_server::{Channel, Connection, Listener, Subscriber, Subscription};
use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::process;

pub const CANDIDATES: [&str; 3] = [AXUM, "Channel behind axum::serve", LISTENER];

const AXUM: &str = "axum Sse, tokio broadcast";
const LISTENER: &str = "Channel behind Listener";

const EVENT_BYTES: usize = 100;

/// Events that wait for the slowest subscriber. The load keeps fewer on their way.
const CHANNEL_EVENTS: usize = 1024;

/// Serves until it is killed, and publishes as many events at once as each byte of standard input says.
pub fn serve(name: &str) {
    process::stay_on(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let publish = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        println!("{}", listener.local_addr().expect("it is bound"));
        if name == AXUM {
            let sender = broadcast::Sender::new(CHANNEL_EVENTS);
            let router = Router::new().route("/events", get(broadcast_events)).with_state(sender.clone());
            let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                stream.set_nodelay(true).expect("a socket");
            });
            tokio::spawn(axum::serve(listener, router).into_future());
            let publish: Box<dyn Fn(u64)> = Box::new(move |n| {
                // Nobody may be there yet.
                let _ = sender.send(Arc::new((n, data(n))));
            });
            publish
        } else {
            let channel = Channel::new();
            let router = Router::new().route("/events", get(channel_events)).with_state(channel.clone());
            if name == LISTENER {
                let service = router.into_make_service_with_connect_info::<Connection>();
                tokio::spawn(axum::serve(Listener::new(listener), service).into_future());
            } else {
                let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                    stream.set_nodelay(true).expect("a socket");
                });
                tokio::spawn(axum::serve(listener, router).into_future());
            }
            Box::new(move |n| {
                channel.publish("a", fanfare_server::Event::data(data(n))).expect("it is open");
            })
        }
    });
    let (mut input, mut published) = (std::io::stdin().lock(), 0);
    let mut count = [0];
    while input.read_exact(&mut count).is_ok() {
        for _ in 0..count[0] {
            publish(published);
            published += 1;
        }
    }
}

fn data(n: u64) -> String {
    format!("{n} {:x<width$}", "", width = EVENT_BYTES - n.checked_ilog10().unwrap_or(0) as usize - 2)
}

async fn channel_events(State(channel): State<Channel>, subscriber: Subscriber) -> Subscription {
    channel.subscribe(["a"]).to(subscriber)
}

type Sender = broadcast::Sender<Arc<(u64, String)>>;

async fn broadcast_events(State(sender): State<Sender>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(sender.subscribe()).filter_map(async |event| {
        // Whoever lags misses events, which the load would find.
        let event = event.ok()?;
        Some(Ok(Event::default().id(event.0.to_string()).data(&event.1)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
