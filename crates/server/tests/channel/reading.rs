//! A client's side: bodies and sockets read as event streams.

use std::time::Duration;

use bytes::Bytes;
use fanfare_server::Subscription;
use fanfare_wire::{Decoded, Decoder};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything is waited for. Far more than it takes: a machine may be busy, but a test must end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a client hears of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) event_type: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

/// Reads a body until it ends.
pub(crate) struct Reader<B> {
    body: B,
    decoder: Decoder,
    heard: std::collections::VecDeque<Heard>,
}

impl<B: Body<Data = Bytes> + Unpin> Reader<B>
where
    B::Error: std::fmt::Debug,
{
    pub(crate) fn new(body: B) -> Self {
        Self { body, decoder: Decoder::new(), heard: std::collections::VecDeque::new() }
    }

    /// The next event, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        while self.heard.is_empty() {
            let frame = self.body.frame().await?.unwrap();
            feed(&mut self.decoder, &frame.into_data().unwrap(), &mut self.heard);
        }
        self.heard.pop_front()
    }

    /// The data of the next `count` events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await.unwrap().data);
        }
        taken
    }

    /// The data of all events until the end.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(heard) = self.next().await {
            rest.push(heard.data);
        }
        rest
    }

    /// The id that the client would send back now.
    pub(crate) fn last_event_id(&self) -> String {
        self.decoder.last_event_id().to_owned()
    }
}

fn feed(decoder: &mut Decoder, bytes: &[u8], heard: &mut std::collections::VecDeque<Heard>) {
    let mut rest = bytes;
    while let Some(decoded) = decoder.decode(&mut rest) {
        if let Decoded::Event(message) = decoded {
            heard.push_back(Heard {
                event_type: message.event_type.to_owned(),
                id: message.last_event_id.to_owned(),
                data: message.data.to_owned(),
            });
        }
    }
}

pub(crate) fn read(subscription: Subscription) -> Reader<fanfare_server::ChannelBody> {
    Reader::new(subscription.body())
}

/// A client on a socket that reads HTTP/1.1 with a body in chunks.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) raw: Vec<u8>,
    pub(crate) has_ended: bool,
}

impl Client {
    pub(crate) async fn get(address: std::net::SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, raw: Vec::new(), has_ended: false }
    }

    /// Reads what there is. `false` at the end.
    pub(crate) async fn more(&mut self) -> bool {
        let mut room = [0; 16 << 10];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut room)).await.unwrap();
        // A connection that was cut is at its end.
        let length = read.unwrap_or(0);
        self.raw.extend_from_slice(&room[..length]);
        self.has_ended |= length == 0;
        length > 0
    }

    pub(crate) async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            assert!(self.more().await, "ended early: {}", String::from_utf8_lossy(&self.raw));
        }
    }

    pub(crate) async fn until_end(&mut self) {
        while self.more().await {}
    }

    /// The head, once it is there.
    pub(crate) fn head(&self) -> Option<&str> {
        let end = self.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        std::str::from_utf8(&self.raw[..end]).ok()
    }

    /// The body so far, and whether its last chunk was among it.
    pub(crate) fn body(&self) -> (Vec<u8>, bool) {
        let Some(head) = self.head() else { return (Vec::new(), false) };
        let (mut rest, mut body) = (&self.raw[head.len() + 4..], Vec::new());
        while let Some(line) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            let (start, end) = (line + 2, line + 2 + size);
            if rest.len() < end + 2 {
                break;
            }
            assert_eq!(&rest[end..end + 2], b"\r\n");
            if size == 0 {
                assert_eq!(&rest[end + 2..], b"");
                return (body, true);
            }
            body.extend_from_slice(&rest[start..end]);
            rest = &rest[end + 2..];
        }
        (body, false)
    }

    pub(crate) fn events(&self) -> Vec<Heard> {
        let mut heard = std::collections::VecDeque::new();
        feed(&mut Decoder::new(), &self.body().0, &mut heard);
        heard.into()
    }

    pub(crate) fn data(&self) -> Vec<String> {
        self.events().into_iter().map(|heard| heard.data).collect()
    }
}

/// Waits until something that others bring about is so.
#[track_caller]
pub(crate) fn until(is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    let asked_at = std::panic::Location::caller();
    async move {
        let looks = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let looked = tokio::time::timeout(PATIENCE, looks).await;
        assert!(looked.is_ok(), "it never came to be so: {asked_at}");
    }
}
