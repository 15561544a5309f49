use super::*;
use fanfare_log::{AppendErrorKind, Located, ReadError};

#[tokio::test(flavor = "multi_thread")]
async fn when_nats_is_away_appends_fail_and_all_goes_on_by_itself() {
    let mut servers = Servers::one();
    let node = Node::start(&servers).await;
    node.append(&["before"]).await;
    servers.kill_all();
    until("it is noticed", || node.engine.unready().is_some()).await;
    let refused = node.engine.append(vec![draft("away")]).await.expect_err("nobody takes it");
    assert_eq!(refused.kind(), AppendErrorKind::NotStored);
    assert!(node.engine.unready().expect("not ready").contains("NATS is away"));
    assert!(!node.engine.is_filling(), "what it has is still served");
    servers.begin(0);
    let (after, failures) = node.append_until_stored("after").await;
    node.has(after[0]).await;
    node.ready().await;
    assert_eq!(node.texts(), ["before", "after"]);
    println!("{failures} attempts failed after NATS had come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_made_anew_is_a_new_epoch_and_a_gap() {
    let servers = Servers::one();
    let nodes = [Node::start(&servers).await, Node::start(&servers).await];
    let old = nodes[0].append(&["old 1", "old 2"]).await;
    nodes[1].has(old[1]).await;
    let operator = operator(&servers).await;
    operator.delete_stream("FANFARE").await.expect("it is deleted");
    let (new, _) = nodes[0].append_until_stored("new").await;
    assert!(new[0].epoch > old[0].epoch);
    for node in &nodes {
        node.has(new[0]).await;
        node.ready().await;
        assert_eq!(node.texts(), ["new"]);
        assert_eq!(node.log.locate(old[1]), Located::Unknown);
        assert!(matches!(node.log.read(old[1], Topics::All, ALL), Err(ReadError::Expired)), "live readers are told");
    }
    // One that comes later agrees.
    let late = Node::start(&servers).await;
    assert_eq!(late.records()[0].position, new[0]);
}

/// The stream loses its end, as after a power loss, and a node is there that has shown it to readers.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lost_its_end_is_a_new_epoch() {
    let mut servers = Servers::one();
    let node = Node::start(&servers).await;
    node.append(&["kept"]).await;
    servers.kill_all();
    let saved = servers.save(0);
    servers.begin(0);
    let (lost, _) = node.append_until_stored("lost").await;
    node.has(lost[0]).await;
    servers.kill_all();
    servers.restore(0, &saved);
    servers.begin(0);
    let (after, _) = node.append_until_stored("after").await;
    assert!(after[0].epoch > lost[0].epoch);
    node.has(after[0]).await;
    assert_eq!(node.texts(), ["kept", "after"]);
    assert_eq!(node.log.locate(lost[0]), Located::Unknown);
}

/// The same, and others have published past the place before the node that knows comes back: only the events differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lost_its_end_and_grew_again_is_a_new_epoch() {
    let mut servers = Servers::one();
    let folder = tempfile::tempdir().expect("a folder");
    let knowing = Node::with(settings(&servers), disk(folder.path())).await;
    let other = Node::start(&servers).await;
    knowing.append(&["kept"]).await;
    servers.kill_all();
    let saved = servers.save(0);
    servers.begin(0);
    let (lost, _) = knowing.append_until_stored("lost").await;
    knowing.has(lost[0]).await;
    knowing.close().await;
    other.close().await;
    servers.kill_all();
    servers.restore(0, &saved);
    servers.begin(0);
    let unknowing = Node::start(&servers).await;
    assert_eq!(unknowing.texts(), ["kept"]);
    let twice = unknowing.append(&["other 1"]).await[0];
    assert_eq!(twice, lost[0], "nobody can tell yet");
    let last = unknowing.append(&["other 2"]).await[0];
    unknowing.has(last).await;
    let knowing = Node::with(settings(&servers), disk(folder.path())).await;
    assert_eq!(knowing.texts(), ["kept", "other 1", "other 2"]);
    let epoch = knowing.log.span().tail.epoch;
    assert!(epoch > lost[0].epoch);
    // The other node hears of it, and so do its readers.
    until("the epoch is everywhere", || unknowing.log.span().tail.epoch == epoch).await;
    unknowing.ready().await;
    assert_eq!(unknowing.texts(), knowing.texts());
    assert_eq!(unknowing.log.locate(last), Located::Unknown);
}

/// Also the bucket can be lost, or older than what nodes have shown.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_epoch_a_stream_gets_a_later_one() {
    let servers = Servers::one();
    let node = Node::start(&servers).await;
    let old = node.append(&["kept"]).await[0];
    node.has(old).await;
    operator(&servers).await.delete_stream("KV_FANFARE-epoch").await.expect("it is deleted");
    until("a later epoch", || node.log.span().tail.epoch > old.epoch).await;
    node.ready().await;
    assert_eq!(node.texts(), ["kept"]);
}
