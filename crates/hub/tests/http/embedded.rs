//! The hub inside another application.

use std::time::Duration;

use fanfare_hub::{Hub, Settings, Topic, Update};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::running::PATIENCE;

#[tokio::test]
async fn an_application_merges_or_nests_it_and_ends_its_streams() {
    let mut settings = Settings::default();
    settings.drain = Duration::from_millis(50);
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let application = axum::Router::new()
        .route("/own", axum::routing::get(async || "mine"))
        .fallback(async || "the application's fallback")
        .merge(hub.router())
        .nest("/below/", hub.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, application).with_graceful_shutdown(async { stopped.await.unwrap_or_default() });
    let server = tokio::spawn(server.into_future());

    let get = async |path: &str| reqwest::get(format!("{url}{path}")).await.unwrap();
    assert_eq!(get("/own").await.text().await.unwrap(), "mine");
    assert_eq!(get("/nowhere").await.text().await.unwrap(), "the application's fallback");
    assert!(get("/below/").await.text().await.unwrap().contains("EventSource"));
    let id = hub.publish(Update::new(Topic::new("a").unwrap(), "x")).await.unwrap();
    for path in ["/events/a?lastEventID=earliest", "/below/events/a?lastEventID=earliest"] {
        let mut stream = get(path).await;
        let mut text = String::new();
        while !text.contains(&format!("id: {id}\ndata: x\n\n")) {
            text += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
        }
    }

    let mut open = get("/events").await;
    tokio::spawn(async move { while let Ok(Some(_)) = open.chunk().await {} });
    tokio::time::timeout(PATIENCE, hub.stop()).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}
