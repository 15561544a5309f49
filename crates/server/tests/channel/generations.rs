//! Generations: from the start, resumed, cancelled, forgotten.

use std::sync::Arc;
use std::time::Duration;

use fanfare_server::{Event, EventId, Generations, LastEventId, StartError};
use tokio::sync::Semaphore;

use crate::reading::Reader;

fn last(id: String) -> LastEventId {
    LastEventId(Some(EventId::new(id).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn a_reload_goes_on_where_it_was_and_others_get_it_from_the_start() {
    let generations = Generations::builder().expiry(Duration::from_secs(60)).build();
    let go_on = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&go_on);
    generations
        .start("g", |producer| async move {
            for n in 0..4 {
                permits.acquire().await.unwrap().forget();
                producer.send(Event::data(n.to_string()))?;
            }
            producer.send(Event::data("[DONE]"))?;
            Ok(())
        })
        .unwrap();
    let mut page = Reader::new(generations.response("g", LastEventId(None)).into_body());
    go_on.add_permits(2);
    assert_eq!(page.take(2).await, ["0", "1"]);
    let id = page.last_event_id();
    drop(page);
    go_on.add_permits(2);
    let mut reloaded = Reader::new(generations.response("g", last(id)).into_body());
    let mut late = Reader::new(generations.response("g", LastEventId(None)).into_body());
    assert_eq!(reloaded.rest().await, ["2", "3", "[DONE]"]);
    assert_eq!(late.rest().await, ["0", "1", "2", "3", "[DONE]"]);

    // Whoever has everything is told to stay away; whoever comes late gets it until it is forgotten.
    assert_eq!(generations.response("g", last(late.last_event_id())).status(), 204);
    tokio::time::sleep(Duration::from_secs(59)).await;
    let mut later = Reader::new(generations.response("g", LastEventId(None)).into_body());
    assert_eq!(later.rest().await.len(), 5);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(generations.response("g", LastEventId(None)).status(), 404);
    assert!(generations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_nobody_listens_to_is_cancelled() {
    let generations = Generations::builder().patience(Duration::from_secs(10)).build();
    let alive = Arc::new(());
    let start = |name: &str| {
        let held = Arc::clone(&alive);
        generations
            .start(name, |producer| async move {
                producer.send(Event::data("first"))?;
                std::future::pending::<()>().await;
                drop(held);
                Ok(())
            })
            .unwrap();
    };
    start("never heard");
    start("left");
    start("kept");
    let left = generations.response("left", LastEventId(None)).into_body();
    let mut kept = Reader::new(generations.response("kept", LastEventId(None)).into_body());
    assert_eq!(kept.take(1).await, ["first"]);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(Arc::strong_count(&alive), 4);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(Arc::strong_count(&alive), 3);

    // A reload is no leaving.
    drop(left);
    tokio::time::sleep(Duration::from_secs(9)).await;
    let back = generations.response("left", LastEventId(None)).into_body();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(back);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(Arc::strong_count(&alive), 2);

    generations.cancel_all();
    assert_eq!(kept.rest().await, Vec::<String>::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test]
async fn there_is_one_of_a_name_and_no_more_than_there_may_be() {
    let generations = Generations::builder().retain_count(2).build();
    let start = |name: &str| generations.start(name, |_| std::future::pending());
    assert_eq!(start("a"), Ok(()));
    assert_eq!(start("a"), Err(StartError::Exists));
    assert_eq!(start("b"), Ok(()));
    assert_eq!(start("c"), Err(StartError::TooMany));
    assert_eq!(generations.len(), 2);
}
