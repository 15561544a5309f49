//! A configuration file, as `fanfare serve --config FILE` reads it. A process for each, because the command is no library:
//! some hundred a second.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

pub const WORDS: &[&[u8]] = &[
    b"memory = true\n",
    b"data_dir = 'x'\n",
    b"listen = ",
    b"heartbeat = ",
    b"retain_bytes = ",
    b"max_topics = ",
    b"publisher_key = ",
    b"publisher_alg = 'RS256'\n",
    b"cors_origin = ",
    b"gap_event = 'off'\n",
    b"durability = 'os'\n",
    b"'15s'",
    b"'1GiB'",
    b"18446744073709551616",
    b"-1",
    b"1e400",
    b"nan",
    b"[",
    b"]",
    b"{",
    b"}",
    b"[[",
    b"]]",
    b"[table]\n",
    b"'''",
    b"\"\"\"",
    b"\"",
    b"'",
    b"=",
    b"\n",
    b"#",
    b".",
    b"1979-05-27T07:32:00Z",
    b"0x",
    b"\\u0000",
    b"\\UFFFFFFFF",
    b"\xEF\xBB\xBF",
];

/// It is refused in words that say where, or it is taken; and then there is somebody at the address that it shall listen
/// on, which flags say in place of the file.
pub fn check(bytes: &[u8]) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("it has an address").to_string();
    let folder = env::temp_dir().join(format!("fanfare-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("there is room for a folder");
    let file = folder.join("fanfare.toml");
    fs::write(&file, bytes).expect("there is room for a file");
    let binary = env::var_os("FANFARE").expect("the variable FANFARE names the command: scripts/fuzz sets it");
    let mut command = Command::new(binary);
    command.args(["serve", "--listen", &address, "--config"]).arg(&file);
    command.current_dir(&folder).stdin(Stdio::null());
    env::vars_os().filter(|(name, _)| Path::new(name).to_string_lossy().starts_with("FANFARE_")).for_each(
        |(name, _)| {
            command.env_remove(name);
        },
    );
    let output = command.output().expect("the command runs");
    fs::remove_dir_all(&folder).expect("nobody else has it");
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_refusal = matches!(output.status.code(), Some(1 | 2));
    assert!(is_refusal && !errors.contains("panicked") && errors.contains("error: "), "{}: {errors}", output.status);
    drop(taken);
}
