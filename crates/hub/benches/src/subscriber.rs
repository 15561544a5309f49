//! The load: connections, subscribers that read, a publisher.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use fanfare_wire::{Decoded, Decoder};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::protocol::Version;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects as a protocol says.
#[derive(Clone)]
pub struct Connector {
    pub address: String,
    tls: Option<TlsConnector>,
}

/// A connection that takes requests.
pub enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connector {
    pub fn new(address: String, certificate: Option<CertificateDer<'static>>, version: Version) -> Self {
        let tls = certificate.map(|certificate| {
            let mut roots = RootCertStore::empty();
            roots.add(certificate).expect("a certificate");
            let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            let protocol = if version == Version::Http2 { &b"h2"[..] } else { b"http/1.1" };
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        Self { address, tls }
    }

    pub async fn connect(&self, version: Version) -> Connection {
        let stream = TcpStream::connect(&self.address).await.expect("the server accepts");
        stream.set_nodelay(true).expect("a socket");
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => {
                let name = "127.0.0.1".try_into().expect("an address is a name");
                Box::new(tls.connect(name, stream).await.expect("a handshake"))
            }
            None => Box::new(stream),
        };
        let io = TokioIo::new(stream);
        if version == Version::Http2 {
            let (requests, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
            tokio::spawn(connection);
            Connection::Http2(requests)
        } else {
            let (requests, connection) = http1::handshake(io).await.expect("HTTP/1.1");
            tokio::spawn(connection);
            Connection::Http1(requests)
        }
    }

    fn request(&self, path: &str, body: Option<String>) -> Request<Full<Bytes>> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let request = Request::builder().method(method).header("host", &self.address);
        let request = request.uri(format!("{scheme}://{}{path}", self.address));
        request.body(Full::from(body.unwrap_or_default())).expect("a request")
    }

    pub async fn ask(
        &self,
        connection: &mut Connection,
        path: &str,
        body: Option<String>,
    ) -> Response<hyper::body::Incoming> {
        let mut request = self.request(path, body);
        let response = match connection {
            Connection::Http1(requests) => {
                let path = request.uri().path().parse().expect("a path");
                *request.uri_mut() = path;
                requests.ready().await.expect("a connection");
                requests.send_request(request).await
            }
            Connection::Http2(requests) => {
                request.headers_mut().remove("host");
                requests.ready().await.expect("a connection");
                requests.send_request(request).await
            }
        };
        let response = response.expect("an answer");
        assert!(response.status().is_success(), "{response:?}");
        response
    }

    /// Asks and reads the answer to its end.
    pub async fn ask_whole(&self, connection: &mut Connection, path: &str, body: Option<String>) {
        self.ask(connection, path, body).await.into_body().collect().await.expect("an answer");
    }
}

/// What all subscribers have heard.
#[derive(Default)]
pub struct Heard {
    pub open: AtomicUsize,
    pub delivered: AtomicU64,
}

/// Reads a stream for ever. The data of each event begins with its number, and none may be missing.
pub async fn read(mut body: hyper::body::Incoming, heard: Arc<Heard>) {
    let (mut decoder, mut next, mut is_open) = (Decoder::new().with_comments(), 0_u64, false);
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(chunk) = frame.into_data() else { continue };
        let (mut rest, mut events) = (&chunk[..], 0);
        while let Some(decoded) = decoder.decode(&mut rest) {
            if let Decoded::Event(event) = decoded {
                let number = event.data.split(' ').next().and_then(|number| number.parse().ok());
                assert_eq!(number, Some(next), "an event was lost, doubled or reordered");
                next += 1;
                events += 1;
            }
        }
        if !is_open && next > 0 {
            is_open = true;
            heard.open.fetch_add(1, Ordering::Relaxed);
        }
        heard.delivered.fetch_add(events, Ordering::Relaxed);
    }
}
