//! Proxies, and certificates on both sides.

use std::sync::Arc;
use std::time::Duration;

use fanfare_client::{Kind, News};
use fanfare_scripted_server::Watchdog;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::server::{OK, Server, error};

#[tokio::test(start_paused = true)]
async fn a_proxy_is_asked_for_the_whole_url() {
    let proxy = Server::start().await;
    let client = Client::builder().proxy(Proxy::http(proxy.origin()).unwrap());
    let builder = fanfare_client::EventSource::builder("http://stream.invalid/events").client_builder(client);
    let mut client = builder.news().unwrap();
    let (peer, news) = proxy.answer_to(&mut client, OK).await;
    assert!(matches!(news, News::Open(_)), "{news:?}");
    assert!(peer.head.starts_with("GET http://stream.invalid/events HTTP/1.1\r\n"), "{}", peer.head);
}

/// An authority that nobody knows, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate, key)
    }

    fn certificate(&self) -> Certificate {
        Certificate::from_pem(self.0.pem().as_bytes()).unwrap()
    }

    /// Accepts only clients with a certificate of this authority, and speaks HTTP/2 if they do.
    fn acceptor(&self) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let (certificate, key) = self.sign("127.0.0.1");
        let key = key.serialize_der().try_into().unwrap();
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

#[tokio::test(start_paused = true)]
async fn an_authority_and_a_client_certificate_open_a_stream_over_http2() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/events", listener.local_addr().unwrap());
    let acceptor = authority.acceptor();
    let (certificate, key) = authority.sign("client");
    let identity = Identity::from_pem((certificate.pem() + &key.serialize_pem()).as_bytes()).unwrap();
    let trusting = || Client::builder().tls_certs_only([authority.certificate()]);
    let source = |client| fanfare_client::EventSource::builder(&url).client_builder(client).news().unwrap();

    // Without the authority, and without the certificate that the server asks for.
    for client in [Client::builder(), trusting()] {
        let mut client = source(client);
        let ((), interruption) = tokio::join!(
            async {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0]).await;
                }
            },
            error(&mut client)
        );
        assert_eq!(interruption.error().kind(), Kind::Connect);
    }

    let mut client = source(trusting().identity(identity.clone()));
    let (_connection, news) = tokio::join!(
        async {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "browsers speak it, and so do we");
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let head = http::Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
            let stream: h2::SendStream<bytes::Bytes> = respond.send_response(head, false).unwrap();
            (tokio::spawn(async move { while connection.accept().await.is_some() {} }), stream)
        },
        client.next()
    );
    assert!(matches!(news, Some(News::Open(_))), "{news:?}");

    // And HTTP/1.1 where that is all that a client wants.
    let mut client = source(trusting().identity(identity).http1_only());
    let (_stream, news) = tokio::join!(
        async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            stream
        },
        client.next()
    );
    assert!(matches!(news, Some(News::Open(_))), "{news:?}");
}
