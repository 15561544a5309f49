use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::hubs::Hubs;
use crate::load::Load;
use crate::servers::Servers;
use crate::until;

/// A balancer, ended with its handle.
struct Balancer(Child);

impl Drop for Balancer {
    fn drop(&mut self) {
        // nginx has workers, which it ends itself if it is asked to.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The block of `docs/cluster.md` after the line `heading`, with the addresses of this test.
fn configuration(heading: &str, door: SocketAddr, hubs: &[SocketAddr]) -> String {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cluster.md");
    let document = fs::read_to_string(document).unwrap();
    let (_, rest) = document.split_once(&format!("\n{heading}:\n\n```text\n")).expect("the heading and its block");
    let (block, _) = rest.split_once("```").unwrap();
    block
        .replace("10.0.1.1:3000", &hubs[0].to_string())
        .replace("10.0.1.2:3000", &hubs[1].to_string())
        .replace("bind :80", &format!("bind {door}"))
        .replace("listen 80;", &format!("listen {door};"))
}

fn haproxy(folder: &Path, configuration: &str) -> Command {
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    command
}

fn nginx(folder: &Path, configuration: &str) -> Command {
    let file = folder.join("nginx.conf");
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", folder.join(kind).display()))
        .concat();
    let (pid, log) = (folder.join("pid"), folder.join("log"));
    let around = format!(
        "daemon off;\nworker_processes 1;\npid {};\nerror_log {} warn;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{configuration}}}\n",
        pid.display(),
        log.display(),
    );
    fs::write(&file, around).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-e").arg(&log).arg("-c").arg(file);
    command
}

async fn behind(heading: &str, command: fn(&Path, &str) -> Command) {
    let servers = Servers::one();
    let mut hubs = Hubs::start(&vec![servers.url(); 2], &[]);
    hubs.all_ready().await;
    let folder = tempfile::tempdir().unwrap();
    // A port that was free may be taken by the time that it is asked for.
    let mut started = None;
    for _ in 0..20 {
        let door = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = command(folder.path(), &configuration(heading, door, hubs.addresses()));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let mut balancer = Balancer(process.expect("the balancer is installed: scripts/test does it"));
        let is_up =
            async || reqwest::get(format!("http://{door}/health/live")).await.is_ok_and(|live| live.status() == 200);
        while balancer.0.try_wait().unwrap().is_none() && !is_up().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if balancer.0.try_wait().unwrap().is_none() {
            started = Some((balancer, door));
            break;
        }
    }
    let (_balancer, door) = started.expect("the balancer takes the configuration of the document");
    hubs.doors = vec![door];
    let hubs = Arc::new(hubs);
    let load = Load::start(&hubs);
    for hub in 0..2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        hubs.kill(hub);
        tokio::time::sleep(Duration::from_secs(1)).await;
        hubs.begin(hub);
        until("the hub is ready", async || hubs.is_ready(hub).await).await;
    }
    load.finish(&format!("behind {heading}, each hub killed once")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_as_documented() {
    behind("HAProxy", haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_as_documented() {
    behind("nginx", nginx).await;
}
