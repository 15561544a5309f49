//! A hub that is started again on its folder, and what else may be done with it.

use crate::running::{Curl, Hub, curl, fanfare, run};

#[test]
fn history_outlasts_a_restart_and_a_cursor_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let mut hub = Hub::start(&["serve", "--data-dir", folder, "--drain", "0"]);
    let first = curl(&["-d", "one", &hub.url("/events/a")]);
    curl(&["-d", "two", &hub.url("/events/a?id=mine")]);
    hub.signal("TERM");
    assert!(hub.ended().success());

    let hub = Hub::start(&["serve", "--data-dir", folder]);
    curl(&["-d", "three", &hub.url("/events/a")]);
    for (cursor, expected) in [(first.trim(), vec!["data: two", "data: three"]), ("mine", vec!["data: three"])] {
        let mut stream = Curl::follow(&hub.url("/events/a"), &["-H", &format!("Last-Event-ID: {cursor}")]);
        let lines = stream.until(|line| line == "data: three");
        let data: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("data: ")).collect();
        assert_eq!(data, expected);
    }
}

#[test]
fn a_second_hub_on_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let _first = Hub::start(&["serve", "--data-dir", folder]);
    let second = run(&mut fanfare(&["serve", "--listen", "127.0.0.1:0", "--data-dir", folder]), b"");
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains(folder) && second.stderr.contains("another"), "{}", second.stderr);
}
