//! What no `Debug` output and no error's text may hold. What no log line may hold is in `tests/logging.rs`.

use fanfare_client::{EventSource, EventSourceBuilder};

use crate::server::{OK, Server};

/// In every place where a secret can be.
const SECRET: &str = "hush";

fn builder(server: &Server) -> EventSourceBuilder {
    let url = server.url().replace("http://", "http://user:hush@") + "?token=hush#hush";
    EventSource::builder(url)
        .bearer_token(SECRET)
        .unwrap()
        .header("X-Api-Key", SECRET)
        .unwrap()
        .header("Cookie", "session=hush")
        .unwrap()
        .body(SECRET)
        .with_credentials(true)
}

#[tokio::test(start_paused = true)]
async fn no_debug_output_holds_a_secret() {
    let server = Server::start().await;
    let mut shown = vec![format!("{:?}", builder(&server)), format!("{:?}", builder(&server).stream().unwrap())];
    let source = builder(&server).connect().unwrap();
    shown.push(format!("{source:?}"));
    source.close();

    let mut client = builder(&server).news().unwrap();
    shown.push(format!("{client:?}"));
    let (peer, news) = server.answer_to(&mut client, &OK.replace("\r\n\r\n", "\r\nSet-Cookie: a=hush\r\n\r\n")).await;
    shown.push(format!("{news:?}"));
    drop(peer);
    shown.push(format!("{:?}", client.next().await.unwrap()));
    for answer in [
        "HTTP/1.1 503 Busy\r\nSet-Cookie: a=hush\r\nX-Token: hush\r\nContent-Length: 4\r\n\r\nhush",
        "HTTP/1.1 302 Found\r\nLocation: ftp://user:hush@127.0.0.1/?hush\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhush",
    ] {
        let mut client = builder(&server).news().unwrap();
        let (_, news) = server.answer_to(&mut client, answer).await;
        shown.push(format!("{news:?}"));
    }
    for url in ["http://user:hush@not a host/?hush", "ftp://user:hush@127.0.0.1/?hush", "?hush"] {
        match EventSource::builder(url).news() {
            Ok(mut client) => shown.push(format!("{:?}", client.next().await.unwrap())),
            Err(error) => shown.push(format!("{error:?} {error}")),
        }
    }
    assert_eq!(shown.len(), 12);
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
    }
}
