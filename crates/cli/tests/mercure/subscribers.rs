//! Clients of npm subscribe to what Symfony publishes.

use serde_json::json;

use crate::clients::{Script, endpoint, hub, publish, token};

/// What is private, public, or published while the hub or the connection is down comes once and in order.
#[test]
fn a_subscriber_goes_on_where_it_was_after_a_restart_of_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let mut first = hub(&["--data-dir", folder, "--drain", "0"]);
    let update = |number: usize| {
        let topics = [format!("books/{number}"), format!("users/42/books/{number}")];
        // Without a wait of its own a client waits for seconds.
        json!({ "topics": topics, "data": number.to_string(), "private": number.is_multiple_of(2), "id": format!("update-{number}"), "retry": 50 })
    };
    let url = format!("{}?topic=books/{{id}}", endpoint(&first));
    let token = token(&["--subscribe", "users/42/{+any}"]);
    let mut subscriber = Script::start("subscribe.js", &token, &[&url]);
    assert_eq!(subscriber.next(), json!(["open"]));
    publish(&first, &[], &(0..4).map(update).collect::<Vec<_>>());
    let event = |number: usize| json!(["message", number.to_string(), format!("update-{number}")]);
    assert_eq!(subscriber.until(&event(3)), (0..4).map(event).collect::<Vec<_>>());

    let address = first.address.to_string();
    first.signal("TERM");
    assert!(first.ended().success());
    let second = hub(&["--data-dir", folder, "--listen", &address]);
    publish(&second, &[], &(4..8).map(update).collect::<Vec<_>>());
    let happened = subscriber.until(&event(7));
    assert!(happened.contains(&json!(["open"])), "{happened:?}");
    let events: Vec<_> = happened.into_iter().filter(|what| what[0] != "open" && what[0] != "connecting").collect();
    assert_eq!(events, (4..8).map(event).collect::<Vec<_>>());
}

#[test]
fn a_token_that_is_not_good_closes_the_source() {
    let hub = hub(&["--memory"]);
    let mut subscriber = Script::start("subscribe.js", "nonsense", &[&format!("{}?topic=a", endpoint(&hub))]);
    assert_eq!(subscriber.next(), json!(["closed", 401]));
}

/// The list, and from its `lastEventID` on the events: whoever reads both knows who is there.
#[test]
fn a_script_knows_who_is_subscribed() {
    let hub = hub(&["--memory", "--subscriptions"]);
    let url = endpoint(&hub);
    let user = |name: &str, topic: &str| {
        let token = token(&["--payload", &json!({ "user": name }).to_string()]);
        let mut script = Script::start("subscribe.js", &token, &[&format!("{url}?topic={topic}")]);
        assert_eq!(script.next(), json!(["open"]));
        script
    };
    let ann = user("ann", "books/{id}");
    let watcher = token(&["--subscribe", "/.well-known/mercure/subscriptions{/topic}{/subscriber}"]);
    let mut presence = Script::start("presence.js", &watcher, &[&url]);
    assert_eq!(presence.next(), json!(["ann books/{id}"]));
    // Its own subscription is one too, of nobody with a name.
    assert_eq!(presence.next(), json!(["ann books/{id}"]));
    let bob = user("bob", "*");
    assert_eq!(presence.next(), json!(["ann books/{id}", "bob *"]));
    drop(ann);
    assert_eq!(presence.next(), json!(["bob *"]));
    drop(bob);
    assert_eq!(presence.next(), json!([]));
}
