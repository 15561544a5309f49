//! Scripts as they are played, and what was asked for meanwhile.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::limits::{ACCEPT_BACK_OFF, CONNECTIONS_MAX, LOG_BYTES_MAX, REQUEST_BYTES};
use crate::{Peer, Request, Script};

/// A server that plays scripts, from [`ScriptedServer::play`](crate::ScriptedServer::play). Dropping it closes every
/// connection.
///
/// What is no request gets a 400 that says why, and takes no script.
#[derive(Debug)]
pub struct Playback {
    address: SocketAddr,
    requests: watch::Receiver<Vec<Request>>,
    task: JoinHandle<()>,
}

impl Playback {
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        scripts: impl Iterator<Item = Script> + Send + 'static,
    ) -> Self {
        let (sender, requests) = watch::channel(Vec::new());
        let stage =
            Stage { scripts: Mutex::new(Box::new(scripts)), requests: sender, logged_bytes: AtomicUsize::default() };
        Self { address, requests, task: tokio::spawn(Arc::new(stage).run(listener)) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a path, which begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far; the first one had the first script.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// Waits for a request, counted from 0.
    ///
    /// # Errors
    ///
    /// If it never comes because 64 MiB of requests were the most that are kept.
    pub async fn request(&self, index: usize) -> io::Result<Request> {
        let mut requests = self.requests.clone();
        let seen = requests.wait_for(|requests| requests.len() > index).await;
        seen.ok()
            .and_then(|requests| requests.get(index).cloned())
            .ok_or_else(|| io::Error::other("the server stopped: a client did not stop asking"))
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the connections share.
struct Stage {
    scripts: Mutex<Box<dyn Iterator<Item = Script> + Send>>,
    requests: watch::Sender<Vec<Request>>,
    logged_bytes: AtomicUsize,
}

impl Stage {
    async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while self.logged_bytes.load(Ordering::Relaxed) < LOG_BYTES_MAX {
            if connections.len() == CONNECTIONS_MAX {
                connections.join_next().await;
            }
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(Arc::clone(&self).serve(stream))),
                    // The client was gone before it was taken, or there are no files left: not a reason to spin.
                    Err(_) => tokio::time::sleep(ACCEPT_BACK_OFF).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        // What was taken is played to its end.
        while connections.join_next().await.is_some() {}
    }

    /// A step that fails is the client's leaving, which is the client's affair and the test's.
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let request = match Request::read(&mut stream).await {
            Ok(request) => request,
            Err(error) => return drop(refuse(stream, &error).await),
        };
        let script = self.next_script(request.clone());
        if let Ok(peer) = Peer::new(stream, request) {
            drop(script.play(peer).await);
        }
    }

    /// Under one lock, so that the first request has the first script.
    fn next_script(&self, request: Request) -> Script {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = request.head().len() + request.body().len() + REQUEST_BYTES;
        self.logged_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.requests.send_modify(|requests| requests.push(request));
        scripts.next().unwrap_or_else(|| Script::status(204))
    }
}

async fn refuse(mut stream: TcpStream, error: &io::Error) -> io::Result<()> {
    let answer = format!("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n{error}\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
