//! The exact sequence, under publishers and subscribers that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare_server::{Channel, Event, LastEventId};

use crate::reading::{Client, PATIENCE, read};

const PUBLISHERS: usize = 4;
const EVENTS: usize = 2000;
const SUBSCRIBERS: usize = 24;
const TOPICS: [&str; 3] = ["a", "b", "c"];

/// Each event says which publisher it is of and its number there. A subscriber leaves after a random number of events and
/// comes back with its last id, until it has all of its topics: none may be missing, doubled or out of order.
async fn exact_sequence(seed: u64) {
    let channel = Channel::new();
    let done = Arc::new(AtomicUsize::new(0));
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|number| {
            let (channel, mut random) = (channel.clone(), Random(seed + number as u64));
            let topics: Vec<&str> = TOPICS.into_iter().take(1 + number % TOPICS.len()).collect();
            tokio::spawn(async move {
                let (mut cursor, mut seen) = (LastEventId(None), vec![Vec::new(); PUBLISHERS]);
                loop {
                    let subscription = channel.subscribe(topics.iter().copied()).after(cursor.clone()).from_start();
                    let mut reader = read(subscription);
                    let stay = random.below(400);
                    for _ in 0..stay {
                        let Some(heard) = reader.next().await else { return (topics, seen) };
                        assert_eq!(heard.event_type, "message");
                        let (publisher, n) = heard.data.split_once(' ').unwrap();
                        seen[publisher.parse::<usize>().unwrap()].push(n.parse::<usize>().unwrap());
                        cursor = LastEventId(Some(heard.id.try_into().unwrap()));
                        if random.below(50) == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            })
        })
        .collect();
    for publisher in 0..PUBLISHERS {
        let (channel, done, mut random) = (channel.clone(), Arc::clone(&done), Random(seed + 1000 + publisher as u64));
        tokio::spawn(async move {
            for n in 0..EVENTS {
                let topic = TOPICS[(n + publisher) % TOPICS.len()];
                channel.publish(topic, Event::data(format!("{publisher} {n}"))).unwrap();
                if random.below(20) == 0 {
                    tokio::task::yield_now().await;
                }
            }
            if done.fetch_add(1, Ordering::AcqRel) == PUBLISHERS - 1 {
                channel.finish();
            }
        });
    }
    for subscriber in subscribers {
        let (topics, seen) = tokio::time::timeout(PATIENCE, subscriber).await.unwrap().unwrap();
        for (publisher, seen) in seen.into_iter().enumerate() {
            let is_mine = |n: &usize| topics.contains(&TOPICS[(n + publisher) % TOPICS.len()]);
            let expected: Vec<usize> = (0..EVENTS).filter(is_mine).collect();
            assert_eq!(seen, expected, "publisher {publisher} on {topics:?}");
        }
    }
    assert_eq!(channel.subscribers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_subscriber_gets_each_event_once_and_in_order() {
    for seed in [1, 2, 3] {
        exact_sequence(seed).await;
    }
}

/// The same over sockets that leave hyper, some of them read slowly.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscriber_on_a_socket_gets_each_event_once_and_in_order() {
    const EVENTS: usize = 1200;
    let channel = Channel::new();
    let address = crate::takeover::serve(&channel).await;
    let subscribers: Vec<_> = (0..16_u64)
        .map(|number| {
            let mut random = Random(number);
            tokio::spawn(async move {
                let (mut cursor, mut seen) = ("earliest".to_owned(), Vec::new());
                loop {
                    let mut client = Client::get(address, "/events", &format!("Last-Event-ID: {cursor}\r\n")).await;
                    let stay = random.below(300) as usize;
                    let mut events = Vec::new();
                    while events.len() < stay && client.more().await {
                        events = client.events();
                        if random.below(4) == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    for heard in events {
                        assert_eq!(heard.event_type, "message");
                        seen.push(heard.data.split(' ').next().unwrap().parse::<usize>().unwrap());
                        cursor = heard.id;
                    }
                    if client.body().1 {
                        return seen;
                    }
                }
            })
        })
        .collect();
    for n in 0..EVENTS {
        channel.publish("a", Event::data(format!("{n} {}", "x".repeat(n % 3000)))).unwrap();
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    channel.finish();
    for subscriber in subscribers {
        let seen = tokio::time::timeout(PATIENCE, subscriber).await.unwrap().unwrap();
        assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>());
    }
    assert_eq!(channel.subscribers(), 0);
}

/// Numbers that only have to differ.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
