//! A minute of `scripts/soak`: bounded by events, so that a slow machine takes longer and fails no sooner.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

#[test]
fn a_crowd_that_comes_and_goes_misses_nothing_and_leaves_nothing_behind() {
    let program = Path::new(env!("CARGO_BIN_EXE_fanfare")).parent().unwrap().join("examples/soak");
    let advice = "run every test of the package, or `cargo build -p fanfare --examples` first";
    assert!(program.exists(), "{} is not built: {advice}", program.display());
    let mut command = Command::new(program);
    let is_setting = |name: &str| name.starts_with("FANFARE_") || name.starts_with("MERCURE_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let output = command.args(["--events", "12000"]).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
