use std::sync::Arc;
use std::time::Duration;

use crate::hubs::Hubs;
use crate::load::Load;
use crate::proxy::{Mode, Proxy};
use crate::publishers::publish_last;
use crate::servers::Servers;
use crate::subscribers::Events;
use crate::until;

/// Lets the load run: what is counted is events, not time, so a slow machine has fewer.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn leader(servers: &Servers) -> Option<usize> {
    for index in 0..servers.count() {
        // One of them may be down.
        let Ok(client) = async_nats::connect(format!("nats://{}", servers.address(index))).await else { continue };
        let asked = client.request("$JS.API.STREAM.INFO.FANFARE", "".into()).await;
        let info = asked.ok().and_then(|answer| serde_json::from_slice::<serde_json::Value>(&answer.payload).ok());
        if let Some(name) = info.as_ref().and_then(|info| info["cluster"]["leader"].as_str()) {
            return Some(servers.named(name));
        }
    }
    None
}

/// Who leads, once somebody does.
async fn settled_leader(servers: &Servers) -> usize {
    until("somebody leads", async || leader(servers).await.is_some()).await;
    leader(servers).await.expect("nobody was killed since")
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_nats_that_are_killed_cost_nothing_acknowledged() {
    let mut servers = Servers::three();
    let hubs = Arc::new(Hubs::start(&vec![servers.url(); 2], &["--engine-replicas", "3"]));
    hubs.all_ready().await;
    let load = Load::start(&hubs);
    a_while().await;
    let first = settled_leader(&servers).await;
    let follower = (first + 1) % 3;
    servers.kill(follower);
    a_while().await;
    servers.begin(follower);
    hubs.all_ready().await;
    a_while().await;
    let second = settled_leader(&servers).await;
    servers.kill(second);
    until("another leads", async || leader(&servers).await.is_some_and(|now| now != second)).await;
    a_while().await;
    servers.begin(second);
    hubs.all_ready().await;
    a_while().await;
    load.finish("a follower and the leader killed").await;
}

/// The same with a crowd. What is waited for is events and not time, so that a slow machine has as many.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_hops_between_hubs_misses_nothing_while_servers_are_killed() {
    let mut servers = Servers::three();
    let hubs = Arc::new(Hubs::start(&vec![servers.url(); 2], &["--engine-replicas", "3"]));
    hubs.all_ready().await;
    let load = Load::crowd(&hubs);
    load.more(600).await;
    let leader = settled_leader(&servers).await;
    servers.kill(leader);
    load.more(600).await;
    servers.begin(leader);
    hubs.all_ready().await;
    load.more(600).await;
    let follower = (settled_leader(&servers).await + 1) % 3;
    servers.kill(follower);
    load.more(600).await;
    servers.begin(follower);
    hubs.all_ready().await;
    load.more(600).await;
    load.finish("a crowd, the leader and a follower killed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_nats_stops_and_comes_back() {
    let mut servers = Servers::three();
    let hubs = Arc::new(Hubs::start(&vec![servers.url(); 2], &["--engine-replicas", "3"]));
    hubs.all_ready().await;
    let load = Load::start(&hubs);
    a_while().await;
    servers.kill_all();
    for hub in 0..2 {
        until("the hub says so", async || {
            hubs.ready(hub).await.is_some_and(|(is_ready, why)| !is_ready && why.contains("NATS is away"))
        })
        .await;
    }
    a_while().await;
    servers.begin_all();
    hubs.all_ready().await;
    a_while().await;
    load.finish("all of NATS killed and started").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_that_are_killed_go_on_where_they_were() {
    let servers = Servers::one();
    let hubs = Arc::new(Hubs::start(&vec![servers.url(); 3], &[]));
    hubs.all_ready().await;
    let load = Load::start(&hubs);
    for _ in 0..2 {
        for hub in [0, 1] {
            a_while().await;
            hubs.kill(hub);
            tokio::time::sleep(Duration::from_millis(300)).await;
            hubs.begin(hub);
        }
    }
    hubs.all_ready().await;
    load.finish("hubs killed, one in memory and one on disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_cut_off_from_nats_comes_back_without_a_gap() {
    let servers = Servers::one();
    let proxy = Proxy::to(servers.address(0)).await;
    let hubs = Arc::new(Hubs::start(&[servers.url(), format!("nats://{}", proxy.address)], &[]));
    hubs.all_ready().await;
    let load = Load::start(&hubs);
    for mode in [Mode::Closed, Mode::Silent] {
        a_while().await;
        proxy.set(mode);
        until("it notices", async || !hubs.is_ready(1).await).await;
        assert!(hubs.is_ready(0).await, "the other goes on");
        a_while().await;
        proxy.set(Mode::Open);
        hubs.all_ready().await;
    }
    a_while().await;
    load.finish("a hub cut off, by resets and by silence").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_anew_is_a_gap_for_all_and_a_new_epoch() {
    let servers = Servers::one();
    let hubs = Arc::new(Hubs::start(&vec![servers.url(); 2], &[]));
    hubs.all_ready().await;
    let old = publish_last(&hubs, "old").await;
    let mut live = Vec::new();
    for hub in 0..2 {
        let answer = reqwest::Client::new().get(hubs.url(hub, "/events")).header("Last-Event-ID", "earliest");
        let mut events = Events::of(answer.send().await.unwrap());
        assert_eq!(events.next().await.unwrap().id, old);
        live.push(events);
    }
    let client = async_nats::connect(servers.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("FANFARE").await.unwrap();
    let new = publish_last(&hubs, "new").await;
    let epoch = |id: &str| id.parse::<fanfare_log::Position>().unwrap().epoch;
    assert!(epoch(&new) > epoch(&old));
    for events in &mut live {
        let gap = tokio::time::timeout(crate::PATIENCE, events.next()).await.unwrap().unwrap();
        assert_eq!(gap.event_type, "fanfare-gap");
        assert!(gap.data.contains(&old) && gap.data.contains("lagged"), "{gap:?}");
        assert_eq!(epoch(&gap.id), epoch(&new));
        let came = events.next().await.unwrap();
        assert_eq!((came.id, came.data.as_str()), (new.clone(), "new"));
    }
    for hub in 0..2 {
        let answer = reqwest::Client::new().get(hubs.url(hub, "/events")).header("Last-Event-ID", &old);
        let mut events = Events::of(answer.send().await.unwrap());
        let gap = events.next().await.unwrap();
        assert!(gap.event_type == "fanfare-gap" && gap.data.contains("unknown"), "{gap:?}");
    }
}
