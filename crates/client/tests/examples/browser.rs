use crate::program::run;

#[test]
fn hears_messages_and_one_heartbeat_over_a_reconnect_until_it_closes() {
    let lines = run("browser", &[]);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert!(lines[0].starts_with("open: http://127.0.0.1:"), "{lines:?}");
    assert_eq!(lines[1..5], ["message: 1 (id 1)", "first heartbeat: OK", "message: 2 (id 2)", "message: 3 (id 3)"]);
    assert!(lines[5].starts_with("reconnecting: "), "{lines:?}");
    assert!(lines[6].starts_with("open: http://127.0.0.1:"), "{lines:?}");
    assert_eq!(lines[7..], ["message: 4 (id 4)", "message: 5 (id 5)", "closed: true"]);
}
