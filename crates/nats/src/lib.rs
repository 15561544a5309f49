//! A Fanfare hub on many machines: the engine on NATS JetStream.
//!
//! ```text
//! append:   drafts ─► Batch::encode ─► one message of the stream ─► acknowledgement: its sequence is the position
//!                                            │
//! follow:   every node ◄── pull consumer ◄───┘   in the stream's order, into the node's own log, which subscribers read
//!
//! epoch:    a key beside the stream, advanced by compare-and-set when the stream is not what a node has shown
//! ```
//!
//! Any node takes any publish and serves any cursor: the position of an event is its message's sequence × 4096 and its
//! index in the batch, the same everywhere. Replay never crosses the network. What happens when a stream loses its end or
//! is made anew stands in `agreement`.
//!
//! Beside the stream the nodes have a [`Bus`] for what nobody needs to keep.
//!
//! What it is not: it keeps no history of its own and delivers to nobody; the local log does the one and the hub the
//! other. Whoever may publish on the stream's subject is trusted as a hub is: keep it to the hubs' account.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use fanfare_log::{Epoch, MemoryLog, Retention, Timestamp};
//! use fanfare_nats::{NatsEngine, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let retention = Retention { bytes: Some(64 << 20), ..Retention::default() };
//! let now = || {
//!     let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
//!     Timestamp(since.as_millis() as u64)
//! };
//! let log = Arc::new(MemoryLog::new(Epoch(0), retention));
//! let settings = Settings::new("nats://127.0.0.1:4222".parse()?, retention, Arc::new(now));
//! let engine = NatsEngine::start(settings, log.clone()).await?;
//! // fanfare_hub::Hub::builder().engine(Arc::new(engine), log)
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod limits;

mod settings;

mod unusable_file;

mod certificates;

mod credentials_file;

mod sequence;

mod batch;

mod status;

mod link;

mod stream;

mod epoch;

mod agreement;

mod follower;

mod scout;

mod bus;

mod engine;

pub use bus::Bus;
pub use certificates::{ClientCertificate, check_certificates};
pub use engine::{NatsEngine, StartError};
pub use settings::{Credentials, InvalidServers, InvalidStreamName, Servers, Settings, StreamName};
pub use stream::Unfit;
pub use unusable_file::UnusableFile;
