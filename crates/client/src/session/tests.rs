//! Each test is a script: what happens, and what the session makes of it.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use url::Url;

use super::*;
use crate::answer;
use Input::{Body, Broken, Close, End, Head, HeadOf, Later, Refused, Unusable, Waited};

/// What happens to a session.
enum Input {
    /// An answer with this status that is an event stream.
    Head(u16),
    /// An answer with this status, content type and `Retry-After`.
    HeadOf(u16, &'static str, &'static str),
    Body(&'static str),
    End,
    Broken,
    Refused,
    Unusable,
    Waited,
    /// So many seconds go by.
    Later(u64),
    Close,
}

/// Runs the script; each input is followed by what it made the session tell, and at the end by its state.
fn check(retry: RetryPolicy, script: &[Input], expected: &[&str]) {
    check_stop(retry, Stop::default(), script, expected);
}

fn check_stop(retry: RetryPolicy, stop: Stop, script: &[Input], expected: &[&str]) {
    let mut session = Session::new(Limits::DEFAULT, retry, stop, None);
    let url = Url::parse("https://example.com/events").unwrap();
    let mut told = Vec::new();
    let mut moment = Moment { now: Duration::ZERO, jitter: 0.5 };
    for input in script {
        let news = match input {
            Head(status) => push_head(&mut session, *status, fanfare_wire::CONTENT_TYPE, "", &url, moment),
            HeadOf(status, kind, after) => push_head(&mut session, *status, kind, after, &url, moment),
            Body(text) => {
                let mut rest = text.as_bytes();
                while let Some(news) = session.push_chunk(&mut rest) {
                    told.push(describe(&news));
                }
                None
            }
            End => session.push_end(moment),
            Broken => session.push_failure(Error::new(Kind::CutOff, "broken"), moment),
            Refused => session.push_failure(Error::new(Kind::Connect, "refused"), moment),
            Unusable => session.push_failure(Error::new(Kind::Url, "unusable"), moment),
            Waited => {
                session.push_waited();
                None
            }
            Later(seconds) => {
                moment.now += Duration::from_secs(*seconds);
                None
            }
            Close => {
                session.close();
                None
            }
        };
        told.extend(news.as_ref().map(describe));
    }
    told.push(format!("{:?} id {:?}", session.state(), &**session.last_event_id()));
    assert_eq!(told, expected);
}

fn push_head(session: &mut Session, status: u16, kind: &str, after: &str, url: &Url, moment: Moment) -> Option<News> {
    let mut headers = HeaderMap::new();
    for (name, value) in [(CONTENT_TYPE, kind), (RETRY_AFTER, after)] {
        if !value.is_empty() {
            headers.insert(name, value.parse().unwrap());
        }
    }
    match answer::judge(StatusCode::from_u16(status).unwrap(), headers, url.clone()) {
        Ok(opened) => session.push_open(opened, moment),
        Err(error) => session.push_failure(error, moment),
    }
}

fn describe(news: &News) -> String {
    match news {
        News::Open(opened) => format!("open {}", opened.status()),
        News::Event(event) => format!("{} {:?} id {:?}", event.event_type(), event.data(), event.last_event_id()),
        News::Comment(comment) => format!("comment {comment:?}"),
        News::Skipped(skipped) => format!("skipped {}", skipped.bytes()),
        News::Error(interruption) => match interruption.retry_in() {
            Some(wait) => format!("error {:?} {wait:?}", interruption.error().kind()),
            None => format!("closed {:?}", interruption.error().kind()),
        },
    }
}

#[test]
fn c15_any_other_status_than_200_is_final() {
    for status in [201, 204, 205, 206, 210, 299, 300, 304, 307, 400, 404, 410, 429, 500, 503] {
        check(RetryPolicy::default(), &[Head(status)], &["closed Status", "Closed id \"\""]);
    }
    check(RetryPolicy::default(), &[Head(200)], &["open 200 OK", "Open id \"\""]);
}

#[test]
fn c16_anything_else_than_an_event_stream_is_final() {
    for kind in ["text/event-streamx", "text/html", ""] {
        check(RetryPolicy::default(), &[HeadOf(200, kind, "")], &["closed ContentType", "Closed id \"\""]);
    }
}

#[test]
fn c17_a_network_error_reconnects_also_on_the_first_attempt() {
    check(RetryPolicy::default(), &[Refused], &["error Connect 3s", "Waiting(3s) id \"\""]);
    check(
        RetryPolicy::default(),
        &[Head(200), Body("data: a\n\n"), Broken, Waited],
        &["open 200 OK", "message \"a\" id \"\"", "error CutOff 3s", "Connecting id \"\""],
    );
    check(RetryPolicy::default(), &[Unusable], &["closed Url", "Closed id \"\""]);
}

#[test]
fn c18_c21_the_end_of_a_stream_reconnects() {
    check(
        RetryPolicy::default(),
        &[Head(200), End, Waited, Head(200)],
        &["open 200 OK", "error EndOfStream 3s", "open 200 OK", "Open id \"\""],
    );
}

#[test]
fn c22_c23_after_the_end_nothing_is_told() {
    check(
        RetryPolicy::default(),
        &[Head(404), Waited, Head(200), Body("data: a\n\n"), End, Broken],
        &["closed Status", "Closed id \"\""],
    );
    for at_once in [End, Broken, Refused, Head(200), Head(404), Waited, Body("data: a\n\n")] {
        check(RetryPolicy::default(), &[Head(200), Close, at_once], &["open 200 OK", "Closed id \"\""]);
    }
}

#[test]
fn c24_the_reconnection_time_survives_reconnects() {
    check(
        RetryPolicy::default(),
        &[Head(200), Body("retry: 700\n"), End, Waited, Head(200), Body("data\n\n"), End],
        &[
            "open 200 OK",
            "error EndOfStream 700ms",
            "open 200 OK",
            "message \"\" id \"\"",
            "error EndOfStream 700ms",
            "Waiting(700ms) id \"\"",
        ],
    );
}

#[test]
fn c24_it_is_bounded_on_both_sides() {
    for (retry, expected) in [("retry: 0\n", "100ms"), ("retry: 99999999999999999999\n", "86400s")] {
        let (told, state) = (format!("error EndOfStream {expected}"), format!("Waiting({expected}) id \"\""));
        check(RetryPolicy::default(), &[Head(200), Body(retry), End], &["open 200 OK", &told, &state]);
    }
}

#[test]
fn the_id_outlives_connections_and_events_without_one() {
    check(
        RetryPolicy::default(),
        &[Head(200), Body("id: 1\ndata: a\n\nid: 2\n\nid: 3\ndata: lost"), End, Waited, Head(200), Body("data: b\n\n")],
        &[
            "open 200 OK",
            "message \"a\" id \"1\"",
            "error EndOfStream 3s",
            "open 200 OK",
            "message \"b\" id \"2\"",
            "Open id \"2\"",
        ],
    );
    check(RetryPolicy::default(), &[Head(200), Body("id: 1\n\nid\n\n")], &["open 200 OK", "Open id \"\""]);
}

#[test]
fn waits_grow_with_failures_in_a_row_and_an_event_ends_the_row() {
    check(
        RetryPolicy::default(),
        &[Refused, Waited, Head(200), End, Waited, Refused, Waited, Head(200), Body(":\n\ndata: a\n\n"), End],
        &[
            "error Connect 3s",
            "open 200 OK",
            "error EndOfStream 4.5s",
            "error Connect 7.5s",
            "open 200 OK",
            "comment \"\"",
            "message \"a\" id \"\"",
            "error EndOfStream 3s",
            "Waiting(3s) id \"\"",
        ],
    );
}

#[test]
fn ten_seconds_of_an_open_stream_end_the_row_too() {
    for (seconds, expected) in [(9, "4.5s"), (10, "3s")] {
        let (told, state) = (format!("error CutOff {expected}"), format!("Waiting({expected}) id \"\""));
        check(
            RetryPolicy::default(),
            &[Refused, Waited, Head(200), Later(seconds), Broken],
            &["error Connect 3s", "open 200 OK", &told, &state],
        );
    }
}

#[test]
fn with_a_healthy_time_events_alone_do_not_end_the_row() {
    for (seconds, expected) in [(59, "4.5s"), (60, "3s")] {
        let (told, state) = (format!("error EndOfStream {expected}"), format!("Waiting({expected}) id \"\""));
        check(
            RetryPolicy::default().healthy_after(Duration::from_secs(60)),
            &[Refused, Waited, Head(200), Body("data: a\n\n"), Later(seconds), End],
            &["error Connect 3s", "open 200 OK", "message \"a\" id \"\"", &told, &state],
        );
    }
}

#[test]
fn every_failure_counts_its_attempts_and_the_row() {
    let mut session = Session::new(Limits::DEFAULT, RetryPolicy::default(), Stop::default(), None);
    let url = Url::parse("https://example.com/events").unwrap();
    let moment = Moment { now: Duration::ZERO, jitter: 0.0 };
    let mut told = Vec::new();
    for (status, stream) in [(0, ""), (200, ""), (200, "data\n\n"), (404, "")] {
        let failure = match status {
            0 => session.push_failure(Error::new(Kind::Connect, "refused"), moment),
            200 => {
                push_head(&mut session, 200, fanfare_wire::CONTENT_TYPE, "", &url, moment);
                session.push_chunk(&mut stream.as_bytes());
                session.push_end(moment)
            }
            status => push_head(&mut session, status, "", "", &url, moment),
        };
        let Some(News::Error(interruption)) = failure else { panic!("a failure is told") };
        let error = interruption.error();
        told.push((error.attempt(), error.failures(), error.retry_in().is_some(), error.has_given_up()));
        session.push_waited();
    }
    assert_eq!(told, [(1, 1, true, false), (2, 2, true, false), (3, 1, true, false), (4, 2, false, false)]);
}

#[test]
fn a_stop_is_a_success_and_the_end() {
    let rest = || [Head(200), Body("id: 7\ndata: a\n\nid: 8\ndata: [DONE]\n\ndata: b\n\n"), End, Waited, Head(200)];
    for (delivery, last) in [(Delivery::Withheld, None), (Delivery::Delivered, Some("message \"[DONE]\" id \"8\""))] {
        let mut stop = Stop::default();
        stop.push(Delivery::Withheld, Box::new(|event| event.event_type() == "never"));
        stop.push(delivery, Box::new(|event| event.data() == "[DONE]"));
        let expected = ["open 200 OK", "message \"a\" id \"7\""].into_iter().chain(last).chain(["Closed id \"8\""]);
        check_stop(RetryPolicy::default(), stop, &rest(), &Vec::from_iter(expected));
    }
}

#[test]
fn the_end_may_be_a_success_and_a_break_is_none() {
    let at_end = || {
        let mut stop = Stop::default();
        stop.is_at_end = true;
        stop
    };
    check_stop(
        RetryPolicy::default(),
        at_end(),
        &[Head(200), End, Waited, Head(200)],
        &["open 200 OK", "Closed id \"\""],
    );
    check_stop(
        RetryPolicy::default(),
        at_end(),
        &[Refused, Waited, Head(200), Broken, Waited, Head(200), End],
        &["error Connect 3s", "open 200 OK", "error CutOff 4.5s", "open 200 OK", "Closed id \"\""],
    );
    check_stop(RetryPolicy::default(), at_end(), &[Head(404)], &["closed Status", "Closed id \"\""]);
}

#[test]
fn chosen_statuses_reconnect_and_retry_after_takes_the_place_of_the_reconnection_time() {
    let policy = || RetryPolicy::default().on_transient_statuses();
    check(policy(), &[Head(503)], &["error Status 3s", "Waiting(3s) id \"\""]);
    check(policy(), &[HeadOf(429, "", "7")], &["error Status 7s", "Waiting(7s) id \"\""]);
    check(policy(), &[HeadOf(429, "", "0")], &["error Status 100ms", "Waiting(100ms) id \"\""]);
    check(policy(), &[HeadOf(503, "", "7200")], &["error Status 3600s", "Waiting(3600s) id \"\""]);
    check(policy(), &[HeadOf(404, "", "7")], &["closed Status", "Closed id \"\""]);
    check(
        policy(),
        &[HeadOf(503, "", "0"), Waited, HeadOf(503, "", "0"), Waited, HeadOf(503, "", "0")],
        &["error Status 100ms", "error Status 150ms", "error Status 250ms", "Waiting(250ms) id \"\""],
    );
    check(policy(), &[Head(204)], &["closed Status", "Closed id \"\""]);
}

#[test]
fn retries_run_out() {
    check(
        RetryPolicy::default().retries_max(1),
        &[Refused, Waited, Refused, Waited, Head(200)],
        &["error Connect 3s", "closed Connect", "Closed id \"\""],
    );
    check(RetryPolicy::never(), &[Head(200), End], &["open 200 OK", "closed EndOfStream", "Closed id \"\""]);
}

#[test]
fn giving_up_is_told_apart_from_failing_for_good() {
    let given_up = |retry: RetryPolicy, error| {
        let mut session = Session::new(Limits::DEFAULT, retry, Stop::default(), None);
        let moment = Moment { now: Duration::ZERO, jitter: 0.0 };
        let Some(News::Error(interruption)) = session.push_failure(error, moment) else { panic!("a failure is told") };
        interruption.has_given_up()
    };
    assert!(given_up(RetryPolicy::never(), Error::new(Kind::Connect, "refused")));
    assert!(!given_up(RetryPolicy::default(), Error::new(Kind::Connect, "refused")));
    assert!(!given_up(RetryPolicy::never(), Error::new(Kind::Redirect, "nowhere")));
}

#[test]
fn an_initial_id_is_the_first_to_be_sent_and_kept() {
    let id = EventId::new("41").unwrap();
    let session = Session::new(Limits::DEFAULT, RetryPolicy::default(), Stop::default(), Some(&id));
    assert_eq!(&**session.last_event_id(), "41");
}

#[test]
fn c28_the_origin_is_that_of_the_url_that_answered() {
    for (url, expected) in [
        ("https://example.com/events", "https://example.com"),
        ("https://example.com:443/events", "https://example.com"),
        ("http://user:secret@EXAMPLE.com:8080/?q", "http://example.com:8080"),
        ("http://bücher.example/", "http://xn--bcher-kva.example"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
    ] {
        let mut session = Session::new(Limits::DEFAULT, RetryPolicy::default(), Stop::default(), None);
        let moment = Moment { now: Duration::ZERO, jitter: 0.0 };
        let url = Url::parse(url).unwrap();
        push_head(&mut session, 200, "text/event-stream", "", &url, moment);
        let Some(News::Event(event)) = session.push_chunk(&mut &b"data\n\n"[..]) else { panic!("an event is told") };
        assert_eq!(event.origin(), expected);
    }
}
