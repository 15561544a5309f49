//! A connection that publishes over and over, as an application's does.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::running::PATIENCE;

#[derive(Debug)]
pub(crate) struct Connection(BufReader<TcpStream>);

/// The status and the body.
pub(crate) type Answer = (u16, String);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Publishes `data`, and waits for the answer.
    pub(crate) fn publish(&mut self, topic: &str, data: &str) -> io::Result<Answer> {
        let length = data.len();
        let head = format!("POST /events/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        self.0.get_mut().write_all((head + data).as_bytes())?;
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                body.resize(length.parse().map_err(io::Error::other)?, 0);
            }
        }
        self.0.read_exact(&mut body)?;
        Ok((status.ok_or(ErrorKind::InvalidData)?, String::from_utf8(body).map_err(io::Error::other)?))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
