//! Peers that do not finish a handshake. What finishes one is tested with real curl, beside the command line.

use fanfare_hub::{Hub, Tls};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::running::PATIENCE;

/// With the clock paused, time passes at once when nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_ended_and_others_are_served() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let tls = Tls::new(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes()).unwrap();
    let hub = Hub::builder().build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { hub.run_tls(listener, tls, std::future::pending()).await });

    // Nothing, a part of a record, and no TLS at all.
    for said in [&b""[..], b"\x16\x03\x01\x02\0\x01\0", b"\0\0\0\0"] {
        let mut streams = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said).await.unwrap();
            streams.push(stream);
        }
        for (number, mut stream) in streams.into_iter().enumerate() {
            // A reset is an end too. The paused clock may run ahead of the threads that accept.
            let mut rest = Vec::new();
            let _ = tokio::time::timeout(PATIENCE * 60, stream.read_to_end(&mut rest))
                .await
                .unwrap_or_else(|_| panic!("{said:?} {number}"));
        }
    }
    let authority = reqwest::Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let answer = client.get(format!("https://{address}/health/live")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "live\n");
}
