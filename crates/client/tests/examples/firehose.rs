use crate::program::run;

#[test]
fn the_second_run_goes_on_where_the_first_one_stopped() {
    let file = std::env::temp_dir().join(format!("fanfare-firehose-test-{}.id", std::process::id()));
    let arguments = [file.to_str().unwrap()];
    let first = run("firehose", &arguments);
    let second = run("firehose", &arguments);
    let third = run("firehose", &arguments);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(first, ["event 1: {\"change\":1}", "event 500: {\"change\":500}", "500 events, up to 500"]);
    assert_eq!(
        second,
        [
            "going on after 500",
            "event 501: {\"change\":501}",
            "event 1000: {\"change\":1000}",
            "500 events, up to 1000"
        ]
    );
    assert_eq!(third, ["going on after 1000", "0 events, up to 1000"], "204 is the end, and no error");
    assert!(!file.with_extension("new").exists());
}
