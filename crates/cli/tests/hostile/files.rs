//! Out of files: the hub serves those whom it has, does not spin, and takes others again when it can.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peer::until_closed;
use crate::running::{Hub, PATIENCE, without_settings};
use crate::target::Target;

#[tokio::test]
async fn a_flood_that_takes_every_file_holds_up_none_who_is_there() {
    let script = "ulimit -n 64 && exec \"$0\" serve --memory --shards 2 --listen 127.0.0.1:0";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_fanfare")]).stdout(std::process::Stdio::piped());
    let hub = Hub::spawn(without_settings(&mut command).env("FANFARE_LOG", "off"));
    let target = Target::of(hub, Client::builder()).await;
    for _ in 0..2 {
        let mut flood = Vec::new();
        for _ in 0..200 {
            // The kernel takes them, the hub as many as it has files for.
            let mut stream = timeout(PATIENCE, TcpStream::connect(target.address())).await.unwrap().unwrap();
            stream.write_all(b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            flood.push(stream);
        }
        let files = || fs::read_dir(format!("/proc/{}/fd", target.hub.id())).unwrap().count();
        let full = async {
            while files() < 64 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, full).await.expect("the flood takes every file");
        target.serves_the_bystander().await;

        let (ticks, start) = (processor_ticks(target.hub.id()), Instant::now());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (ticks, waited) = (processor_ticks(target.hub.id()) - ticks, start.elapsed());
        // A loop that accepts in vain would take all of two processors, at 100 ticks a second each.
        assert!(u128::from(ticks) * 10 < waited.as_millis() / 2, "{ticks} ticks in {waited:?}: it spins");

        target.serves_the_bystander().await;
        // Those who waited outside are let in, and find that they have gone.
        drop(flood.split_off(100));
        for stream in &flood {
            // With a reset, so that nothing waits.
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(flood);
        target.everybody_has_gone().await;
        target.serves_others().await;
    }
    // And in good order.
    let mut stream = TcpStream::connect(target.address()).await.unwrap();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.starts_with(b"HTTP/1.1 200"));
}

/// Processor time of a process in hundredths of a second, user and system.
fn processor_ticks(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name may hold spaces; what follows its parenthesis begins with the third field.
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    [11, 12].map(|field: usize| fields[field].parse::<u64>().unwrap()).iter().sum()
}
