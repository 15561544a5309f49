//! What is no TLS, or TLS that never comes to a request.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::peer::{connect, crowd, dribble, until_closed};
use crate::running::{Hub, PATIENCE};
use crate::target::{SERVE, Target};

/// A hub that speaks TLS, and a client that trusts it.
struct Secure {
    target: Target,
    connector: TlsConnector,
    _folder: TempDir,
}

impl Secure {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&certificate, cert.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        let files = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let hub = Hub::start(&[&SERVE[..], &files].concat());
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(cert.der().to_vec())).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Self { target: Target::of(hub, client).await, connector, _folder: folder }
    }

    /// `None` if the hub gave up on it: on a slow machine a crowd takes longer than it waits for one.
    async fn shake_hands(&self, address: SocketAddr) -> Option<TlsStream<TcpStream>> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = self.connector.connect(name, connect(address).await);
        timeout(PATIENCE, stream).await.expect("the hub shakes hands or closes").ok()
    }
}

/// The beginning of a ClientHello: a record of 512 bytes, a handshake message of 508.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[tokio::test]
async fn what_is_no_tls_is_closed() {
    let secure = Secure::start().await;
    let mut random = fastrand::Rng::with_seed(11);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(40_000).collect();
    let beginnings: [Vec<u8>; 9] = [
        noise.clone(),
        [b"\x16\x03\x01", &noise[..]].concat(),
        [HELLO, &noise].concat(),
        // A record longer than any may be, one of nothing, and nothing but those.
        [b"\x16\x03\x01\xff\xff", &noise[..]].concat(),
        b"\x16\x03\x01\x00\x00".repeat(8000),
        // A handshake message of 16 MB.
        [b"\x16\x03\x01\x40\x00\x01\xff\xff\xff", &noise[..]].concat(),
        // Alerts, ChangeCipherSpec and data before any handshake.
        b"\x15\x03\x03\x00\x02\x01\x00".repeat(5000),
        b"\x14\x03\x03\x00\x01\x01".repeat(5000),
        b"\x17\x03\x03\x00\x04abcd".repeat(5000),
    ];
    secure
        .target
        .withstands(16 << 20, async |address| {
            crowd(beginnings.len() * 5, async |n| {
                let mut stream = connect(address).await;
                let _ = stream.write_all(&beginnings[n % beginnings.len()]).await;
                until_closed(&mut stream).await;
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn slow_handshakes_are_closed_and_hold_nobody_up() {
    let secure = Secure::start().await;
    secure
        .target
        .withstands(32 << 20, async |address| {
            let slow = crowd(150, async |n| dribble(&mut connect(address).await, &HELLO[..n % HELLO.len()]).await);
            let silent = crowd(150, async |_| until_closed(&mut connect(address).await).await);
            futures_util::future::join(slow, silent).await;
        })
        .await;
}

/// The dearest thing that a stranger can ask for, without ever asking for more.
#[tokio::test]
async fn handshakes_without_a_request_leave_nothing_behind() {
    let secure = Secure::start().await;
    secure
        .target
        .withstands(32 << 20, async |address| {
            for _ in 0..5 {
                let mut streams = crowd(40, async |_| secure.shake_hands(address).await).await;
                for stream in streams.iter_mut().flatten() {
                    let _ = stream.write_all(b"GET /eve").await;
                }
            }
        })
        .await;
}

/// TLS 1.3 has no renegotiation but new keys, which each side may have changed at any time: over and over it is work for
/// nothing.
#[tokio::test]
async fn keys_that_are_changed_again_and_again_cost_nobody_else() {
    let secure = Secure::start().await;
    secure
        .target
        .withstands(32 << 20, async |address| {
            crowd(20, async |_| {
                let Some(mut stream) = secure.shake_hands(address).await else { return };
                for _ in 0..500 {
                    // The hub may have had enough.
                    if stream.get_mut().1.refresh_traffic_keys().is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
                let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
                let mut answer = [0; 12];
                let heard = timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("it answers or closes");
                assert!(heard.is_err() || &answer == b"HTTP/1.1 200");
            })
            .await;
        })
        .await;
}

/// Large events for peers that finished the handshake and then never read.
#[tokio::test]
async fn subscribers_that_never_read_take_a_record_each() {
    let secure = Secure::start().await;
    let data = "x".repeat(100_000);
    secure
        .target
        .withstands(32 << 20, async |address| {
            // One after the other, so that none waits longer than the hub does.
            let mut subscribers = Vec::new();
            for _ in 0..60 {
                let mut stream = secure.shake_hands(address).await.unwrap();
                stream.write_all(b"GET /events/flood HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                let mut answer = [0; 12];
                timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("it answers").unwrap();
                subscribers.push(stream);
            }
            for _ in 0..50 {
                secure.target.publish("flood", &data).await;
            }
            drop(subscribers);
        })
        .await;
}
