//! What goes beyond the standard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_client::{EventSource, Kind, News, RetryPolicy, SkipReason};
use http::{HeaderMap, Method};
use tokio::io::AsyncWriteExt;
use tokio::time::{advance, timeout};

use crate::server::{OK, Server, error, event, expect_error, hold_clock};

#[tokio::test(start_paused = true)]
async fn method_headers_and_body_are_sent_again_with_each_reconnect() {
    let server = Server::start().await;
    let mut client = server
        .builder()
        .method(Method::from_bytes(b"REPORT").unwrap())
        .header("X-One", "1")
        .unwrap()
        .header("x-one", "2")
        .unwrap()
        .header("Accept", "text/event-stream, application/json")
        .unwrap()
        .json(&serde_json::json!({"prompt": "é"}))
        .unwrap()
        .bearer_token("token")
        .unwrap()
        .news()
        .unwrap();
    for _ in 0..2 {
        let peer = server.open(&mut client).await;
        assert!(peer.head.starts_with("REPORT /events HTTP/1.1\r\n"), "{}", peer.head);
        assert_eq!(peer.header("x-one"), ["1", "2"]);
        assert_eq!(peer.header("accept"), ["text/event-stream, application/json"]);
        assert_eq!(peer.header("content-type"), ["application/json"]);
        assert_eq!(peer.header("authorization"), ["Bearer token"]);
        assert_eq!(peer.body, "{\"prompt\":\"é\"}".as_bytes());
        drop(peer);
        error(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_header_is_refused_at_once() {
    for (name, value) in [("bad name", "x"), ("", "x"), ("x", "a\r\nInjected: yes"), ("x", "\0")] {
        let refused = EventSource::builder("http://127.0.0.1/").header(name, value);
        assert_eq!(refused.unwrap_err().kind(), Kind::Request, "{name:?}: {value:?}");
    }
    assert!(EventSource::builder("http://127.0.0.1/").bearer_token("a\nb").is_err());
    let secret = EventSource::builder("http://127.0.0.1/").bearer_token("hush\n").unwrap_err();
    assert!(!format!("{secret:?} {secret}").contains("hush"));
}

#[tokio::test(start_paused = true)]
async fn the_header_provider_is_asked_before_every_attempt() {
    let server = Server::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let mut client = server
        .builder()
        .header("authorization", "stale")
        .unwrap()
        .header_provider(move || {
            let attempt = counter.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                if attempt == 2 {
                    return Err("no token today".into());
                }
                let mut headers = HeaderMap::new();
                headers.insert("authorization", format!("fresh {attempt}").parse()?);
                headers.insert("last-event-id", "not for it to say".parse()?);
                Ok(headers)
            }
        })
        .news()
        .unwrap();
    let peer = server.open(&mut client).await;
    assert_eq!(peer.header("authorization"), ["fresh 1"]);
    assert_eq!(peer.header("last-event-id"), [""; 0]);
    drop(peer);
    error(&mut client).await;
    let interruption = error(&mut client).await;
    assert_eq!(interruption.error().kind(), Kind::Headers);
    assert!(interruption.retry_in().is_some());
    assert_eq!(server.open(&mut client).await.header("authorization"), ["fresh 3"]);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_life_and_silence_is_not() {
    let server = Server::start().await;
    let clock = hold_clock();
    let mut client = server.builder().idle_timeout(Duration::from_secs(30)).news().unwrap();
    let mut peer = server.open(&mut client).await;
    for life in [":\n", ":\n", "data: a\n\n"] {
        // The client waits for bytes when time goes by.
        assert!(timeout(Duration::ZERO, client.next()).await.is_err());
        advance(Duration::from_secs(29)).await;
        peer.send(life).await;
        assert!(matches!(client.next().await, Some(News::Comment(_) | News::Event(_))));
    }
    assert!(timeout(Duration::ZERO, client.next()).await.is_err());
    advance(Duration::from_millis(30_010)).await;
    let interruption = error(&mut client).await;
    assert_eq!((interruption.error().kind(), interruption.failures()), (Kind::Timeout, 1));
    assert!(interruption.retry_in().is_some());
    peer.expect_closed().await;
    drop(clock);
    server.open(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_pauses_is_no_silence_of_the_server() {
    let server = Server::start().await;
    let clock = hold_clock();
    let mut client = server.builder().idle_timeout(Duration::from_secs(30)).news().unwrap();
    let mut peer = server.open(&mut client).await;
    advance(Duration::from_secs(3_600)).await;
    assert!(timeout(Duration::ZERO, client.next()).await.is_err());
    peer.send("data: a\n\n").await;
    assert_eq!(event(&mut client).await.data(), "a");
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_runs_into_the_connect_timeout() {
    let server = Server::start().await;
    let seconds = Duration::from_secs;
    for builder in [
        server.builder().connect_timeout(seconds(5)).idle_timeout(seconds(60)),
        server.builder().idle_timeout(seconds(5)),
    ] {
        let clock = hold_clock();
        let mut client = builder.news().unwrap();
        let peer = tokio::select! {
            peer = server.accept() => peer,
            news = client.next() => panic!("{news:?}"),
        };
        advance(seconds(4)).await;
        assert!(timeout(Duration::ZERO, client.next()).await.is_err());
        advance(seconds(2)).await;
        assert_eq!(error(&mut client).await.error().kind(), Kind::Timeout);
        peer.expect_closed().await;
        drop(clock);
    }
}

#[tokio::test(start_paused = true)]
async fn without_timeouts_silence_lasts_for_ever() {
    let server = Server::start().await;
    let mut client = server.builder().connect_timeout(Duration::from_secs(5)).news().unwrap();
    let clock = hold_clock();
    let mut peer = server.open(&mut client).await;
    assert!(timeout(Duration::ZERO, client.next()).await.is_err());
    advance(Duration::from_secs(30 * 24 * 60 * 60)).await;
    peer.send("data: a\n\n").await;
    assert_eq!(event(&mut client).await.data(), "a");
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn an_event_over_the_limit_is_skipped_and_its_id_counts() {
    let server = Server::start().await;
    let mut client = server.builder().max_event_size(10).news().unwrap();
    let mut peer = server.open(&mut client).await;
    peer.send(&format!("data: {}\nid: 5\n\ndata: 0123456789\n\n", "x".repeat(100_000))).await;
    let Some(News::Skipped(skipped)) = client.next().await else { panic!("the first is too large") };
    assert_eq!((skipped.last_event_id(), skipped.bytes()), ("5", 100_013));
    assert!(matches!(skipped.reason(), SkipReason::Line | SkipReason::Event));
    let event = event(&mut client).await;
    assert_eq!((event.data(), event.last_event_id()), ("0123456789", "5"));
}

#[tokio::test(start_paused = true)]
async fn a_retry_policy_may_cover_statuses_and_run_out() {
    let server = Server::start().await;
    let policy = RetryPolicy::default().on_transient_statuses().retries_max(2);
    let mut client = server.builder().retry(policy).news().unwrap();
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for _ in 0..2 {
        let (_, news) = server.answer_to(&mut client, busy).await;
        let interruption = expect_error(Some(news));
        let wait = interruption.retry_in().unwrap();
        assert!((Duration::from_secs(7)..=Duration::from_secs(14)).contains(&wait), "{wait:?}");
        assert_eq!(interruption.error().status().map(|status| status.as_u16()), Some(503));
    }
    let (_, news) = server.answer_to(&mut client, busy).await;
    let interruption = expect_error(Some(news));
    assert_eq!((interruption.retry_in(), interruption.has_given_up()), (None, true));
    server.expect_nobody().await;
}

#[tokio::test(start_paused = true)]
async fn full_jitter_keeps_the_servers_word_and_is_no_hot_loop() {
    let server = Server::start().await;
    let milliseconds = Duration::from_millis;
    let policy = RetryPolicy::default().full_jitter().reconnection_time(milliseconds(500));
    let mut client = server.builder().retry(policy).news().unwrap();
    for (stream, range_ms) in [
        ("", 100..=500),
        ("", 100..=1_000),
        ("", 100..=2_000),
        ("data\n\n", 100..=500),
        ("retry: 700\ndata\n\n", 700..=1_400),
        ("", 700..=2_100),
        ("retry: 0\ndata\n\n", 100..=200),
    ] {
        let mut peer = server.open(&mut client).await;
        peer.send(stream).await;
        drop(peer);
        let interruption = loop {
            match client.next().await {
                Some(News::Event(_)) => {}
                news => break expect_error(news),
            }
        };
        let wait_ms = interruption.retry_in().unwrap().as_millis();
        assert!(range_ms.contains(&wait_ms), "{stream:?}: {wait_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_fail_soon_are_met_with_growing_waits_if_health_is_time() {
    let server = Server::start().await;
    let policy = RetryPolicy::default().healthy_after(Duration::from_secs(60));
    let mut client = server.builder().retry(policy).news().unwrap();
    for failures in 1..=5 {
        let mut peer = server.open(&mut client).await;
        peer.send("retry: 0\ndata\n\n").await;
        event(&mut client).await;
        drop(peer);
        let interruption = error(&mut client).await;
        assert_eq!(interruption.failures(), failures);
    }
    let clock = hold_clock();
    let peer = {
        let ready = server.open(&mut client);
        tokio::pin!(ready);
        loop {
            tokio::select! {
                biased;
                peer = &mut ready => break peer,
                () = advance(Duration::from_millis(100)) => {}
            }
        }
    };
    advance(Duration::from_secs(60)).await;
    drop(peer);
    assert_eq!(error(&mut client).await.failures(), 1);
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn one_shot_ends_with_its_stream() {
    let server = Server::start().await;
    let one_shot = || server.builder().retry(RetryPolicy::never()).stream().unwrap();
    let mut events = one_shot();
    let response = format!("{OK}data: {{\"n\":1}}\n\n");
    let (peer, first) = tokio::join!(server.answer(&response), events.next());
    drop(peer);
    let first = first.unwrap().unwrap();
    assert_eq!(first.json::<serde_json::Value>().unwrap()["n"], 1);
    assert_eq!(first.json::<Vec<u8>>().unwrap_err().kind(), Kind::Json);
    assert!(events.next().await.is_none(), "the clean end is no error");

    let mut events = one_shot();
    let cut_off = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata: a\n\n";
    let (_, first) = tokio::join!(server.answer(cut_off), events.next());
    assert_eq!(first.unwrap().unwrap().data(), "a");
    assert_eq!(events.next().await.unwrap().unwrap_err().kind(), Kind::CutOff);
    assert!(events.next().await.is_none());
    server.expect_nobody().await;
}

#[tokio::test(start_paused = true)]
async fn c5_cookies_are_kept_with_credentials_and_not_without() {
    let server = Server::start().await;
    for (with_credentials, expected) in [(true, &["session=1"][..]), (false, &[])] {
        let mut client = server.builder().with_credentials(with_credentials).news().unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: session=1\r\n\r\n";
        let (peer, _) = server.answer_to(&mut client, head).await;
        drop(peer);
        error(&mut client).await;
        assert_eq!(server.open(&mut client).await.header("cookie"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_does_not_poll_makes_the_server_wait() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let peer = server.open(&mut client).await;
    let mut stream = peer.into_stream();
    let event_bytes = format!("data: {}\n\n", "x".repeat(1 << 16));
    let mut written = 0;
    // The clock jumps when neither side can go on.
    while let Ok(done) = timeout(Duration::from_secs(1), stream.write_all(event_bytes.as_bytes())).await {
        done.unwrap();
        written += event_bytes.len();
        assert!(written < 64 << 20, "somebody buffers without end");
    }
    assert_eq!(event(&mut client).await.data().len(), 1 << 16);
}
