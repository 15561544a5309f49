use super::*;
use fanfare_log::AppendErrorKind;

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_have_one_order_and_publishers_are_told_the_same_positions() {
    let servers = Servers::one();
    let nodes = Arc::new([Node::start(&servers).await, Node::start(&servers).await]);
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..4 {
        let nodes = nodes.clone();
        publishers.spawn(async move {
            let mut told = Vec::new();
            for n in 0..100 {
                let texts = [format!("{publisher} {n} a"), format!("{publisher} {n} b")];
                let positions = nodes[publisher % 2].append(&[&texts[0], &texts[1]]).await;
                told.extend(positions.into_iter().zip(texts));
            }
            told
        });
    }
    let mut told: Vec<(Position, String)> = publishers.join_all().await.into_iter().flatten().collect();
    told.sort();
    let last = told.last().expect("something was published").0;
    for node in nodes.iter() {
        node.has(last).await;
        let found: Vec<_> = node.records().iter().map(|record| (record.position, text_of(record))).collect();
        assert_eq!(found, told);
        assert!(node.engine.catch_up().await.is_ok());
    }
    // A batch stays together, and each publisher's events are in its order.
    for pair in told.chunks(2) {
        assert_eq!(pair[0].0.offset + 1, pair[1].0.offset);
    }
    let of_one: Vec<_> = told.iter().filter(|(_, text)| text.starts_with("3 ")).map(|(_, text)| text).collect();
    assert_eq!(of_one.len(), 200);
    assert_eq!(of_one[199], "3 99 b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_stored_once_whichever_node_it_comes_to_and_gets_the_first_answer() {
    let servers = Servers::one();
    let (one, other) = (Node::start(&servers).await, Node::start(&servers).await);
    let chosen = Draft { id: Id::Chosen("mine".into()), ..draft("first") };
    let first = one.engine.append_once("key", vec![chosen, draft("second")]).await.expect("it is stored");
    let Appended::Now(positions) = first else { panic!("{first:?}") };
    let again = other.engine.append_once("key", vec![draft("again")]).await.expect("it is known");
    let named = [(Id::Chosen("mine".into()), positions[0]), (Id::Position, positions[1])];
    assert_eq!(again, Appended::Before(named.to_vec()));
    assert!(matches!(other.engine.append_once("another", vec![draft("third")]).await, Ok(Appended::Now(_))));
    let last = other.append(&["last"]).await[0];
    one.has(last).await;
    assert_eq!(one.texts(), ["first", "second", "third", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_with_the_limit_and_the_rest_goes_on() {
    let servers = Servers::one_with("max_payload: 4096");
    let node = Node::start(&servers).await;
    let refused = node.engine.append(vec![draft(&"x".repeat(4000))]).await.expect_err("it is too large");
    assert_eq!(refused.kind(), AppendErrorKind::TooLarge);
    assert!(refused.to_string().contains("3456 bytes") && refused.to_string().contains("max_payload"), "{refused}");
    let large = "x".repeat(3000);
    let last = node.append(&[&large]).await[0];
    node.has(last).await;
    assert_eq!(node.texts(), [large]);
}

/// Far more than what is asked for at once, in messages and in bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_followed_to_its_end() {
    let servers = Servers::one();
    let node = Node::start(&servers).await;
    let large = "x".repeat(900_000);
    let mut last = None;
    for n in 0..40 {
        last = Some(node.append(&[&format!("{n} {large}")]).await[0]);
    }
    let mut waiting = Vec::new();
    for n in 0..3000 {
        waiting.push(node.engine.append(vec![draft(&n.to_string())]));
    }
    for stored in futures_util::future::join_all(waiting).await {
        last = last.max(Some(stored.expect("it is stored")[0]));
    }
    let late = Node::start(&servers).await;
    assert_eq!(late.log.span().tail, last.expect("something was published"));
    assert_eq!(late.records().len(), 3040);
    node.has(late.log.span().tail).await;
    assert_eq!(node.texts(), late.texts());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_batch_is_passed_over() {
    let servers = Servers::one();
    let node = Node::start(&servers).await;
    node.append(&["before"]).await;
    let operator = operator(&servers).await;
    let published = operator.publish("fanfare.FANFARE", "\u{1}garbage".into()).await.expect("it is sent");
    published.await.expect("it is stored");
    let last = node.append(&["after"]).await[0];
    node.has(last).await;
    assert_eq!(node.texts(), ["before", "after"]);
    assert_eq!(node.engine.unreadable(), 1);
    // It is no reason to tell of a gap, nor does it hold up who waits for the end of the stream.
    assert_eq!(last.offset / 4096, 3);
    operator.publish("fanfare.FANFARE", "more".into()).await.expect("it is sent").await.expect("it is stored");
    assert_eq!(node.engine.catch_up().await, Ok(()));
    assert!(node.log.span().start.offset < 4096 * 2);
    assert_eq!(node.engine.unreadable(), 2);
}
