//! Hubs that tell each other who is subscribed, over a network of the test's own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare_hub::{Authorization, Hub, Neighbours, NodeId, Receiving, Sending, Settings};
use fanfare_log::{Epoch, MemoryLog, Retention};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::running::{Running, Subscriber};
use crate::subscriptions::{ALL, EACH, HUB, LIST};
use crate::tokens::{SUBSCRIBER, both, publisher, signed, subscriber};

/// Who is on the network, and what comes to them.
type Inboxes = Arc<Mutex<HashMap<NodeId, mpsc::Sender<Vec<u8>>>>>;

/// One hub's place on the network.
#[derive(Debug)]
struct Door {
    node: NodeId,
    inboxes: Inboxes,
    inbox: tokio::sync::Mutex<mpsc::Receiver<Vec<u8>>>,
    is_cut: AtomicBool,
}

impl Neighbours for Door {
    fn node(&self) -> NodeId {
        self.node
    }

    fn message_bytes_max(&self) -> usize {
        16 << 10
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn send(&self, to: Option<NodeId>, message: Vec<u8>) -> Sending<'_> {
        let others: Vec<_> = match to {
            _ if self.is_cut.load(Ordering::SeqCst) => Vec::new(),
            Some(node) => self.inboxes.lock().unwrap().get(&node).cloned().into_iter().collect(),
            None => self.inboxes.lock().unwrap().values().cloned().collect(),
        };
        for other in others {
            // What there is no room for is lost.
            let _ = other.try_send(message.clone());
        }
        Box::pin(std::future::ready(()))
    }

    fn receive(&self) -> Receiving<'_> {
        Box::pin(async {
            loop {
                let message = self.inbox.lock().await.recv().await;
                if !self.is_cut.load(Ordering::SeqCst) {
                    return message;
                }
            }
        })
    }
}

/// Hubs that share their history, as those on one engine do.
struct Cluster {
    inboxes: Inboxes,
    log: Arc<MemoryLog>,
    lease: Duration,
}

/// For tests that wait for its end, which is when it is and no sooner.
const SHORT: Duration = Duration::from_secs(1);

/// For tests in which nobody is to be taken for dead, however slow the machine is.
const LONG: Duration = Duration::from_secs(60);

impl Cluster {
    fn new(lease: Duration) -> Self {
        let log = MemoryLog::new(Epoch(1), Retention { bytes: Some(1 << 20), ..Retention::default() });
        Self { inboxes: Inboxes::default(), log: Arc::new(log), lease }
    }

    async fn hub(&self, name: &str, bits: u64) -> (Running, Arc<Door>) {
        let (sender, inbox) = mpsc::channel(1024);
        let node = NodeId::new(bits);
        self.inboxes.lock().unwrap().insert(node, sender);
        let door = Door { node, inboxes: self.inboxes.clone(), inbox: inbox.into(), is_cut: AtomicBool::new(false) };
        let door = Arc::new(door);
        let mut settings = Settings::default();
        settings.authorization = Authorization::Tokens(both());
        settings.subscriptions = true;
        settings.node_name = Some(name.parse().unwrap());
        settings.node_lease = self.lease;
        let builder = Hub::builder().settings(settings).log(self.log.clone()).neighbours(door.clone());
        (Running::seeded(builder, bits).await, door)
    }
}

