//! Real NATS servers, each with JetStream in a folder of its own, on loopback alone. They are killed by their id when the
//! test ends, however it does.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Long enough for any machine; nothing waits for it that goes well.
const PATIENCE: Duration = Duration::from_secs(60);

/// One server, or several that are a cluster.
pub(crate) struct Servers {
    folder: TempDir,
    servers: Vec<Server>,
}

struct Server {
    name: String,
    port: u16,
    /// What its configuration says whatever a test adds.
    basis: String,
    config: PathBuf,
    process: Option<Child>,
}

impl Servers {
    /// One server.
    pub(crate) fn one() -> Self {
        Self::start(1, "")
    }

    /// One server with more in its configuration.
    pub(crate) fn one_with(extra: &str) -> Self {
        Self::start(1, extra)
    }

    /// Three, of which any two are enough.
    #[allow(dead_code, reason = "not every test needs a cluster")]
    pub(crate) fn three() -> Self {
        Self::start(3, "")
    }

    fn start(count: usize, extra: &str) -> Self {
        // A port that was free may be taken by the time that the server asks for it: then all is tried again.
        for _ in 0..20 {
            let mut servers = Self::configured(count, extra);
            if (0..count).all(|index| servers.try_begin(index)) {
                return servers;
            }
        }
        panic!("no free ports for nats-server");
    }

    fn configured(count: usize, extra: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the servers");
        let ports = free_ports(count * 2);
        let routes: Vec<String> = ports.iter().skip(count).map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let server = |index: usize| {
            let (name, port) = (format!("n{index}"), ports[index]);
            let store = folder.path().join(&name);
            let mut text = format!(
                "server_name: {name}\nlisten: 127.0.0.1:{port}\n\
                 jetstream {{ store_dir: {store:?}, max_memory_store: 64MB, max_file_store: 4GB }}\n"
            );
            if count > 1 {
                let cluster = ports[count + index];
                text += &format!(
                    "cluster {{ name: test, listen: 127.0.0.1:{cluster}, routes: [{}] }}\n",
                    routes.join(", ")
                );
            }
            let config = folder.path().join(format!("{name}.conf"));
            Server { name, port, basis: text, config, process: None }
        };
        let servers = Self { servers: (0..count).map(server).collect(), folder };
        (0..count).for_each(|index| servers.configure(index, extra));
        servers
    }

    /// Says what else stands in the configuration of one, from its next start on.
    pub(crate) fn configure(&self, index: usize, extra: &str) {
        let server = &self.servers[index];
        fs::write(&server.config, format!("{}{extra}\n", server.basis)).expect("the configuration is written");
    }

    /// Where they are, as an engine is told.
    pub(crate) fn url(&self) -> String {
        let addresses: Vec<String> = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("nats://{}", addresses.join(","))
    }

    /// How many they are.
    #[allow(dead_code, reason = "tests know")]
    pub(crate) fn count(&self) -> usize {
        self.servers.len()
    }

    /// Where one of them listens.
    #[allow(dead_code, reason = "not every test has a proxy before it")]
    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.servers[index].port).into()
    }

    /// The server with this name.
    #[allow(dead_code, reason = "not every test has a leader")]
    pub(crate) fn named(&self, name: &str) -> usize {
        self.servers.iter().position(|server| server.name == name).expect("a server of this cluster")
    }

    /// Starts one that was stopped or killed.
    pub(crate) fn begin(&mut self, index: usize) {
        assert!(self.try_begin(index), "the server starts again where it was");
    }

    fn try_begin(&mut self, index: usize) -> bool {
        let server = &mut self.servers[index];
        let log = File::options()
            .create(true)
            .append(true)
            .open(server.config.with_extension("log"))
            .expect("the server's log can be opened");
        let process = Command::new("nats-server")
            .arg("-c")
            .arg(&server.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("nats-server is installed: scripts/test does it");
        let process = server.process.insert(process);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).is_err() {
            if process.try_wait().expect("the server can be waited for").is_some() {
                return false;
            }
            assert!(Instant::now() < end, "the server does not listen: {}", self.logs());
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Ends one as `kill -9` does.
    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(mut process) = self.servers[index].process.take() {
            process.kill().expect("the server can be killed");
            process.wait().expect("and has ended");
        }
    }

    /// Ends all of them at once.
    pub(crate) fn kill_all(&mut self) {
        (0..self.servers.len()).for_each(|index| self.kill(index));
    }

    /// Starts all of them.
    #[allow(dead_code, reason = "not every test has more than one")]
    pub(crate) fn begin_all(&mut self) {
        (0..self.servers.len()).for_each(|index| self.begin(index));
    }

    /// Copies what a server that does not run has stored, to be put back later.
    #[allow(dead_code, reason = "only a roll-back needs it")]
    pub(crate) fn save(&self, index: usize) -> TempDir {
        let saved = tempfile::tempdir().expect("a folder for a copy");
        copy(&self.store(index), saved.path());
        saved
    }

    /// Puts it back, as after a power loss.
    #[allow(dead_code, reason = "only a roll-back needs it")]
    pub(crate) fn restore(&self, index: usize, saved: &TempDir) {
        fs::remove_dir_all(self.store(index)).expect("the store is removed");
        copy(saved.path(), &self.store(index));
    }

    fn store(&self, index: usize) -> PathBuf {
        self.folder.path().join(&self.servers[index].name)
    }

    fn logs(&self) -> String {
        let log = |server: &Server| fs::read_to_string(server.config.with_extension("log")).unwrap_or_default();
        self.servers.iter().map(log).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.kill_all();
        if thread::panicking() && std::env::var_os("FANFARE_TEST_NATS_LOGS").is_some() {
            eprintln!("{}", self.logs());
        }
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("its address").port()).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder for the copy");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("its entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the file is copied");
        }
    }
}
