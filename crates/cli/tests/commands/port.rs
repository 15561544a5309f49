//! A port for a program that must be told one.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::running::PATIENCE;

/// Bound, and not listened on: nobody else is given the port meanwhile, and whoever reuses addresses may listen there.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _socket: Socket,
}

impl Port {
    pub(crate) fn of_its_own() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self { address, _socket: socket }
    }

    /// Connects as soon as somebody listens, unless `check` gives up before.
    pub(crate) fn connect(&self, mut check: impl FnMut()) -> TcpStream {
        let start = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(self.address) {
                return stream;
            }
            check();
            assert!(start.elapsed() < PATIENCE, "nobody listens");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
