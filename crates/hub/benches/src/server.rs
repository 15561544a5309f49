//! The servers: the hub, and axum as its documentation shows it.

use std::convert::Infallible;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use fanfare_hub::{Hub, Settings, Tls};
use futures_util::{Stream, StreamExt};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_stream::wrappers::BroadcastStream;

use crate::process;

/// What is measured: `program serve SERVER`.
pub struct Candidate {
    pub name: &'static str,
    pub program: PathBuf,
    pub server: &'static str,
}

/// Serves until it is killed. Standard input holds the certificate and its key.
pub fn serve(name: &str, is_tls: bool) {
    process::stay_on(0);
    let mut pem = String::new();
    std::io::stdin().read_to_string(&mut pem).expect("the certificate");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        println!("{}", listener.local_addr().expect("it is bound"));
        match name {
            "hub" => hub(listener, is_tls.then_some(pem.as_bytes())).await,
            _ => axum(listener, is_tls.then_some(pem.as_bytes())).await,
        }
    });
}

async fn hub(listener: TcpListener, pem: Option<&[u8]>) {
    let mut settings = Settings::default();
    settings.shards = NonZeroUsize::MIN;
    let hub = Hub::builder().settings(settings).build().await.expect("a hub");
    let served = match pem {
        Some(pem) => hub.run_tls(listener, Tls::new(pem, pem).expect("a certificate"), std::future::pending()).await,
        None => hub.run(listener, std::future::pending()).await,
    };
    served.expect("it serves");
}

/// Events that wait for the slowest subscriber. The load keeps fewer on their way.
const CHANNEL_EVENTS: usize = 1024;

#[derive(Clone)]
struct Channel {
    sender: broadcast::Sender<Arc<(u64, String)>>,
    count: Arc<AtomicU64>,
}

async fn axum(listener: TcpListener, pem: Option<&[u8]>) {
    let channel = Channel { sender: broadcast::Sender::new(CHANNEL_EVENTS), count: Arc::default() };
    let router = Router::new()
        .route("/events/a", get(subscribe).post(publish))
        .route("/health/live", get(async || "ok\n"))
        .with_state(channel);
    let acceptor = pem.map(acceptor);
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (router, acceptor) = (router.clone(), acceptor.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).expect("a socket");
            match acceptor {
                Some(acceptor) => http(acceptor.accept(stream).await.expect("a handshake"), router).await,
                None => http::<TcpStream>(stream, router).await,
            }
        });
    }
}

async fn http<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static>(stream: T, router: Router) {
    let service = TowerToHyperService::new(router);
    // The load leaves as it likes.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

fn acceptor(pem: &[u8]) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pem).expect("a key");
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn subscribe(State(channel): State<Channel>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(channel.sender.subscribe()).filter_map(async |event| {
        // Whoever lags misses events, which the load would find.
        let event = event.ok()?;
        Some(Ok(Event::default().id(event.0.to_string()).data(&event.1)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn publish(State(channel): State<Channel>, data: String) {
    let id = channel.count.fetch_add(1, Ordering::Relaxed);
    // Nobody may be there yet.
    let _ = channel.sender.send(Arc::new((id, data)));
}
