use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fanfare_hub::{Hub, Topic, Update};
use fanfare_log::Retention;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::servers::Servers;
use crate::{node, until};

const SUBSCRIBERS: usize = 100;

/// Publishes through the first hub as fast as its answers come, and counts what all subscribers read, by its bytes.
pub(crate) async fn rate(servers: &Servers, count: usize, time: Duration) -> f64 {
    let retention = Retention { bytes: Some(256 << 20), ..Retention::default() };
    let (mut hubs, mut addresses) = (Vec::new(), Vec::new());
    let (stop, mut running) = (watch::Sender::new(false), JoinSet::new());
    for _ in 0..count {
        let (engine, log) = node(servers, retention).await;
        let hub = Hub::builder().engine(engine, log).build().await.expect("a hub");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        addresses.push(listener.local_addr().expect("its address"));
        let (server, mut stopped) = (hub.clone(), stop.subscribe());
        let stopped = async move { stopped.wait_for(|is_over| *is_over).await.map_or((), drop) };
        running.spawn(async move { server.run(listener, stopped).await });
        hubs.push(hub);
    }
    let (read, mut subscribers) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for subscriber in 0..SUBSCRIBERS {
        let mut socket = TcpStream::connect(addresses[subscriber % count]).await.expect("a connection");
        socket.write_all(b"GET /events/bench HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("a request");
        let read = read.clone();
        subscribers.spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(bytes @ 1..) = socket.read(&mut buffer).await {
                // Every event has one, and nothing else does.
                let events = buffer[..bytes].iter().filter(|byte| **byte == b'~').count();
                read.fetch_add(events as u64, Ordering::Relaxed);
            }
        });
    }
    let is_complete = || hubs.iter().map(|hub| hub.figures().subscribers).sum::<u64>() == SUBSCRIBERS as u64;
    until("all have subscribed", is_complete).await;
    let begun = Instant::now();
    let mut publishers = JoinSet::new();
    for _ in 0..64 {
        let hub = hubs[0].clone();
        publishers.spawn(async move {
            let topic = Topic::new("bench").expect("a topic");
            let data = format!("~{}", "x".repeat(crate::FRAME_BYTES - 1));
            while begun.elapsed() < time {
                hub.publish(Update::new(topic.clone(), data.clone())).await.expect("it is stored");
            }
        });
    }
    publishers.join_all().await;
    let rate = read.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    // The next measurement shall not share the machine with this one.
    subscribers.shutdown().await;
    stop.send_replace(true);
    running.join_all().await;
    rate
}