async fn get(hub: &Running, path: &str) -> (u16, String, Value) {
    let response = hub.get(path).bearer_auth(subscriber(&[ALL])).send().await.unwrap();
    let node = response.headers().get("fanfare-node").map_or("", |name| name.to_str().unwrap()).to_owned();
    (response.status().as_u16(), node, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

/// Waits until so many are listed, and every node known.
async fn settle(hub: &Running, nodes: &[&str], count: usize) -> Value {
    loop {
        let (_, _, all) = get(hub, LIST).await;
        let is_whole = all["nodes"] == json!(nodes) && all["incomplete"] == json!([]);
        if is_whole && all["subscriptions"].as_array().unwrap().len() == count {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn watch(hub: &Running, last_event_id: Option<&str>) -> Subscriber {
    let mut request = hub.get(&format!("{HUB}?{EACH}&topic=a")).bearer_auth(subscriber(&[ALL]));
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    Subscriber::new(request.send().await.unwrap())
}

/// The next news of subscriptions to `topic`, and its id.
async fn next(watcher: &mut Subscriber, topic: &str) -> (Value, String) {
    loop {
        let got = watcher.next().await.expect("an event");
        assert_eq!(got.event_type, "message", "{got:?}");
        let document: Value = serde_json::from_str(&got.data).unwrap();
        if document["topic"] == topic {
            return (document, got.id);
        }
    }
}

#[tokio::test]
async fn who_is_on_one_node_is_listed_and_announced_on_the_other() {
    let cluster = Cluster::new(LONG);
    let ((one, _), (two, _)) = (cluster.hub("one", 1).await, cluster.hub("two", 2).await);
    let mut watcher = watch(&two, None).await;
    let token = signed(SUBSCRIBER, &json!({ "mercure": { "subscribe": [], "payload": { "user": "Zoë" } } }));
    let visitor = one.subscribe_with(&format!("{HUB}?topic=x"), &token).await;
    let (came, id) = next(&mut watcher, "x").await;
    assert_eq!((&came["node"], &came["active"]), (&json!("one"), &json!(true)));
    assert_eq!(came["payload"], json!({ "user": "Zoë" }));
    assert!(id.ends_with("-n0000000000000002"), "{id}");

    for (hub, name) in [(&one, "one"), (&two, "two")] {
        // The visitor, and the watcher's two.
        let all = settle(hub, &["one", "two"], 3).await;
        assert_eq!(all["node"], name);
        let (_, node, own) = get(hub, &format!("{LIST}?node=self")).await;
        assert_eq!(node, name);
        let own = own["subscriptions"].as_array().unwrap();
        assert!(own.iter().all(|one| one["node"] == name));
        assert_eq!(own.len(), if name == "one" { 1 } else { 2 });
        let (_, _, other) = get(hub, &format!("{LIST}/x?node=one")).await;
        assert_eq!(other["subscriptions"].as_array().unwrap().len(), 1);
        assert_eq!(get(hub, &format!("{LIST}?node=three")).await.0, 404);
        // One subscription, wherever it is.
        let (status, _, document) = get(hub, came["id"].as_str().unwrap()).await;
        assert_eq!((status, &document["node"]), (200, &json!("one")));
    }
    drop(visitor);
    let (gone, _) = next(&mut watcher, "x").await;
    assert_eq!((&gone["active"], &gone["id"]), (&json!(false), &came["id"]));
    settle(&one, &["one", "two"], 2).await;
}

#[tokio::test]
async fn a_private_update_goes_only_to_whom_it_is_for_on_every_node() {
    let cluster = Cluster::new(LONG);
    let ((one, _), (two, _)) = (cluster.hub("one", 1).await, cluster.hub("two", 2).await);
    let with = async |grant: &[&str]| two.subscribe_with(&format!("{HUB}?topic=a"), &subscriber(grant)).await;
    let (mut friend, mut stranger) = (with(&["a"]).await, with(&["b"]).await);
    for body in ["topic=a&data=secret&private=on", "topic=a&data=public"] {
        let request = one.post(HUB).bearer_auth(publisher(&["*"]));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    assert_eq!(friend.data(2).await, ["secret", "public"]);
    assert_eq!(stranger.data(1).await, ["public"]);
}

#[tokio::test]
async fn a_node_that_is_not_heard_leaves_no_ghosts_and_is_asked_anew_when_it_is() {
    let cluster = Cluster::new(SHORT);
    let ((one, door), (two, _)) = (cluster.hub("one", 1).await, cluster.hub("two", 2).await);
    let visitor = one.subscribe_with(&format!("{HUB}?topic=x"), &subscriber(&[])).await;
    settle(&two, &["one", "two"], 1).await;
    let mut watcher = watch(&two, None).await;
    door.is_cut.store(true, Ordering::SeqCst);
    let (gone, _) = next(&mut watcher, "x").await;
    assert_eq!((&gone["active"], &gone["node"]), (&json!(false), &json!("one")));
    settle(&two, &["two"], 2).await;
    // What happens meanwhile is known afterwards.
    drop(visitor);
    let _other = one.subscribe_with(&format!("{HUB}?topic=y"), &subscriber(&[])).await;
    door.is_cut.store(false, Ordering::SeqCst);
    let (came, _) = next(&mut watcher, "y").await;
    assert_eq!((&came["active"], &came["node"]), (&json!(true), &json!("one")));
    settle(&two, &["one", "two"], 3).await;
    settle(&one, &["one", "two"], 3).await;
}

#[tokio::test]
async fn a_watcher_that_changes_nodes_goes_on_or_is_told_that_it_can_not() {
    let cluster = Cluster::new(SHORT);
    let ((one, _), (two, _)) = (cluster.hub("one", 1).await, cluster.hub("two", 2).await);
    let mut watcher = watch(&one, None).await;
    let visitor = two.subscribe_with(&format!("{HUB}?topic=x"), &subscriber(&[])).await;
    let (_, id) = next(&mut watcher, "x").await;
    drop(watcher);
    // Of a node that nobody knows, any more or yet.
    let id = id.replace("-n0000000000000001", "-n0000000000000009");
    let mut early = watch(&two, Some(&id)).await;
    let gap = early.next().await.unwrap();
    assert_eq!(gap.event_type, "fanfare-gap");
    let gap: Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!((&gap["reason"], &gap["requested"]), (&json!("lagged"), &json!(id)));
    drop(early);
    // So are the ids of events, which any node may have given.
    let event = two.post("/events/a").bearer_auth(publisher(&["*"])).body("x").send().await.unwrap();
    let event = event.text().await.unwrap();
    let mut early = watch(&two, Some(&event)).await;
    assert_eq!(early.next().await.unwrap().event_type, "fanfare-gap");
    drop(early);

    // Later it has: what the list of one says is where to go on at the other.
    let mut round = 0;
    let came = loop {
        // Those of the rounds before may be told of again, also that they went.
        round += 1;
        let topic = format!("late{round}");
        let (_, _, list) = get(&one, LIST).await;
        let cursor = list["lastEventID"].as_str().unwrap().to_owned();
        let other = one.subscribe_with(&format!("{HUB}?topic={topic}"), &subscriber(&[])).await;
        let mut watcher = watch(&two, Some(&cursor)).await;
        let got = watcher.next().await.unwrap();
        if got.event_type == "message" {
            assert_eq!(watcher.header("last-event-id"), cursor);
            let first: Value = serde_json::from_str(&got.data).unwrap();
            break if first["topic"] == *topic { first } else { next(&mut watcher, &topic).await.0 };
        }
        drop(other);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&came["active"], &came["node"]), (&json!(true), &json!("one")));
    drop(visitor);
}

/// Without the event, a stream that ended would begin with the same cursor again.
#[tokio::test]
async fn without_gap_events_the_header_tells_and_the_stream_goes_on() {
    let mut settings = Settings::default();
    (settings.subscriptions, settings.gap_event) = (true, false);
    let hub = Running::of(Hub::builder().settings(settings)).await;
    let id = hub.publish("a", "before").await;
    let mut watcher = hub.resume(&format!("{HUB}?{EACH}&topic=a"), &format!("{id}-s1")).await;
    assert_eq!(watcher.header("last-event-id"), "earliest");
    let (own, _) = next(&mut watcher, "a").await;
    assert_eq!((&own["active"], own.get("node")), (&json!(true), None));
}

/// The list of the next millisecond is the same one if nobody came or went.
#[tokio::test]
async fn a_list_that_did_not_change_is_not_sent_again() {
    let cluster = Cluster::new(LONG);
    let (one, _) = cluster.hub("one", 1).await;
    let (_two, _) = cluster.hub("two", 2).await;
    let _somebody = one.get("/events/a").bearer_auth(subscriber(&[])).send().await.unwrap();
    settle(&one, &["one", "two"], 1).await;
    let list = async |etag: &str| {
        let request = one.get(LIST).bearer_auth(subscriber(&[ALL])).header("If-None-Match", etag);
        request.send().await.unwrap()
    };
    let etag = list("\"none\"").await.headers()["etag"].to_str().unwrap().to_owned();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        assert_eq!(list(&etag).await.status(), 304);
    }
    // Another node without a subscriber is no news, and is on the list.
    let (_three, _) = cluster.hub("three", 3).await;
    settle(&one, &["one", "three", "two"], 1).await;
    let with_three = list(&etag).await;
    assert_eq!(with_three.status(), 200);
    let etag = with_three.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(list(&etag).await.status(), 304);
    let _another = one.get("/events/a").bearer_auth(subscriber(&[])).send().await.unwrap();
    assert_eq!(list(&etag).await.status(), 200);
}
