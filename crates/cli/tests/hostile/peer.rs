//! Connections whose every byte is in the test.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::running::PATIENCE;

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await.expect("the hub accepts").unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `bytes` on a connection of its own, and gives what comes until the hub closes, or has answered.
pub(crate) async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    say_on(&mut connect(address).await, bytes).await
}

/// The same on a connection that is open.
pub(crate) async fn say_on(stream: &mut TcpStream, bytes: &[u8]) -> String {
    // The hub may answer and close before all is written, so both go on at once.
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let answered = async {
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") && matches!(reader.read_buf(&mut answer).await, Ok(1..))
        {
        }
    };
    let said = async {
        let _ = writer.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let both = async {
        tokio::select! { () = answered => {}, () = said => {} }
    };
    timeout(PATIENCE, both).await.expect("the hub answers or closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer, `closed` if there was none.
pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

/// Reads until the hub closes, and gives what came. A reset is an end too.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("the hub closes it");
    heard
}

/// Sends a byte now and then, of these and then `x` without end, until the hub closes.
pub(crate) async fn dribble(stream: &mut TcpStream, bytes: &[u8]) {
    let mut pace = interval(Duration::from_millis(100));
    let (mut reader, mut writer) = stream.split();
    let dribbled = async {
        for byte in bytes.iter().copied().chain(std::iter::repeat(b'x')) {
            pace.tick().await;
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    };
    let mut heard = Vec::new();
    let closed = reader.read_to_end(&mut heard);
    let either = async {
        tokio::select! { () = dribbled => {}, _ = closed => {} }
    };
    timeout(PATIENCE, either).await.expect("the hub closes it");
}

/// Has so many peers do the same at once.
pub(crate) async fn crowd<T>(count: usize, one: impl AsyncFn(usize) -> T) -> Vec<T> {
    futures_util::future::join_all((0..count).map(|n| one(n))).await
}

/// The head of a publish, up to and with its empty line.
pub(crate) fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// A whole publish.
pub(crate) fn publish(path: &str, content_type: &str, body: &str) -> Vec<u8> {
    let fields = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
    (post(path, &fields) + body).into_bytes()
}
