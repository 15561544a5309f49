//! The example of a hub in an application with users.

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::running::Subscriber;

#[path = "../../examples/sessions.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod example;

struct Site {
    url: String,
    client: Client,
}

impl Site {
    async fn start() -> Self {
        let (_, router) = example::app().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, client: Client::new() }
    }

    async fn get(&self, path: &str, cookie: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).header("cookie", cookie).send().await.unwrap()
    }

    async fn post(&self, path: &str, cookie: &str, body: &Value) -> Response {
        let request = self.client.post(format!("{}{path}", self.url)).header("cookie", cookie);
        request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap()
    }

    /// The cookie of a new session.
    async fn login(&self, name: &str) -> String {
        let answer = self.post("/login", "", &json!({ "name": name })).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/; Max-Age=3600");
        assert_eq!(pair.len(), "session=".len() + 32);
        pair.to_owned()
    }

    /// All that the holder of the cookie may read, from the start.
    async fn read(&self, cookie: &str) -> Subscriber {
        Subscriber::new(self.get("/live/events?lastEventID=earliest", cookie).await)
    }
}

#[tokio::test]
async fn everybody_reads_the_board_and_each_their_own_messages() {
    let site = Site::start().await;
    let (ada, bo) = (site.login("ada").await, site.login("b/o").await);
    for (cookie, to, text) in [(&ada, "b/o", "for bo"), (&bo, "ada", "for ada"), (&bo, "", "for all")] {
        let sent = site.post("/messages", cookie, &json!({ "to": to, "text": text })).await;
        assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    }
    let session: Value = serde_json::from_str(&site.get("/session", &bo).await.text().await.unwrap()).unwrap();
    assert_eq!(session, json!({ "name": "b/o", "topics": ["users/b%2Fo/messages", "board"] }));
    for (cookie, from, text) in [(&ada, "b/o", "for ada"), (&bo, "ada", "for bo")] {
        let mut stream = site.read(cookie).await;
        let message = |from: &str, text: &str| json!({ "from": from, "text": text }).to_string();
        let got = stream.next().await.unwrap();
        assert_eq!((&*got.event_type, got.data), ("private", message(from, text)));
        let got = stream.next().await.unwrap();
        assert_eq!((&*got.event_type, got.data), ("board", message("b/o", "for all")));
    }
}

#[tokio::test]
async fn without_a_session_there_is_nothing_and_with_one_nobody_publishes_past_the_application() {
    let site = Site::start().await;
    let cookie = site.login("ada").await;
    assert_eq!(site.get("/session", "").await.text().await.unwrap(), "null");
    for cookie in ["", "session=", "session=0123", "other=x"] {
        assert_eq!(site.get("/live/events", cookie).await.status(), StatusCode::UNAUTHORIZED);
        let sent = site.post("/messages", cookie, &json!({ "to": "", "text": "x" })).await;
        assert_eq!(sent.status(), StatusCode::UNAUTHORIZED);
    }
    // Without Origin it is taken for a foreign page's doing.
    assert_eq!(site.post("/live/events/board", &cookie, &json!({})).await.status(), StatusCode::FORBIDDEN);
    let request = site.client.post(format!("{}/live/events/board", site.url)).header("cookie", &cookie);
    let own = request.header("origin", &site.url).body("x").send().await.unwrap();
    assert_eq!(own.status(), StatusCode::FORBIDDEN);
    assert!(own.text().await.unwrap().contains("you may not publish"));
    for name in ["", &"x".repeat(33)] {
        let refused = site.post("/login", "", &json!({ "name": name })).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let form = site.client.post(format!("{}/login", site.url)).header("content-type", "text/plain");
    assert_eq!(form.body("{\"name\":\"x\"}").send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_logout_ends_every_stream_of_the_session_and_no_others() {
    let site = Site::start().await;
    let (ada, elsewhere) = (site.login("ada").await, site.login("ada").await);
    let mut streams = [site.read(&ada).await, site.read(&ada).await];
    let mut other = site.read(&elsewhere).await;
    let out = site.post("/logout", &ada, &json!(null)).await;
    assert_eq!(out.headers()["set-cookie"], "session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    for stream in &mut streams {
        assert_eq!(stream.next().await, None);
    }
    assert_eq!(site.get("/live/events", &ada).await.status(), StatusCode::UNAUTHORIZED);
    site.post("/messages", &elsewhere, &json!({ "to": "ada", "text": "still here" })).await;
    assert!(other.next().await.unwrap().data.contains("still here"));
}
