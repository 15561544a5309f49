//! Requests that two readers could take for different ones (request smuggling, RFC 9112, section 11.2): what is inside
//! another one's body is never a request, and what nobody agrees on is refused.

use crate::peer::{connect, post, say, status, until_closed};
use crate::target::Target;
use tokio::io::AsyncWriteExt;

/// A publish that must not be seen as one.
fn inner() -> String {
    post("/events/inner", "Content-Length: 0\r\n")
}

/// Whatever stands before it, there must not be a second request.
#[tokio::test]
async fn two_lengths_of_a_body_smuggle_nothing() {
    let target = Target::start(&[]).await;
    let fields = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: 0, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: \r\n",
        "Content-Length: five\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, nonsense\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\r\n : chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\r\n\tContent-Length: 5\r\n",
        "Content-Length : 5\r\n",
        " Content-Length: 5\r\n",
        "Content-Length: 5\rTransfer-Encoding: chunked\r\n",
    ];
    target
        .withstands(8 << 20, async |address| {
            for fields in fields {
                let mut stream = connect(address).await;
                let said = post("/events/outer", fields) + "0\r\n\r\n" + &inner();
                let _ = stream.write_all(said.as_bytes()).await;
                let answers = String::from_utf8_lossy(&until_closed(&mut stream).await).into_owned();
                assert!(["400", "501", "closed"].contains(&status(&answers)), "{fields:?} {answers}");
                assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{fields:?} {answers}");
            }
        })
        .await;
    assert!(target.history("inner").await.is_empty() && target.history("outer").await.is_empty());
}

#[tokio::test]
async fn chunks_that_are_none_smuggle_nothing() {
    let target = Target::start(&[]).await;
    let bodies = [
        "zz\r\n".to_owned(),
        "-1\r\nx\r\n0\r\n\r\n".to_owned(),
        "0x3\r\nabc\r\n0\r\n\r\n".to_owned(),
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3\r\nabcdef\r\n0\r\n\r\n".to_owned(),
        "3\r\nabc0\r\n\r\n".to_owned(),
        "3 3\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3\nabc\n0\n\n".to_owned(),
        "3;a\nb\r\nabc\r\n0\r\n\r\n".to_owned(),
        format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(100_000)),
        format!("3\r\nabc\r\n0\r\n{}\r\n", "Trailer: x\r\n".repeat(10_000)),
    ];
    target
        .withstands(16 << 20, async |address| {
            for body in &bodies {
                let mut stream = connect(address).await;
                let said = post("/events/outer", "Transfer-Encoding: chunked\r\n") + body + &inner();
                let _ = stream.write_all(said.as_bytes()).await;
                let answers = String::from_utf8_lossy(&until_closed(&mut stream).await).into_owned();
                assert!(["400", "closed"].contains(&status(&answers)), "{:?} {answers}", &body[..body.len().min(50)]);
            }
        })
        .await;
    assert!(target.history("inner").await.is_empty() && target.history("outer").await.is_empty());
}

/// Extensions of a chunk say nothing, and a request that comes with others is one nevertheless.
#[tokio::test]
async fn what_is_plain_is_taken_for_what_it_is() {
    let target = Target::start(&[]).await;
    let address = target.address();
    let chunked = post("/events/a", "Transfer-Encoding: chunked\r\n") + "3;name=value\r\nabc\r\n0\r\n\r\n";
    assert_eq!(status(&say(address, chunked.as_bytes()).await), "200");
    let absolute = "POST http://localhost/events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ndef";
    assert_eq!(status(&say(address, absolute.as_bytes()).await), "200");
    // The address of the target and not the header is the host (RFC 9112, section 3.2.2), which is guarded as the header is.
    let elsewhere = "POST http://evil.example/events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(status(&say(address, elsewhere.as_bytes()).await), "421");
    let three = ["1", "2", "3"].map(|data| post("/events/a", "Content-Length: 1\r\n") + data).concat();
    let last = "POST /events/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\n4";
    let mut stream = connect(address).await;
    stream.write_all((three + last).as_bytes()).await.unwrap();
    let answers = String::from_utf8(until_closed(&mut stream).await).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 4, "{answers}");
    assert_eq!(target.history("a").await, ["abc", "def", "1", "2", "3", "4"]);
    // Lines that end with LF alone are lines (RFC 9112, section 2.2), and hyper and the shards read them alike.
    let line_feeds = "POST /events/b HTTP/1.1\nHost: localhost\nContent-Length: 1\nConnection: close\n\nx";
    for said in [line_feeds, &line_feeds.replace("Connection: close\n", "")] {
        assert_eq!(status(&say(address, said.as_bytes()).await), "200");
    }
    assert_eq!(target.history("b").await, ["x", "x"]);
    target.serves_others().await;
}
