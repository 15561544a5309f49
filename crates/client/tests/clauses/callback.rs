//! The callbacks: C1 to C7, C20 to C29.

use std::sync::{Arc, OnceLock};

use fanfare_client::{AbortController, Event, EventSource, Kind, Listener, ListenerOptions, ReadyState};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::server::{OK, Server};

/// More than any of these tests has to tell.
const TOLD_MAX: usize = 100;

/// What callbacks tell, in order.
struct Log(Receiver<String>);

impl Log {
    fn new() -> (Tell, Self) {
        let (sender, receiver) = channel(TOLD_MAX);
        (Tell(sender), Self(receiver))
    }

    async fn next(&mut self) -> String {
        self.0.recv().await.unwrap()
    }

    /// What was told so far.
    fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

#[derive(Clone)]
struct Tell(Sender<String>);

impl Tell {
    fn say(&self, text: impl Into<String>) {
        self.0.try_send(text.into()).unwrap();
    }

    /// A callback that tells what it sees.
    fn callback(&self, name: &'static str) -> impl FnMut(&Event) + Send + use<> {
        let tell = self.clone();
        move |event| tell.say(format!("{name} {} {:?}", event.event_type(), event.data()))
    }
}

#[tokio::test(start_paused = true)]
async fn c6_the_states_have_the_numbers_of_the_standard() {
    let numbers = [ReadyState::Connecting, ReadyState::Open, ReadyState::Closed].map(|state| state as u8);
    assert_eq!(numbers, [0, 1, 2]);
}

/// JavaScript makes a string of everything, and a page has an address to resolve it against. Here the types say what is
/// text, and there is no page: what is no URL by itself is none.
#[tokio::test(start_paused = true)]
async fn c1_c2_the_url_is_text_and_complete() {
    let text = "http://127.0.0.1:1/é";
    let serialized = "http://127.0.0.1:1/%C3%A9";
    assert_eq!(EventSource::new(text).unwrap().url().as_str(), serialized);
    assert_eq!(EventSource::new(String::from(text)).unwrap().url().as_str(), serialized);
    assert_eq!(EventSource::new(text.parse::<url::Url>().unwrap()).unwrap().url().as_str(), serialized);
    for relative in ["", "null", "1", "events", "/events", "//127.0.0.1/events", "?q"] {
        assert_eq!(EventSource::new(relative).unwrap_err().kind(), Kind::Url, "{relative:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_c5_c6_attributes_at_the_start() {
    let server = Server::start().await;
    let source = EventSource::new(format!("{}/a/../events?q=é", server.origin())).unwrap();
    assert_eq!(source.url().as_str(), format!("{}/events?q=%C3%A9", server.origin()));
    assert_eq!(source.ready_state(), ReadyState::Connecting);
    assert!(!source.with_credentials());
    assert_eq!(&*source.last_event_id(), "");
    assert!(server.builder().with_credentials(true).connect().unwrap().with_credentials());
}

#[test]
fn without_a_runtime_it_says_so() {
    assert_eq!(EventSource::new("http://127.0.0.1:1/").unwrap_err().kind(), Kind::Runtime);
}

#[tokio::test(start_paused = true)]
async fn c7_another_scheme_fails_later() {
    for url in ["ftp://127.0.0.1/", "about:blank", "mailto:who@example.com", "javascript:alert('x')"] {
        let (tell, mut log) = Log::new();
        let source = EventSource::new(url).unwrap();
        assert_eq!(source.ready_state(), ReadyState::Connecting, "{url:?}");
        let state = source.clone();
        source.on_error(move |event| {
            tell.say(format!("{:?} {:?}", state.ready_state(), event.interruption().unwrap().error().kind()));
        });
        assert_eq!(log.next().await, "Closed Url", "{url:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c20_c21_c22_the_state_is_set_before_its_event() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    let (state, tell_open) = (source.clone(), tell.clone());
    source.on_open(move |event| tell_open.say(format!("open {:?} {:?}", state.ready_state(), event.data())));
    let state = source.clone();
    source.on_error(move |event| {
        let retry_in = event.interruption().unwrap().retry_in();
        tell.say(format!("error {:?} {:?}", state.ready_state(), retry_in));
    });
    drop(server.answer(OK).await);
    assert_eq!(log.next().await, "open Open \"\"");
    assert_eq!(log.next().await, "error Connecting Some(3s)");
    server.answer("HTTP/1.1 410 Gone\r\n\r\n").await;
    assert_eq!(log.next().await, "error Closed None");
    server.expect_nobody().await;
    assert_eq!(log.rest(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn c23_close_within_a_callback_ends_everything() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    let (itself, told) = (source.clone(), tell.clone());
    source.on_message(move |event| {
        told.say(event.data());
        itself.close();
        itself.close();
        itself.on_error(told.callback("late"));
        itself.add_event_listener("message", told.callback("late"), ListenerOptions::default());
        told.say(format!("{:?}", itself.ready_state()));
    });
    source.add_event_listener("message", tell.callback("listener"), ListenerOptions::default());
    source.on_error(tell.callback("error"));
    let peer = server.answer(&format!("{OK}data: a\n\ndata: b\n\n")).await;
    assert_eq!(log.next().await, "a");
    assert_eq!(log.next().await, "Closed");
    peer.expect_closed().await;
    server.expect_nobody().await;
    assert_eq!(source.ready_state(), ReadyState::Closed);
    drop(tell);
    drop(source);
    assert_eq!(log.0.recv().await, None, "nothing more, and no closure is left: the cycle is broken");
}

#[tokio::test(start_paused = true)]
async fn c23_close_from_outside_in_every_state() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let watched = || {
        let source = EventSource::new(server.url()).unwrap();
        source.on_open(tell.callback("on"));
        source.on_error(tell.callback("on"));
        source
    };
    // Before the answer.
    let source = watched();
    let peer = server.accept().await;
    source.close();
    assert_eq!(source.ready_state(), ReadyState::Closed);
    peer.expect_closed().await;
    // While it is open.
    let source = watched();
    let peer = server.answer(OK).await;
    assert_eq!(log.next().await, "on open \"\"");
    source.close();
    peer.expect_closed().await;
    // While it waits.
    let source = watched();
    drop(server.answer(OK).await);
    assert_eq!(log.next().await, "on open \"\"");
    assert_eq!(log.next().await, "on error \"\"");
    source.close();
    server.expect_nobody().await;
    assert_eq!(log.rest(), [""; 0]);
    // And what is added later is never called.
    source.on_error(tell.callback("late"));
    assert_eq!(source.ready_state(), ReadyState::Closed);
}

#[tokio::test(start_paused = true)]
async fn c29_the_last_handle_ends_it() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    source.on_message(tell.callback("on"));
    let mut peer = server.answer(OK).await;
    let clone = source.clone();
    drop(source);
    peer.send("data: still here\n\n").await;
    assert_eq!(log.next().await, "on message \"still here\"");
    drop(clone);
    peer.expect_closed().await;
    drop(tell);
    assert_eq!(log.0.recv().await, None, "the closures are gone too");
}

#[tokio::test(start_paused = true)]
async fn c29_dropping_a_stream_ends_it() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let peer = server.open(&mut client).await;
    drop(client);
    peer.expect_closed().await;

    let mut client = server.builder().news().unwrap();
    let peer = server.open(&mut client).await;
    client.close();
    assert_eq!(client.ready_state(), ReadyState::Closed);
    assert!(client.next().await.is_none());
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn c25_c26_handlers_and_listeners() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    source.on_message(tell.callback("replaced"));
    source.on_message(tell.callback("handler"));
    source.add_event_listener("message", tell.callback("listener"), ListenerOptions::default());
    source.add_event_listener("heartbeat", tell.callback("once"), ListenerOptions::default().once());
    let removed = source.add_event_listener("heartbeat", tell.callback("removed"), ListenerOptions::default());
    source.remove_event_listener("heartbeat", &removed);
    let twice = Listener::new(tell.callback("shared"));
    source.add_listener("heartbeat", &twice, ListenerOptions::default());
    source.add_listener("heartbeat", &twice, ListenerOptions::default());
    let controller = AbortController::new();
    let options = ListenerOptions::default().signal(&controller.signal());
    source.add_event_listener("heartbeat", tell.callback("signal"), options);

    let heartbeat = "event: heartbeat\ndata: OK\n\n";
    let mut peer = server.answer(&format!("{OK}{heartbeat}data: a\n\n")).await;
    for expected in ["once heartbeat", "shared heartbeat", "signal heartbeat"] {
        assert_eq!(log.next().await, format!("{expected} \"OK\""));
    }
    assert_eq!(log.next().await, "handler message \"a\"");
    assert_eq!(log.next().await, "listener message \"a\"");
    controller.abort();
    peer.send(&format!("{heartbeat}data: b\n\n")).await;
    assert_eq!(log.next().await, "shared heartbeat \"OK\"");
    assert_eq!(log.next().await, "handler message \"b\"");
}

#[tokio::test(start_paused = true)]
async fn c26_a_callback_may_change_the_listeners() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    let itself = source.clone();
    let this: Arc<OnceLock<Listener>> = Arc::default();
    let (own, told) = (Arc::clone(&this), tell.clone());
    let listener = source.add_event_listener(
        "message",
        move |event| {
            told.say(format!("first {}", event.data()));
            itself.remove_event_listener("message", own.get().unwrap());
            itself.add_event_listener("message", told.callback("added"), ListenerOptions::default());
            itself.on_message(told.callback("handler"));
            assert_eq!(itself.ready_state(), ReadyState::Open);
        },
        ListenerOptions::default(),
    );
    this.set(listener).unwrap();
    let _peer = server.answer(&format!("{OK}data: a\n\ndata: b\n\n")).await;
    assert_eq!(log.next().await, "first a");
    assert_eq!(log.next().await, "added message \"b\"");
    assert_eq!(log.next().await, "handler message \"b\"");
    source.close();
}

#[tokio::test(start_paused = true)]
async fn c26_a_panic_does_not_reach_the_others() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    source.on_message(|_| panic!("expected in this test"));
    source.add_event_listener("message", tell.callback("other"), ListenerOptions::default());
    let _peer = server.answer(&format!("{OK}data: a\n\ndata: b\n\n")).await;
    assert_eq!(log.next().await, "other message \"a\"");
    assert_eq!(log.next().await, "other message \"b\"");
}

#[tokio::test(start_paused = true)]
async fn c27_the_server_may_send_events_named_open_and_error() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    let told = tell.clone();
    source.on_error(move |event| told.say(format!("{} {:?}", event.is_message(), event.data())));
    let told = tell.clone();
    source.on_open(move |event| told.say(format!("{} {:?}", event.is_message(), event.data())));
    let peer = server.answer(&format!("{OK}event: error\ndata: mine\n\nevent: open\ndata: too\n\n")).await;
    for expected in ["false \"\"", "true \"mine\"", "true \"too\""] {
        assert_eq!(log.next().await, expected);
    }
    drop(peer);
    assert_eq!(log.next().await, "false \"\"");
    assert_eq!(source.ready_state(), ReadyState::Connecting);
}

#[tokio::test(start_paused = true)]
async fn c28_a_message_has_data_origin_and_last_event_id() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = EventSource::new(server.url()).unwrap();
    source.on_message(move |event| {
        assert!(event.is_message() && event.interruption().is_none());
        tell.say(format!("{:?} {} {}", event.data(), event.last_event_id(), event.origin()));
    });
    let mut peer = server.answer(&format!("{OK}id: 7\ndata: a\ndata: b\n\n")).await;
    assert_eq!(log.next().await, format!("\"a\\nb\" 7 {}", server.origin()));
    assert_eq!(&*source.last_event_id(), "7");
    peer.send("id: 8\n\ndata: c\n\n").await;
    assert_eq!(log.next().await, format!("\"c\" 8 {}", server.origin()));
}

