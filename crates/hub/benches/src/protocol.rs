//! How subscribers come.

/// A way to the server.
pub struct Protocol {
    pub name: &'static str,
    pub is_tls: bool,
    pub version: Version,
    /// Subscriptions on one connection.
    pub streams: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http1,
    /// After another request on the same connection.
    ReusedHttp1,
    Http2,
}

const fn protocol(name: &'static str, is_tls: bool, version: Version, streams: usize) -> Protocol {
    Protocol { name, is_tls, version, streams }
}

pub const PROTOCOLS: [Protocol; 7] = [
    protocol("HTTP/1.1, reused", false, Version::ReusedHttp1, 1),
    protocol("h2c, 1 stream", false, Version::Http2, 1),
    protocol("h2c, 100 streams", false, Version::Http2, 100),
    protocol("TLS, HTTP/1.1", true, Version::Http1, 1),
    protocol("TLS, HTTP/1.1, reused", true, Version::ReusedHttp1, 1),
    protocol("TLS, HTTP/2, 1 stream", true, Version::Http2, 1),
    protocol("TLS, HTTP/2, 100 streams", true, Version::Http2, 100),
];
