use serde_json::{Value, json};

use crate::hubs::Hubs;
use crate::running::{fanfare, run};
use crate::servers::Servers;
use crate::subscribers::Events;
use crate::until;

const LIST: &str = "/.well-known/mercure/subscriptions";
const WATCH: &str = "/.well-known/mercure?topic=/.well-known/mercure/subscriptions/%7Btopic%7D/%7Bsubscriber%7D";

async fn list(hubs: &Hubs, index: usize, query: &str) -> Value {
    let answer = reqwest::get(hubs.url(index, &format!("{LIST}{query}"))).await.unwrap();
    assert_eq!(answer.headers()["fanfare-node"], format!("hub{index}").as_str());
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// Whether a hub knows both, and lists a subscription to just these topics on just these hubs.
async fn lists(hubs: &Hubs, index: usize, expected: &[(&str, &str)]) -> bool {
    let list = list(hubs, index, "").await;
    let mut found: Vec<_> = list["subscriptions"].as_array().unwrap().iter().collect();
    found.retain(|one| !one["topic"].as_str().unwrap().starts_with(LIST));
    let mut found: Vec<_> =
        found.iter().map(|one| (one["topic"].as_str().unwrap(), one["node"].as_str().unwrap())).collect();
    found.sort_unstable();
    found == expected && list["nodes"] == json!(["hub0", "hub1"]) && list["incomplete"] == json!([])
}

async fn open(hubs: &Hubs, index: usize, path: &str) -> Events {
    Events::of(reqwest::get(hubs.url(index, path)).await.unwrap().error_for_status().unwrap())
}

/// The next news of subscriptions to this topic.
async fn next(watcher: &mut Events, topic: &str) -> Value {
    let found = async {
        loop {
            let came = watcher.next().await.expect("the stream goes on");
            assert_eq!(came.event_type, "", "{came:?}");
            let document: Value = serde_json::from_str(&came.data).unwrap();
            if document["topic"] == topic {
                return document;
            }
        }
    };
    tokio::time::timeout(crate::running::PATIENCE, found).await.expect("it is told")
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_of_one_hub_are_known_at_the_other_and_gone_when_it_is_killed() {
    let servers = Servers::one();
    let hubs = Hubs::start(&vec![servers.url(); 2], &["--subscriptions"]);
    hubs.all_ready().await;
    let mut watcher = open(&hubs, 1, WATCH).await;
    let _visitor = open(&hubs, 0, "/events/a").await;
    let came = next(&mut watcher, "a").await;
    assert_eq!((&came["active"], &came["node"]), (&json!(true), &json!("hub0")));
    for index in 0..2 {
        until("it is listed", async || lists(&hubs, index, &[("a", "hub0")]).await).await;
    }
    assert_eq!(list(&hubs, 1, "/a?node=self").await["subscriptions"], json!([]));
    assert_eq!(list(&hubs, 1, "/a?node=hub0").await["subscriptions"][0]["id"], came["id"]);

    hubs.kill(0);
    let gone = next(&mut watcher, "a").await;
    assert_eq!((&gone["active"], &gone["id"]), (&json!(false), &came["id"]));
    until("the hub is forgotten", async || list(&hubs, 1, "").await["nodes"] == json!(["hub1"])).await;
    hubs.begin(0);
    let _again = open(&hubs, 0, "/events/b").await;
    assert_eq!(next(&mut watcher, "b").await["active"], true);
    for index in 0..2 {
        until("both know all", async || lists(&hubs, index, &[("b", "hub0")]).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_away_nobody_is_taken_for_gone() {
    let mut servers = Servers::one();
    let hubs = Hubs::start(&vec![servers.url(); 2], &["--subscriptions"]);
    hubs.all_ready().await;
    let visitor = open(&hubs, 0, "/events/a").await;
    until("it is listed", async || lists(&hubs, 1, &[("a", "hub0")]).await).await;
    let mut watcher = open(&hubs, 1, WATCH).await;
    servers.kill_all();
    // What nobody could be told.
    let meanwhile = open(&hubs, 0, "/events/b").await;
    until("they are apart", async || !hubs.is_ready(0).await && !hubs.is_ready(1).await).await;
    servers.begin_all();
    assert_eq!(next(&mut watcher, "b").await["active"], true);
    drop(meanwhile);
    assert_eq!(next(&mut watcher, "b").await["active"], false);
    for index in 0..2 {
        until("both know all", async || lists(&hubs, index, &[("a", "hub0")]).await).await;
    }
    // The one that was there all the time was told of neither as gone nor as come.
    drop(visitor);
    assert_eq!(next(&mut watcher, "a").await["active"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_update_reaches_whom_it_is_for_on_the_other_hub_and_nobody_else() {
    let key = "a secret of 32 bytes or a few more";
    let servers = Servers::one();
    let hubs = Hubs::start(&vec![servers.url(); 2], &["--publisher-key", key]);
    hubs.all_ready().await;
    let token = |rights: &[&str]| {
        let made = run(fanfare(&["token", "--key", key]).args(rights), b"");
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        made.stdout.trim().to_owned()
    };
    let client = reqwest::Client::new();
    let subscribe = async |grant: &str| {
        let request = client.get(hubs.url(1, "/events/a")).bearer_auth(token(&["--subscribe", grant]));
        Events::of(request.send().await.unwrap().error_for_status().unwrap())
    };
    let (mut friend, mut stranger) = (subscribe("a").await, subscribe("b").await);
    for (path, data) in [("/events/a?private", "secret"), ("/events/a", "public")] {
        let request = client.post(hubs.url(0, path)).bearer_auth(token(&["--publish", "*"])).body(data);
        request.send().await.unwrap().error_for_status().unwrap();
    }
    assert_eq!(friend.next().await.unwrap().data, "secret");
    assert_eq!(friend.next().await.unwrap().data, "public");
    assert_eq!(stranger.next().await.unwrap().data, "public");
}
