use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_fit_is_refused_by_the_name_of_its_field() {
    let servers = Servers::one();
    drop(Node::start(&servers).await);
    let mut settings = settings(&servers);
    settings.replicas = Some(3);
    let refused = NatsEngine::start(settings, memory()).await.expect_err("one replica is not three");
    assert!(refused.to_string().contains("num_replicas is 1"), "{refused}");
    let mut bounded = self::settings(&servers);
    bounded.stream = "BOUNDED".parse().expect("a name");
    bounded.retention.bytes = Some(1 << 20);
    drop(Node::with(bounded.clone(), memory()).await);
    bounded.retention.bytes = Some(2 << 20);
    let refused = NatsEngine::start(bounded, memory()).await.expect_err("less is kept than was asked for");
    assert!(matches!(refused, StartError::Unfit(_)) && refused.to_string().contains("max_bytes"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_and_no_secret_is_shown() {
    let servers = Servers::one_with("authorization { user: hub, password: s3cret }");
    let address = servers.address(0);
    let refused = NatsEngine::start(settings_of(&format!("nats://hub:wr0ng@{address}")), memory()).await;
    let refused = format!("{:#?}", refused.expect_err("the password is wrong"));
    assert!(refused.contains("AuthorizationViolation") && !refused.contains("wr0ng"), "{refused}");
    let node = Node::with(settings_of(&format!("nats://hub:s3cret@{address}")), memory()).await;
    node.append(&["let in"]).await;
    assert!(!format!("{:?}", node.engine).contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_waited_for() {
    let mut servers = Servers::one();
    servers.kill_all();
    let log = memory();
    let engine = NatsEngine::start(settings(&servers), log.clone()).await.expect("it waits");
    assert!(engine.unready().expect("not ready").contains("NATS is away"));
    assert!(engine.is_filling());
    let refused = engine.append(vec![draft("early")]).await.expect_err("nobody takes it");
    assert_eq!(refused.kind(), fanfare_log::AppendErrorKind::NotStored);
    assert!(engine.catch_up().await.expect_err("it can't").contains("NATS is away"));
    servers.begin(0);
    let node = Node { engine, log };
    node.ready().await;
    node.append(&["late"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_from_its_own_last_position_and_a_new_one_fills_its_history() {
    let servers = Servers::one();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::with(settings(&servers), disk(folder.path())).await;
    let first = node.append(&["a", "b"]).await;
    node.has(first[1]).await;
    node.close().await;
    let other = Node::start(&servers).await;
    assert_eq!(other.texts(), ["a", "b"]);
    other.append(&["c"]).await;
    // What it has is not asked for again: this is gone from the stream and stays in its history.
    let stream = operator(&servers).await.get_stream("FANFARE").await.expect("the stream");
    stream.delete_message(1).await.expect("it is taken out");
    let node = Node::with(settings(&servers), disk(folder.path())).await;
    assert_eq!(node.texts(), ["a", "b", "c"]);
    assert_eq!(node.records()[0].position, first[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_the_stream_while_a_node_was_away_is_a_gap_and_not_silence() {
    let servers = Servers::one();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::with(settings(&servers), disk(folder.path())).await;
    let seen = node.append(&["seen"]).await[0];
    node.has(seen).await;
    node.close().await;
    let other = Node::start(&servers).await;
    other.append(&["missed"]).await;
    let last = other.append(&["kept"]).await[0];
    let stream = operator(&servers).await.get_stream("FANFARE").await.expect("the stream");
    stream.purge().keep(1).await.expect("it is trimmed");
    let node = Node::with(settings(&servers), disk(folder.path())).await;
    assert_eq!(node.texts(), ["kept"]);
    assert_eq!(node.log.locate(seen), fanfare_log::Located::Expired);
    assert_eq!(node.log.locate(last), fanfare_log::Located::Kept);
}

/// Nothing was published yet, and both go.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_stream_is_followed_as_any_other() {
    let mut servers = Servers::one();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::with(settings(&servers), disk(folder.path())).await;
    let start = node.log.span().start;
    node.close().await;
    let node = Node::with(settings(&servers), disk(folder.path())).await;
    servers.kill_all();
    until("it is noticed", || node.engine.unready().is_some()).await;
    servers.begin(0);
    node.ready().await;
    let (first, _) = node.append_until_stored("first").await;
    node.has(first[0]).await;
    assert_eq!(node.texts(), ["first"]);
    assert_eq!(node.log.locate(start), fanfare_log::Located::Kept, "nobody has missed anything");
}
