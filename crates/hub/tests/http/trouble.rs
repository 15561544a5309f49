//! A disk that fails beneath the hub: publishers are refused with a reason, subscribers stay, and it goes on by itself.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use fanfare_hub::Hub;
use fanfare_log::{Append, AppendError, Draft, Engine, Epoch, MemoryLog, Place, Retention};
use http::StatusCode;

use crate::running::Running;

/// An engine whose sync fails when it is told to, and which refuses until it is repaired: as a log on a disk does.
#[derive(Debug)]
struct Fragile {
    log: Arc<MemoryLog>,
    state: AtomicU8,
    lost: Mutex<Vec<Draft>>,
}

const SOUND: u8 = 0;
const ABOUT_TO_FAIL: u8 = 1;
const FAILED: u8 = 2;

impl Engine for Fragile {
    fn append(&self, batch: Vec<Draft>) -> Append<'_> {
        let refuse = |error| -> Append<'_> { Box::pin(std::future::ready(Err(error))) };
        match self.state.load(Ordering::SeqCst) {
            SOUND => fanfare_log::Log::store(&*self.log, batch, Place::Next),
            ABOUT_TO_FAIL => {
                self.state.store(FAILED, Ordering::SeqCst);
                self.lost.lock().unwrap().extend(batch);
                refuse(AppendError::maybe_stored("a sync of the disk failed"))
            }
            _ => refuse(AppendError::not_stored("a sync of the disk failed")),
        }
    }

    fn unready(&self) -> Option<String> {
        (self.state.load(Ordering::SeqCst) == FAILED).then(|| "a sync of the disk failed".to_owned())
    }
}

#[tokio::test]
async fn a_failed_sync_is_503_and_not_ready_until_the_log_is_repaired_and_subscribers_stay() {
    let log = Arc::new(MemoryLog::new(Epoch(1), Retention::default()));
    let engine = Arc::new(Fragile { log: log.clone(), state: AtomicU8::new(SOUND), lost: Mutex::default() });
    let hub = Running::of(Hub::builder().engine(engine.clone(), log)).await;
    let mut subscriber = hub.subscribe("/events/a").await;
    let publish = async |data: &'static str| hub.post("/events/a").body(data).send().await.unwrap();
    let ready = async || hub.get("/health/ready").send().await.unwrap();

    assert_eq!(publish("before").await.status(), StatusCode::OK);
    engine.state.store(ABOUT_TO_FAIL, Ordering::SeqCst);
    for (data, said) in [("lost", "not known whether"), ("refused", "not stored")] {
        let refused = publish(data).await;
        assert_eq!(
            (refused.status(), refused.headers()["retry-after"].as_bytes()),
            (StatusCode::SERVICE_UNAVAILABLE, &b"5"[..])
        );
        let problem = refused.text().await.unwrap();
        assert!(problem.contains(said) && problem.contains("sync of the disk failed"), "{problem}");
        let unready = ready().await;
        assert_eq!(unready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(unready.text().await.unwrap().contains("sync of the disk failed"));
    }
    assert_eq!(engine.lost.lock().unwrap().len(), 1);

    engine.state.store(SOUND, Ordering::SeqCst);
    assert_eq!(ready().await.status(), StatusCode::OK);
    assert_eq!(publish("after").await.status(), StatusCode::OK);
    // Nothing that was not confirmed is between them.
    assert_eq!(subscriber.data(2).await, ["before", "after"]);
}
