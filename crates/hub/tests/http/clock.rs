//! A clock that jumps, as one does that is set by hand or by a virtual machine's host: order, delivery and cursors do not hang
//! on the time of day; age and tokens do, and recover with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare_hub::{Authorization, Clock, Hub, Settings};
use fanfare_log::{Retention, Timestamp};

use crate::running::Running;
use crate::tokens::{NOW, both, lasting};

const HOUR: Duration = Duration::from_secs(3600);
const START: u64 = NOW * 1000;
const DAY: u64 = 24 * 3600 * 1000;

/// In milliseconds since 1970.
#[derive(Debug)]
struct Jumping(AtomicU64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl Jumping {
    fn jump(&self, to: u64) {
        self.0.store(to, Ordering::SeqCst);
    }
}

async fn hub(authorization: Authorization, retention: Retention) -> (Running, Arc<Jumping>) {
    let clock = Arc::new(Jumping(AtomicU64::new(START)));
    let mut settings = Settings::default();
    settings.authorization = authorization;
    let builder = Hub::builder().settings(settings).memory(retention).clock(clock.clone());
    (Running::of(builder).await, clock)
}

#[tokio::test]
async fn a_stream_goes_on_whatever_the_time_is() {
    let (hub, clock) = hub(Authorization::Open, Retention::default()).await;
    let mut subscriber = hub.subscribe("/events/a").await;
    let times = [START, START + 365 * DAY, START - 365 * DAY, 0, 1, u64::MAX, u64::MAX - 1, START];
    let mut published = Vec::new();
    for (number, time) in times.into_iter().enumerate() {
        clock.jump(time);
        let data = number.to_string();
        let answer = hub.post("/events/a").body(data.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "at {time}");
        published.push(data);
        assert_eq!(subscriber.data(1).await, published[number..], "at {time}");
        assert_eq!(hub.resume("/events/a", "earliest").await.data(published.len()).await, published);
    }
}

/// What is kept by age looks old when the clock goes on by a day, and not when it goes back by one.
#[tokio::test(start_paused = true)]
async fn history_goes_by_the_clock_and_is_never_lost_to_one_that_goes_back() {
    let retention = Retention { age: Some(HOUR), ..Retention::default() };
    let (hub, clock) = hub(Authorization::Open, retention).await;
    let trimmed = async || tokio::time::sleep(Duration::from_secs(30)).await;
    let mut live = hub.subscribe("/events").await;
    hub.publish("a", "before").await;
    clock.jump(START - DAY);
    hub.publish("a", "earlier").await;
    trimmed().await;
    assert_eq!(hub.resume("/events", "earliest").await.data(2).await, ["before", "earlier"]);
    clock.jump(START + DAY);
    for number in 0..200 {
        hub.publish("a", number.to_string()).await;
    }
    trimmed().await;
    let kept = hub.hub.figures().log_events;
    assert!((200..=264).contains(&kept), "{kept} events: those of an hour, and what may be kept beside them");
    let all = live.data(202).await;
    assert_eq!((all[0].as_str(), all[1].as_str(), all[201].as_str()), ("before", "earlier", "199"));
}

#[tokio::test]
async fn tokens_are_judged_by_the_time_that_it_is() {
    let (hub, clock) = hub(Authorization::Tokens(both()), Retention::default()).await;
    let token = lasting(&["*"], HOUR);
    for (time, status) in
        [(START, 200), (START + DAY, 401), (START - DAY, 200), (u64::MAX, 401), (0, 200), (START, 200)]
    {
        clock.jump(time);
        let answer = hub.get("/events").bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), status, "at {time}");
    }
}
