//! Well-formed requests that ask for too much: JSON, forms, queries, topics, URI Templates.

use crate::peer::{crowd, publish, say, status};
use crate::target::Target;

const NDJSON: &str = "application/x-ndjson";
const FORM: &str = "application/x-www-form-urlencoded";

/// Each is answered with one of these, again and again.
async fn answers(requests: &[(Vec<u8>, &[&str])]) {
    let target = Target::start(&[]).await;
    target
        .withstands(64 << 20, async |address| {
            crowd(requests.len() * 2, async |n| {
                let (request, statuses) = &requests[n % requests.len()];
                let answer = say(address, request).await;
                let shown = String::from_utf8_lossy(&request[..request.len().min(200)]);
                // On a slow machine a crowd's megabytes may come later than the hub waits for them.
                assert!(statuses.contains(&status(&answer)) || status(&answer) == "408", "{shown:?} {answer}");
            })
            .await;
        })
        .await;
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn json_as_deep_as_a_body_can_be() {
    let deep = "[".repeat(400_000) + &"]".repeat(400_000);
    let objects = r#"{"a":"#.repeat(150_000) + "1" + &"}".repeat(150_000);
    let batch = |line: &str| publish("/events", NDJSON, line);
    answers(&[
        (batch(&format!(r#"{{"topic":"a","data":{deep}}}"#)), &["200", "400"]),
        (batch(&format!(r#"{{"topic":"a","data":{objects}}}"#)), &["200", "400"]),
        (batch(&format!(r#"{{"topic":{deep}}}"#)), &["400"]),
        (batch(&format!(r#"{{"topic":{objects}}}"#)), &["400"]),
        (batch(&"[".repeat(1_000_000)), &["400"]),
        (batch(&r#"{"topic":"#.repeat(100_000)), &["400"]),
        (batch(&format!(r#"{{"topic":"a","data":"{}"}}"#, "\\u0000".repeat(150_000))), &["200"]),
        (batch(&format!(r#"{{"topic":"a","retry":1{}}}"#, "0".repeat(900_000))), &["400"]),
        (batch(&format!(r#"{{"topic":"a","data":1e{}}}"#, "9".repeat(900_000))), &["200", "400"]),
        (batch(&"{\"topic\":\"a\"}\n".repeat(5000)), &["413"]),
        (batch(&"\n".repeat(1_000_000)), &["400"]),
        (batch(&format!(r#"{{"topic":[{}"a"]}}"#, r#""a","#.repeat(200_000))), &["400"]),
    ])
    .await;
}

#[tokio::test]
async fn forms_and_queries_that_explode() {
    let form = |body: &str| publish("/.well-known/mercure", FORM, body);
    answers(&[
        (form(&"a&".repeat(500_000)), &["400"]),
        (form(&"topic=a&".repeat(4000)), &["400"]),
        (form(&"%25".repeat(300_000)), &["400"]),
        (form(&format!("topic=a&data={}", "%".repeat(900_000))), &["200"]),
        (form(&format!("topic=a&data={}", "%E2%82".repeat(150_000))), &["400"]),
        (form(&format!("topic={}", "%41".repeat(300_000))), &["400"]),
        (form(&format!("topic=a&id={}", "+".repeat(500_000))), &["400"]),
        (form(&"=".repeat(1_000_000)), &["400"]),
        (get(&format!("/events?{}", "topic=a&".repeat(1500))), &["400"]),
        (get(&format!("/events?{}", "a&".repeat(4500))), &["400"]),
        (get(&format!("/events?{}", "topic=%25%32%35&".repeat(1001))), &["400"]),
        (get(&format!("/events/{}", "%2F".repeat(4500))), &["400"]),
        (get(&format!("/events/{}", "%252E%252E/".repeat(2000))), &["400"]),
        (get("/events/%FF%FE"), &["400"]),
        (get("/events/%"), &["200"]),
        (get(&format!("/events?lastEventID={}", "9".repeat(20_000))), &["400"]),
        (get("/events/a?lastEventID=99999999999999999999999-99999999999999999999999"), &["200"]),
        (get(&format!("/.well-known/mercure/subscriptions/{}", "a/".repeat(8000))), &["400", "404"]),
    ])
    .await;
}

#[tokio::test]
async fn templates_made_to_blow_up() {
    let select = |selectors: &[String]| {
        let query: Vec<String> = selectors.iter().map(|selector| format!("topic={selector}")).collect();
        get(&format!("/events?{}", query.join("&")).replace(' ', ""))
    };
    let one = |selector: String| select(&[selector]);
    let many = |count: usize, make: &dyn Fn(usize) -> String| select(&(0..count).map(make).collect::<Vec<_>>());
    answers(&[
        (one("{a:9999}".to_owned()), &["200", "400"]),
        (one(format!("{{{}:9999}}", "a".repeat(3000))), &["200", "400"]),
        (one("{a:9999}{b:9999}{c:9999}".to_owned()), &["400"]),
        (one("{a:99999999999999999999}".to_owned()), &["200", "400"]),
        (one("{a*}".repeat(900)), &["200", "400"]),
        (one("{+a}".repeat(900)), &["200", "400"]),
        (one(format!("{{{}z}}", "a*,".repeat(1200))), &["200", "400"]),
        (one("{".repeat(4000)), &["200", "400"]),
        (one("{a".repeat(1900)), &["200", "400"]),
        (one(format!("{}a{}", "{".repeat(2000), "}".repeat(2000))), &["200", "400"]),
        (many(1000, &|n| format!("{{a:{}}}", 1000 + n)), &["400"]),
        (many(100, &|n| format!("{{a:{}}}/{{b}}", 1000 + n)), &["200", "400"]),
        (many(500, &|n| format!("{n}/{{a}}{{b*}}{{?c}}")), &["400"]),
    ])
    .await;
}

/// Time as well as memory: what matches slowly would hold up whoever publishes.
#[tokio::test]
async fn topics_that_templates_match_slowly_hold_nobody_up() {
    let target = Target::start(&[]).await;
    let selectors = ["{a}{b}{c}{d}z", "{a*}{b*}{c*}z", "{+a}{+b}{+c}{+d}z", "{a,b,c}{?d,e*}z", "{/a*}{/b*}z"];
    let query: Vec<String> = selectors.iter().map(|selector| format!("topic={selector}")).collect();
    let subscribe = get(&format!("/events?{}", query.join("&")));
    let topic = "a/,".repeat(1300);
    target
        .withstands(32 << 20, async |address| {
            let subscribers = crowd(50, async |_| {
                let mut stream = crate::peer::connect(address).await;
                let answer = crate::peer::say_on(&mut stream, &subscribe).await;
                assert_eq!(status(&answer), "200", "{answer}");
                stream
            })
            .await;
            for _ in 0..100 {
                let body = format!("topic={topic}&data=x");
                assert_eq!(status(&say(address, &publish("/.well-known/mercure", FORM, &body)).await), "200");
            }
            drop(subscribers);
        })
        .await;
}
