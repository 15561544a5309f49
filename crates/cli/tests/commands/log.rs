//! `fanfare log`, on the folder of a hub that was stopped.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::running::{Ended, Hub, curl, fanfare, run};

fn log(command: &str, folder: &Path) -> Ended {
    run(&mut fanfare(&["log", command, folder.to_str().unwrap()]), b"")
}

#[test]
fn it_tells_checks_and_prints_what_a_hub_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(&["serve", "--drain", "0", "--data-dir", folder.path().to_str().unwrap()]);
    let first = curl(&["-d", "one", &hub.url("/events/a")]);
    curl(&["--data-binary", "two\nlines", &hub.url("/events/b?id=mine&type=note&retry=1500&private")]);
    let in_use = log("info", folder.path());
    assert!(in_use.code == Some(1) && in_use.stderr.contains("in use by another process"), "{in_use:?}");
    hub.signal("TERM");
    assert!(hub.ended().success());

    let info = log("info", folder.path());
    assert!(info.code == Some(0) && info.stderr.is_empty(), "{info:?}");
    let line = |name: &str| info.stdout.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((line("events"), line("closed")), ("2".to_owned(), "yes".to_owned()));
    assert!(line("oldest").starts_with(&format!("{first}, ")), "{info:?}");
    assert!(line("newest").ends_with(" GMT"));

    let verified = log("verify", folder.path());
    assert_eq!((verified.code, verified.stdout.as_str()), (Some(0), "2 events are whole\n"));

    let exported = log("export", folder.path());
    let events: Vec<Value> = exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        json!({"topic": ["a"], "data": "one", "private": false}),
        json!({"topic": ["b"], "data": "two\nlines", "id": "mine", "type": "note", "retry": 1500, "private": true}),
    ];
    assert_eq!(events[0]["position"], json!(first));
    for (mut event, expected) in events.into_iter().zip(expected) {
        let members = event.as_object_mut().unwrap();
        members.remove("position").unwrap();
        assert!(members.remove("time").unwrap().as_u64() > Some(1_700_000_000_000));
        assert_eq!(event, expected);
    }
}

#[test]
fn damage_is_named_and_fails_and_the_hub_does_not_start_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let mut hub = Hub::start(&["serve", "--drain", "0", "--data-dir", path]);
    for data in ["first", "second", "third"] {
        curl(&["-d", data, &hub.url("/events/a")]);
    }
    hub.signal("TERM");
    assert!(hub.ended().success());

    let mut files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let (segment, mut bytes, at) = files
        .find_map(|file| {
            let bytes = fs::read(&file).unwrap();
            let at = bytes.windows(6).position(|window| window == b"second")?;
            Some((file, bytes, at))
        })
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();

    let verified = log("verify", folder.path());
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert!(verified.stderr.contains(segment.to_str().unwrap()), "{verified:?}");
    let exported = log("export", folder.path());
    assert_eq!(exported.code, Some(1));
    assert!(exported.stdout.contains("first") && exported.stderr.contains("events are missing"), "{exported:?}");
    let refused = run(&mut fanfare(&["serve", "--listen", "127.0.0.1:0", "--data-dir", path]), b"");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("damaged") && refused.stderr.contains("--data-dir"), "{refused:?}");

    let nothing = log("info", &folder.path().join("nowhere"));
    assert!(nothing.code == Some(1) && nothing.stderr.contains("nowhere"), "{nothing:?}");
}
