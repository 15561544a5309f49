//! The Mercure protocol, 0.x, section 8: who is subscribed, as events and as a list.

use serde_json::{Value, json};

use crate::running::{Running, Subscriber};
use crate::tokens::{SUBSCRIBER, both, hub_with, publisher, signed, subscriber};

pub(crate) const HUB: &str = "/.well-known/mercure";
pub(crate) const LIST: &str = "/.well-known/mercure/subscriptions";
/// Selects each subscription.
pub(crate) const EACH: &str = "topic=/.well-known/mercure/subscriptions/%7Btopic%7D/%7Bsubscriber%7D";
/// Grants all of it: the list of all, those to one topic, and each.
pub(crate) const ALL: &str = "/.well-known/mercure/subscriptions{/topic}{/subscriber}";

async fn listing_hub() -> Running {
    hub_with(both(), |settings| settings.subscriptions = true).await
}

/// A watcher of every subscription.
async fn watch(hub: &Running, query: &str) -> Subscriber {
    hub.subscribe_with(&format!("{HUB}?{EACH}{query}"), &subscriber(&[ALL])).await
}

async fn next(watcher: &mut Subscriber) -> (Value, String) {
    let got = watcher.next().await.expect("an event");
    assert_eq!(got.event_type, "message");
    (serde_json::from_str(&got.data).unwrap(), got.id)
}

