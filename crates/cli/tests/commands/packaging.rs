//! What is in `packaging/`: units that systemd takes, YAML that is well-formed, and settings that there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::running::{fanfare, run};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

/// Runs a checker, and gives what it says if it is not content.
fn complaint(command: &mut Command) -> Option<String> {
    let output = command.output().expect("it is installed by scripts/test");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (!output.status.success()).then_some(said)
}

#[test]
fn systemd_takes_the_units_and_finds_them_closed() {
    let folder = tempfile::tempdir().unwrap();
    let units = ["fanfare.service", "fanfare.socket"].map(|name| {
        let text = fs::read_to_string(packaging().join("systemd").join(name)).unwrap();
        // The checker looks whether the binary is there.
        let text = text.replace("/usr/bin/fanfare", env!("CARGO_BIN_EXE_fanfare"));
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    });
    assert_eq!(complaint(Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units)), None);
    let mut security = Command::new("systemd-analyze");
    // Tenths, of ten at most: it is 1.4, and what is left is the network.
    security.args(["security", "--no-pager", "--offline=true", "--threshold=15"]).arg(&units[0]);
    assert_eq!(complaint(&mut security), None);
}

#[test]
fn the_yaml_is_well_formed() {
    let mut lint = Command::new("yamllint");
    lint.arg("-s").arg("-c").arg(packaging().join(".yamllint"));
    lint.args(["compose.yaml", "kubernetes.yaml"].map(|name| packaging().join(name)));
    assert_eq!(complaint(&mut lint), None);
}

#[test]
fn every_setting_that_a_container_gets_is_one() {
    let example = run(&mut fanfare(&["config", "example"]), b"").stdout;
    let mut seen = 0;
    for name in ["Dockerfile", "compose.yaml", "kubernetes.yaml"] {
        let text = fs::read_to_string(packaging().join(name)).unwrap();
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        let names = text.match_indices("FANFARE_").map(|(at, _)| text[at..].split(|c| !is_part(c)).next().unwrap());
        for variable in names {
            let is_known = example.split(|c| !is_part(c)).any(|known| known == variable);
            assert!(is_known, "{name}: {variable}");
            seen += 1;
        }
    }
    assert!(seen > 6, "{seen}");
}
