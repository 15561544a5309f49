//! Redirects: C14, C4, C28.

use fanfare_client::{Kind, News};
use http::Method;

use crate::server::{OK, Server, error, event, expect_error};

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn c14_every_redirect_is_followed_absolute_or_relative() {
    let server = Server::start().await;
    for status in [301, 302, 303, 307, 308] {
        for location in [format!("{}/other", server.origin()), "/other".to_owned(), "other".to_owned()] {
            let mut client = server.builder().news().unwrap();
            let (peer, news) = tokio::join!(
                async {
                    server.answer(&redirect(status, &location)).await;
                    server.answer(OK).await
                },
                client.next()
            );
            assert!(peer.head.starts_with("GET /other HTTP/1.1\r\n"), "{status} {location}");
            assert_eq!(peer.header("accept"), ["text/event-stream"]);
            let Some(News::Open(opened)) = news else { panic!("{status} {location}: {news:?}") };
            assert_eq!(opened.url().as_str(), format!("{}/other", server.origin()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c14_a_redirect_to_nowhere_fails_without_a_loop() {
    let server = Server::start().await;
    for response in [
        redirect(301, ""),
        redirect(307, "http://this is invalid/"),
        redirect(302, "ftp://127.0.0.1/"),
        "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ] {
        let mut client = server.builder().news().unwrap();
        let (_peer, news) = server.answer_to(&mut client, &response).await;
        let interruption = expect_error(Some(news));
        assert_eq!(interruption.error().kind(), Kind::Redirect, "{response:?}");
        assert_eq!(interruption.retry_in(), None);
        assert!(client.next().await.is_none());
        server.expect_nobody().await;
    }
}

#[tokio::test(start_paused = true)]
async fn c14_a_circle_ends_after_twenty_redirects() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let (requests, interruption) = tokio::join!(
        async {
            for _ in 0..21 {
                server.answer(&redirect(302, "/events")).await;
            }
        },
        error(&mut client)
    );
    let () = requests;
    assert_eq!((interruption.error().kind(), interruption.retry_in()), (Kind::Redirect, None));
    server.expect_nobody().await;
}

#[tokio::test(start_paused = true)]
async fn c4_c28_a_reconnect_goes_to_the_first_url_and_the_origin_is_the_last() {
    let (server, other) = (Server::start().await, Server::start().await);
    let mut client = server.builder().news().unwrap();
    let location = redirect(302, &other.url());
    let (mut peer, _) = tokio::join!(
        async {
            server.answer(&location).await;
            other.answer(OK).await
        },
        client.next()
    );
    peer.send("data\n\n").await;
    assert_eq!(event(&mut client).await.origin(), other.origin());
    assert_eq!(client.url().as_str(), server.url());
    drop(peer);
    error(&mut client).await;
    server.open(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn c14_credentials_stay_with_their_origin() {
    let (server, other) = (Server::start().await, Server::start().await);
    let mut headers = http::HeaderMap::new();
    let mut key = http::HeaderValue::from_static("secret");
    key.set_sensitive(true);
    headers.insert("x-api-key", key);
    headers.insert("x-trace", http::HeaderValue::from_static("7"));
    let builder = || server.builder().headers(headers.clone()).bearer_token("token").unwrap();
    for (target, arrives) in [(&server, true), (&other, false)] {
        let mut client = builder().news().unwrap();
        let location = redirect(307, &format!("{}/there", target.origin()));
        let (peer, _) = tokio::join!(
            async {
                server.answer(&location).await;
                target.answer(OK).await
            },
            client.next()
        );
        assert_eq!(peer.header("authorization").len(), usize::from(arrives));
        assert_eq!(peer.header("x-api-key").len(), usize::from(arrives));
        assert_eq!(peer.header("x-trace"), ["7"]);
    }
}

#[tokio::test(start_paused = true)]
async fn c14_a_password_in_the_url_stays_with_its_origin_too() {
    let (server, other) = (Server::start().await, Server::start().await);
    let url = server.url().replace("http://", "http://user:password@");
    for (target, arrives) in [(&server, true), (&other, false)] {
        let mut client = fanfare_client::EventSource::builder(&url).news().unwrap();
        let location = redirect(302, &format!("{}/there", target.origin()));
        let ((first, peer), _) =
            tokio::join!(async { (server.answer(&location).await, target.answer(OK).await) }, client.next());
        assert_eq!(first.header("authorization"), ["Basic dXNlcjpwYXNzd29yZA=="]);
        assert_eq!(peer.header("authorization").len(), usize::from(arrives));
    }
}

#[tokio::test(start_paused = true)]
async fn c14_the_body_follows_307_and_not_303() {
    let server = Server::start().await;
    for (status, method, body) in [(307, "POST", "question"), (308, "POST", "question"), (303, "GET", "")] {
        let builder = server.builder().method(Method::POST).header("Content-Type", "text/plain").unwrap();
        let mut client = builder.body("question").news().unwrap();
        let (peer, _) = tokio::join!(
            async {
                server.answer(&redirect(status, "/other")).await;
                server.answer(OK).await
            },
            client.next()
        );
        assert!(peer.head.starts_with(&format!("{method} /other ")), "{status}: {}", peer.head);
        assert_eq!(peer.body, body.as_bytes());
        assert_eq!(peer.header("content-type").len(), usize::from(!body.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn c14_a_client_that_was_handed_in_keeps_its_own_policy() {
    let server = Server::start().await;
    let strict = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut client = server.builder().client(strict).news().unwrap();
    let (_peer, news) = server.answer_to(&mut client, &redirect(302, "/other")).await;
    let interruption = expect_error(Some(news));
    assert_eq!((interruption.error().kind(), interruption.retry_in()), (Kind::Status, None));

    let mut client = server.builder().client(reqwest::Client::new()).news().unwrap();
    let (_, news) = tokio::join!(
        async {
            server.answer(&redirect(302, "/other")).await;
            server.answer(OK).await
        },
        client.next()
    );
    assert!(matches!(news, Some(News::Open(_))), "{news:?}");
}

/// A client of the user's own would add its default headers to any request that has none of that name.
#[tokio::test(start_paused = true)]
async fn c14_default_headers_that_are_credentials_stay_behind_too() {
    let (first, second) = (Server::start().await, Server::start().await);
    let mut defaults = http::HeaderMap::new();
    for name in ["authorization", "cookie", "proxy-authorization"] {
        defaults.insert(name, http::HeaderValue::from_static("hush"));
    }
    let builder = reqwest::Client::builder().default_headers(defaults);
    let mut client = first.builder().client_builder(builder).news().unwrap();
    let target = format!("{}/events", second.origin());
    let (peers, news) =
        tokio::join!(async { (first.answer(&redirect(307, &target)).await, second.answer(OK).await) }, client.next());
    assert!(matches!(news, Some(News::Open(_))), "{news:?}");
    assert!(peers.0.head.contains("authorization: hush"), "{}", peers.0.head);
    assert!(!peers.1.head.contains("hush"), "{}", peers.1.head);
}

#[tokio::test(start_paused = true)]
async fn c17_a_failure_behind_a_redirect_names_the_server_that_failed() {
    let (first, second) = (Server::start().await, Server::start().await);
    let origin = second.origin();
    drop(second);
    let mut client = first.builder().news().unwrap();
    let (_, news) = first.answer_to(&mut client, &redirect(307, &origin)).await;
    let text = expect_error(Some(news)).error().to_string();
    assert!(text.contains(&origin), "{text}");
}