async fn list(hub: &Running, path: &str, token: &str) -> (u16, Value) {
    let response = hub.get(path).bearer_auth(token).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn publish(hub: &Running, topic: &str, data: &str) -> String {
    let response = hub.post(&format!("/events/{topic}")).bearer_auth(publisher(&["*"])).body(data.to_owned());
    response.send().await.unwrap().text().await.unwrap()
}

/// Waits until the hub has noticed that everybody but so many has gone.
async fn settle(hub: &Running, count: usize) -> Vec<Value> {
    loop {
        let (_, all) = list(hub, LIST, &subscriber(&[ALL])).await;
        let all = all["subscriptions"].as_array().unwrap().clone();
        if all.len() == count {
            return all;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_watcher_is_told_of_itself_of_who_comes_and_of_who_goes() {
    let hub = listing_hub().await;
    let mut watcher = watch(&hub, "").await;
    let (own, id) = next(&mut watcher).await;
    assert_eq!(own["topic"], "/.well-known/mercure/subscriptions/{topic}/{subscriber}");
    assert_eq!(own["active"], true);
    assert!(id.contains("-s"), "{id}");

    let token = signed(SUBSCRIBER, &json!({ "mercure": { "subscribe": ["a"], "payload": { "user": "Zoë" } } }));
    let visitor = hub.subscribe_with(&format!("{HUB}?topic=a&topic=b/%7Bid%7D&topic=a"), &token).await;
    let (mut came, mut names) = (Vec::new(), Vec::new());
    for topic in ["a", "b/{id}"] {
        let (document, _) = next(&mut watcher).await;
        let name = document["subscriber"].as_str().unwrap().to_owned();
        let encoded = name.replace(':', "%3A");
        let topic_encoded = topic.replace('/', "%2F").replace('{', "%7B").replace('}', "%7D");
        let expected = json!({
            "@context": "https://mercure.rocks/",
            "id": format!("{LIST}/{topic_encoded}/{encoded}"),
            "type": "Subscription",
            "topic": topic,
            "subscriber": name,
            "active": true,
            "payload": { "user": "Zoë" },
        });
        assert_eq!(document, expected);
        assert!(name.starts_with("urn:uuid:"));
        came.push(document);
        names.push(name);
    }
    assert_eq!(names[0], names[1], "one subscriber has several subscriptions");
    drop(visitor);
    for mut document in came {
        document["active"] = false.into();
        assert_eq!(next(&mut watcher).await.0, document);
    }
}

#[tokio::test]
async fn only_a_grant_that_covers_it_sees_it_and_the_application_is_not_disturbed() {
    let hub = listing_hub().await;
    let everything = |grant: &'static [&'static str]| {
        let hub = &hub;
        async move { hub.subscribe_with("/events", &subscriber(grant)).await }
    };
    let mut stranger = everything(&["a", "{x}"]).await;
    let mut root = everything(&["*"]).await;
    let mut of_one_topic = everything(&["/.well-known/mercure/subscriptions/a{/subscriber}"]).await;
    let visitor = hub.subscribe_with(&format!("{HUB}?topic=a&topic=b"), &subscriber(&[])).await;
    drop(visitor);
    // The last of them has gone when the watchers alone are there.
    settle(&hub, 3).await;
    let id = publish(&hub, "a", "done").await;
    let got = stranger.next().await.unwrap();
    assert_eq!((got.data.as_str(), &got.id), ("done", &id));
    let topics = async |watcher: &mut Subscriber| {
        let mut topics = Vec::new();
        loop {
            let got = watcher.next().await.unwrap();
            if got.data == "done" {
                assert_eq!(got.id, id);
                return topics;
            }
            let document: Value = serde_json::from_str(&got.data).unwrap();
            topics.push(format!("{} {}", document["topic"].as_str().unwrap(), document["active"]));
        }
    };
    assert_eq!(topics(&mut of_one_topic).await, ["a true", "a false"]);
    let seen = topics(&mut root).await;
    // Itself, the other watcher, and the visitor.
    for expected in ["* true", "a true", "b true", "a false", "b false"] {
        assert!(seen.iter().any(|seen| seen == expected), "{expected} is not among {seen:?}");
    }
}

#[tokio::test]
async fn who_reconnects_gets_what_came_meanwhile_and_the_order_of_the_log_is_kept() {
    let hub = listing_hub().await;
    let token = subscriber(&[ALL]);
    let mut watcher = watch(&hub, "&topic=a").await;
    let (_, _) = (next(&mut watcher).await, next(&mut watcher).await);
    let before = publish(&hub, "a", "before").await;
    assert_eq!(watcher.data(1).await, ["before"]);
    let visitor = hub.subscribe_with(&format!("{HUB}?topic=x"), &token).await;
    let (document, id) = next(&mut watcher).await;
    assert_eq!(document["topic"], "x");
    assert!(id.starts_with(&format!("{before}-s")), "it stands after what the subscriber has of the log: {id}");
    drop(watcher);
    drop(visitor);
    let others = settle(&hub, 0).await;
    assert!(others.is_empty());
    publish(&hub, "a", "after").await;

    let path = format!("{HUB}?{EACH}&topic=a");
    let request = hub.get(&path).bearer_auth(&token).header("Last-Event-ID", &id);
    let mut watcher = Subscriber::new(request.send().await.unwrap());
    assert_eq!(watcher.header("last-event-id"), id, "the cursor is found");
    let (mut events, mut gone) = (Vec::new(), Vec::new());
    while gone.len() < 5 || events.is_empty() {
        let got = watcher.next().await.unwrap();
        match serde_json::from_str::<Value>(&got.data) {
            Ok(document) => gone.push((document["topic"].as_str().unwrap().to_owned(), document["active"] == true)),
            Err(_) => events.push(got.data),
        }
    }
    assert_eq!(events, ["after"], "nothing of the log twice");
    // Both of the watcher's own, the visitor's, and the new ones of its own.
    assert_eq!(gone.iter().filter(|(_, active)| !active).count(), 3, "{gone:?}");
    assert_eq!(gone.iter().filter(|(topic, active)| topic == "x" && !active).count(), 1, "{gone:?}");
}

#[tokio::test]
async fn news_that_is_no_more_known_is_told_as_a_gap_and_the_log_goes_on() {
    let hub = listing_hub().await;
    let id = publish(&hub, "a", "before").await;
    let stale = format!("{id}-s1");
    publish(&hub, "a", "after").await;
    let request = hub.get(&format!("{HUB}?{EACH}&topic=a")).bearer_auth(subscriber(&[ALL]));
    let mut watcher = Subscriber::new(request.header("Last-Event-ID", &stale).send().await.unwrap());
    let gap = watcher.next().await.unwrap();
    assert_eq!((gap.event_type.as_str(), &gap.id), ("fanfare-gap", &id));
    assert_eq!(serde_json::from_str::<Value>(&gap.data).unwrap()["reason"], "lagged");
    // From then on it is told all, of itself first.
    for topic in ["/.well-known/mercure/subscriptions/{topic}/{subscriber}", "a"] {
        let (own, _) = next(&mut watcher).await;
        assert_eq!((&own["topic"], &own["active"]), (&json!(topic), &json!(true)));
    }
    assert_eq!(watcher.data(1).await, ["after"]);
}

#[tokio::test]
async fn the_list() {
    let hub = listing_hub().await;
    let all = subscriber(&[ALL]);
    let (status, empty) = list(&hub, LIST, &all).await;
    let expected = json!({
        "@context": "https://mercure.rocks/", "id": LIST, "type": "Subscriptions",
        "lastEventID": "earliest", "subscriptions": [],
    });
    assert_eq!((status, empty), (200, expected));

    let mut visitors = Vec::new();
    for n in 0..600 {
        let topics = format!("{HUB}?topic=common&topic=own/{n}");
        visitors.push(hub.subscribe_with(&topics, &subscriber(&[])).await);
    }
    let everyone = settle(&hub, 1200).await;
    assert!(everyone.iter().all(|one| one["active"] == true && one.get("@context").is_none()));
    let (_, common) = list(&hub, &format!("{LIST}/common"), &all).await;
    assert_eq!(common["id"], format!("{LIST}/common"));
    assert_eq!(common["subscriptions"].as_array().unwrap().len(), 600);
    let (_, own) = list(&hub, &format!("{LIST}/own%2F17"), &all).await;
    let own = own["subscriptions"].as_array().unwrap().clone();
    assert_eq!((own.len(), own[0]["topic"].as_str()), (1, Some("own/17")));
    let (_, none) = list(&hub, &format!("{LIST}/nobody"), &all).await;
    assert_eq!(none["subscriptions"], json!([]));

    // One of them, at the path that it has for an id.
    let path = own[0]["id"].as_str().unwrap();
    let response = hub.get(path).bearer_auth(&all).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/ld+json");
    assert!(response.headers()["cache-control"].to_str().unwrap().contains("must-revalidate"));
    let etag = response.headers()["etag"].clone();
    let mut one: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let cursor = one.as_object_mut().unwrap().remove("lastEventID").unwrap();
    assert_eq!(etag.to_str().unwrap(), format!("\"{}\"", cursor.as_str().unwrap()));
    assert_eq!(one.as_object_mut().unwrap().remove("@context").unwrap(), "https://mercure.rocks/");
    assert_eq!(one, own[0]);
    let again = hub.get(path).bearer_auth(&all).header("If-None-Match", &etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let name = own[0]["subscriber"].as_str().unwrap().replace(':', "%3A");
    for missing in [format!("{LIST}/common/urn%3Auuid%3Anobody"), format!("{LIST}/elsewhere/{name}")] {
        assert_eq!(list(&hub, &missing, &all).await.0, 404, "{missing}");
    }
    assert_eq!(list(&hub, &format!("{path}/more"), &all).await.0, 404);

    // The cursor of the list is one from which its changes are told.
    drop(visitors.pop());
    settle(&hub, 1198).await;
    let cursor = cursor.as_str().unwrap();
    let mut watcher = watch(&hub, &format!("&lastEventID={cursor}")).await;
    assert_eq!(watcher.header("last-event-id"), cursor);
    let gone = [next(&mut watcher).await.0, next(&mut watcher).await.0];
    assert_eq!(gone.each_ref().map(|gone| gone["topic"].as_str().unwrap()), ["common", "own/599"]);
    assert!(gone.iter().all(|gone| gone["active"] == false));
}

#[tokio::test]
async fn who_may_read_the_list() {
    let hub = listing_hub().await;
    let _visitor = hub.subscribe_with(&format!("{HUB}?topic=a"), &subscriber(&[])).await;
    let of_a = format!("{LIST}/a");
    for (selectors, path, expected) in [
        (&[ALL][..], LIST, 200),
        (&["*"], LIST, 200),
        (&[LIST], LIST, 200),
        (&[LIST], &*of_a, 403),
        (&["/.well-known/mercure/subscriptions/{topic}"], &of_a, 200),
        (&["/.well-known/mercure/subscriptions/{topic}"], LIST, 403),
        (&[], LIST, 403),
        (&["a"], &of_a, 403),
    ] {
        assert_eq!(list(&hub, path, &subscriber(selectors)).await.0, expected, "{selectors:?} {path}");
    }
    assert_eq!(hub.get(LIST).send().await.unwrap().status(), 401);
    assert_eq!(list(&hub, LIST, "nonsense").await.0, 401);
    assert_eq!(hub.post(LIST).send().await.unwrap().status(), 405);
    let without = hub_with(both(), |_| {}).await;
    assert_eq!(list(&without, LIST, &subscriber(&[ALL])).await.0, 404);
    let mut stream = without.subscribe_with(&format!("{HUB}?{EACH}&topic=a"), &subscriber(&["*"])).await;
    publish(&without, "a", "alone").await;
    assert_eq!(stream.data(1).await, ["alone"]);
}

/// An id that a browser would send back as a cursor into the hub's own order.
#[tokio::test]
async fn no_publisher_can_choose_an_id_of_the_hub() {
    let hub = listing_hub().await;
    for (id, expected) in [("e1-2-s3", 400), ("e1-2-s", 200), ("e1-2-sx", 200)] {
        let request = hub.post(&format!("/events/a?id={id}")).bearer_auth(publisher(&["*"])).body("x");
        assert_eq!(request.send().await.unwrap().status(), expected, "{id}");
    }
}
