//! A disk that fails beneath the hub: publishers are refused with a reason, subscribers stay, and it goes on by itself.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare_hub::{Hub, Revocation, Settings};
use fanfare_log::{
    Append, AppendError, AppendOnce, Appended, CatchUp, Draft, Engine, Epoch, Frame, Id, MemoryLog, Place, Position,
    Retention, Timestamp, Visibility,
};
use http::StatusCode;

use crate::application::application;
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

/// An engine whose events come from elsewhere, and are here when somebody has waited for them.
#[derive(Debug)]
struct Distant {
    log: Arc<MemoryLog>,
    elsewhere: Mutex<Vec<(Draft, Position)>>,
    is_reachable: AtomicBool,
    is_filling: AtomicBool,
}

impl Engine for Distant {
    fn append(&self, _batch: Vec<Draft>) -> Append<'_> {
        Box::pin(std::future::ready(Err(AppendError::too_large("a batch of 9 bytes is over the limit of 8"))))
    }

    fn append_once<'a>(&'a self, key: &'a str, _batch: Vec<Draft>) -> AppendOnce<'a> {
        assert_eq!(key.len(), 64);
        let position = Position { epoch: Epoch(1), offset: 7 };
        let first = vec![(Id::Chosen("first".into()), position), (Id::Position, position)];
        Box::pin(std::future::ready(Ok(Appended::Before(first))))
    }

    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(async {
            if !self.is_reachable.load(Ordering::SeqCst) {
                return Err("the others are away".to_owned());
            }
            for (draft, position) in self.elsewhere.lock().unwrap().drain(..) {
                self.log.store_now(vec![draft], Place::At(position)).unwrap();
            }
            self.is_filling.store(false, Ordering::SeqCst);
            Ok(())
        })
    }

    fn is_filling(&self) -> bool {
        self.is_filling.load(Ordering::SeqCst)
    }
}

fn elsewhere(offset: u64, id: Option<&str>) -> (Draft, Position) {
    let id = id.map_or(Id::Position, |id| Id::Chosen(id.into()));
    let frame = Frame::whole(format!("data: {offset}\n\n"));
    let (topics, visibility, time) = (vec!["a".into()], Visibility::Public, Timestamp(0));
    (Draft { topics, id, visibility, time, frame }, Position { epoch: Epoch(1), offset })
}

#[tokio::test]
async fn a_cursor_of_another_node_is_waited_for_and_what_can_not_be_told_is_503() {
    let log = Arc::new(MemoryLog::new(Epoch(1), Retention::default()));
    let events = vec![elsewhere(3, None), elsewhere(5, Some("chosen")), elsewhere(9, None)];
    let (is_reachable, is_filling) = (AtomicBool::new(false), AtomicBool::new(true));
    let engine = Arc::new(Distant { log: log.clone(), elsewhere: Mutex::new(events), is_reachable, is_filling });
    let hub = Running::of(Hub::builder().engine(engine.clone(), log.clone())).await;
    let refused = hub.get("/events/a").send().await.unwrap();
    assert_eq!(
        (refused.status(), refused.headers()["retry-after"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"5"[..])
    );
    assert!(refused.text().await.unwrap().contains("the others are away"));

    engine.is_reachable.store(true, Ordering::SeqCst);
    // Without a cursor it is not given the old ones as new.
    let tail = hub.get("/events/a").send().await.unwrap();
    assert_eq!(tail.headers()["last-event-id"], "e1-9");
    for (ahead, cursor, expected) in [(12, "e1-12", "e1-12"), (15, "one", "one"), (17, "e1-99", "earliest")] {
        engine.elsewhere.lock().unwrap().push(elsewhere(ahead, (cursor == "one").then_some("one")));
        let found = hub.get("/events/a").header("Last-Event-ID", cursor).send().await.unwrap();
        assert_eq!(found.headers()["last-event-id"], expected, "{cursor}");
    }
    // What is known needs nobody.
    engine.is_reachable.store(false, Ordering::SeqCst);
    let known = hub.get("/events/a").header("Last-Event-ID", "chosen").send().await.unwrap();
    assert_eq!(known.headers()["last-event-id"], "chosen");
    let unknown = hub.get("/events/a").header("Last-Event-ID", "e1-99").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// An engine whose log takes some seconds to have everything, in which a session may end.
#[derive(Debug)]
struct Late {
    log: Arc<MemoryLog>,
    ends: Revocation,
}

impl Engine for Late {
    fn append(&self, batch: Vec<Draft>) -> Append<'_> {
        fanfare_log::Log::store(&*self.log, batch, Place::Next)
    }

    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.ends.revoke();
            Ok(())
        })
    }
}

/// A hub whose log catches up slowly. Ada's session is `session`, and `ends` ends meanwhile.
async fn late(session: &Revocation, ends: Revocation) -> Running {
    let log = Arc::new(MemoryLog::new(Epoch(1), Retention::default()));
    let mut settings = Settings::default();
    settings.authorization = application(session);
    Running::of(Hub::builder().settings(settings).engine(Arc::new(Late { log: log.clone(), ends }), log)).await
}

/// What passes while the log catches up is no time that comes on top of what somebody has.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_waited_for_does_not_outlast_its_access() {
    let hub = late(&Revocation::new(), Revocation::new()).await;
    let subscribe = |cursor| hub.get("/events").header("x-user", "shorter").header("Last-Event-ID", cursor).send();
    assert_eq!(subscribe("earliest").await.unwrap().status(), StatusCode::OK);
    assert_eq!(subscribe("e1-99").await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_waited_for_does_not_begin_when_its_access_was_taken_back() {
    let session = Revocation::new();
    let hub = late(&session, session.clone()).await;
    let subscribe = |cursor| hub.get("/events").header("x-user", "ada").header("Last-Event-ID", cursor).send();
    assert_eq!(subscribe("earliest").await.unwrap().status(), StatusCode::OK);
    assert_eq!(subscribe("e1-99").await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_engine_says_what_is_too_large_and_gives_the_first_answer_again() {
    let log = Arc::new(MemoryLog::new(Epoch(1), Retention::default()));
    let (is_reachable, is_filling) = (AtomicBool::new(true), AtomicBool::new(false));
    let engine = Distant { log: log.clone(), elsewhere: Mutex::default(), is_reachable, is_filling };
    let hub = Running::of(Hub::builder().engine(Arc::new(engine), log)).await;
    let refused = hub.post("/events/a").body("data").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.text().await.unwrap().contains("limit of 8"));
    let again = hub.post("/events/a").header("Idempotency-Key", "k").body("other").send().await.unwrap();
    assert_eq!(again.text().await.unwrap(), "first\ne1-7");
}
