//! The proxy to a language model: what becomes of the model's stream, however it goes.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use fanfare_scripted_server::{Script, ScriptedServer};
use fanfare_wire::MessageReader;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

#[path = "../../examples/generation/main.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod example;

use example::{StandIn, Upstream, app};

const PATIENCE: Duration = Duration::from_secs(60);

/// The data of each event of the answer to `prompt`, and types that are not `message` before them, up to its end.
async fn events(router: &Router, id: &str) -> Vec<String> {
    let request = Request::get(format!("/generations/{id}")).body(Body::empty()).unwrap();
    let body = router.clone().oneshot(request).await.unwrap().into_body();
    let bytes = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the stream ends").unwrap().to_bytes();
    let messages = MessageReader::new(&*bytes).map(Result::unwrap);
    messages
        .map(|message| {
            if message.event_type == "message" {
                message.data
            } else {
                format!("{}: {}", message.event_type, message.data)
            }
        })
        .collect()
}

async fn start(router: &Router, id: &str, prompt: &str) -> StatusCode {
    let request = Request::put(format!("/generations/{id}")).body(Body::from(prompt.to_owned())).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

fn delta(text: &str) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

fn text(text: &str) -> String {
    json!({ "text": text }).to_string()
}

/// A model that answers with `script`, asked for one answer: what the page got, and how often the model was asked.
async fn answer(script: Script) -> (Vec<String>, usize) {
    let model = ScriptedServer::start().await.unwrap().play([script]);
    let upstream = Upstream::new(&model.url("/v1/chat/completions"), "m", Some("secret".to_owned())).unwrap();
    let router = app(upstream, PATIENCE);
    assert_eq!(start(&router, "1", "Hello").await, StatusCode::CREATED);
    let events = events(&router, "1").await;
    let request = model.request(0).await.unwrap();
    assert_eq!((request.method(), request.target()), ("POST", "/v1/chat/completions"));
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body, json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "Hello" }] }));
    (events, model.requests().len())
}

#[tokio::test]
async fn a_models_stream_is_passed_on() {
    // As providers send it: a role first, a reason and figures last, comments between, and nothing after the end.
    let stream = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}}}}]}}\n\n{}: keep-alive\n\n{}\
         data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"choices\":[],\"usage\":{{\"total_tokens\":3}}}}\n\n\
         data: [DONE]\n\n{}",
        delta("Hel"),
        delta("lo\nworld"),
        delta("never")
    );
    let (events, asked) = answer(Script::event_stream().send(stream).hang()).await;
    assert_eq!(events, [text("Hel"), text("lo\nworld"), "[DONE]".to_owned()]);
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_and_not_asked_for_again() {
    let failures = [
        (Script::event_stream().send(delta("Hel")).reset(), 1),
        // Without its end mark.
        (Script::event_stream().send(delta("Hel")), 1),
        (
            Script::event_stream().send(delta("Hel")).send("data: {\"error\":{\"message\":\"overloaded\"}}\n\n").hang(),
            1,
        ),
        (Script::event_stream().send(delta("Hel")).send("data: nonsense\n\n").hang(), 1),
        (Script::status(401), 0),
        (Script::new().send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"), 0),
    ];
    for (script, said) in failures {
        let (events, asked) = answer(script.clone()).await;
        let (last, pieces) = events.split_last().unwrap();
        assert!(last.starts_with("failed: ") && !last.contains("secret"), "{script:?} {events:?}");
        assert_eq!(pieces, &[text("Hel")][..said], "{script:?}");
        assert_eq!(asked, 1, "{script:?}");
    }
}

#[tokio::test]
async fn a_model_that_nobody_listens_to_is_stopped() {
    // It would go on for half a minute.
    let model = StandIn::new(Duration::from_secs(1));
    let upstream = Upstream::new(&model.serve().await.unwrap(), "stand-in", None).unwrap();
    let router = app(upstream, Duration::from_millis(500));
    assert_eq!(start(&router, "1", "Hello").await, StatusCode::CREATED);
    let request = Request::get("/generations/1").body(Body::empty()).unwrap();
    let mut body = router.clone().oneshot(request).await.unwrap().into_body();
    // A comment, and a word.
    for _ in 0..2 {
        tokio::time::timeout(PATIENCE, body.frame()).await.expect("the model speaks").unwrap().unwrap();
    }
    assert_eq!(model.running(), 1);
    drop(body);
    let stopped = async {
        while model.running() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stopped).await.expect("the model sees that its client has gone");
    let events = events(&router, "1").await;
    assert!(!events.is_empty() && !events.contains(&"[DONE]".to_owned()), "{events:?}");
}

#[tokio::test]
async fn the_stand_in_is_a_model_and_an_answer_is_read_from_where_one_was() {
    let model = StandIn::new(Duration::ZERO);
    let router = app(Upstream::new(&model.serve().await.unwrap(), "stand-in", None).unwrap(), PATIENCE);
    assert_eq!(start(&router, "1", " Hello. ").await, StatusCode::CREATED);
    assert_eq!(start(&router, "1", "Hello.").await, StatusCode::OK);
    let all = events(&router, "1").await;
    assert_eq!(all.last().unwrap(), "[DONE]");
    assert_eq!(events(&router, "1").await, all);
    let said: String = all
        .iter()
        .filter_map(|data| serde_json::from_str::<Value>(data).ok()?["text"].as_str().map(str::to_owned))
        .collect();
    assert!(said.starts_with("This is answer 1. You said: Hello. "), "{said}");
    assert_eq!(model.begun(), 1);
}

#[test]
fn arguments_say_what_is_wrong_with_them() {
    let parse = |arguments: &[&str], key: Option<&str>| {
        Upstream::from_arguments(arguments.iter().map(|&argument| argument.to_owned()), key.map(str::to_owned))
    };
    let url = "http://127.0.0.1:11434/v1/chat/completions?key=hidden";
    let upstream = parse(&["--upstream", url, "--model", "m"], Some("secret")).unwrap().unwrap();
    assert_eq!(upstream.to_string(), "m at http://127.0.0.1:11434/v1/chat/completions");
    assert!(parse(&[], Some("secret")).unwrap().is_none());
    let table: [(&[&str], Option<&str>, &str); 6] = [
        (&["--upstream", url], None, "--upstream needs --model NAME: the provider's name of a model"),
        (&["--model", "m"], None, "--model needs --upstream URL"),
        (&["--model"], None, "--model needs a value"),
        (&["--url", url], None, "\"--url\" is not known: there are --upstream URL and --model NAME"),
        (&["--upstream", "nonsense", "--model", "m"], None, "is no URL"),
        (&["--upstream", url, "--model", "m"], Some("a\nb"), "header"),
    ];
    for (arguments, key, expected) in table {
        let error = parse(arguments, key).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