#[tokio::test(start_paused = true)]
async fn listeners_of_the_builder_miss_nothing() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let heartbeat = Listener::new(tell.callback("listener"));
    let source = server
        .builder()
        .on_open(tell.callback("on"))
        .on_message(tell.callback("on"))
        .on_error(tell.callback("on"))
        .listener("heartbeat", &heartbeat, ListenerOptions::default())
        .connect()
        .unwrap();
    drop(server.answer(&format!("{OK}data: a\n\nevent: heartbeat\ndata\n\n")).await);
    for expected in ["on open \"\"", "on message \"a\"", "listener heartbeat \"\"", "on error \"\""] {
        assert_eq!(log.next().await, expected);
    }
    drop(source);
}

#[test]
fn c29_the_end_of_the_runtime_closes_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let source = runtime.block_on(async { EventSource::new("http://127.0.0.1:1/").unwrap() });
    drop(runtime);
    assert_eq!(source.ready_state(), ReadyState::Closed);
}

/// What was read and not delivered is to come again in the next run.
#[tokio::test(start_paused = true)]
async fn c23_the_last_event_id_stays_where_it_was_closed() {
    let server = Server::start().await;
    let (tell, mut log) = Log::new();
    let source = Arc::new(OnceLock::<EventSource>::new());
    let own = Arc::clone(&source);
    let on_message = move |event: &Event| {
        tell.say(event.data());
        if event.data() == "5" {
            own.get().unwrap().close();
        }
    };
    let connected = server.builder().on_message(on_message).connect().unwrap();
    source.set(connected.clone()).unwrap();
    let events: String = (0..50).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect();
    let peer = server.answer(&format!("{OK}{events}")).await;
    while log.next().await != "5" {}
    peer.expect_closed().await;
    assert_eq!(&*connected.last_event_id(), "5");
    assert_eq!(log.rest(), Vec::<String>::new());
}
