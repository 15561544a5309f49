use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: SubscribeArgs,
}

fn parse(line: &[&str]) -> Result<SubscribeArgs, clap::Error> {
    Command::try_parse_from([&["subscribe"], line].concat()).map(|command| command.args)
}

#[test]
fn topics_join_the_query_and_give_a_path_to_a_url_without_one() {
    for (line, expected) in [
        (&["http://h:1"][..], "http://h:1/"),
        (&["http://h:1", "--topic", "a"], "http://h:1/events?topic=a"),
        (&["http://h:1/", "--topic", "a", "--topic", "b c&d"], "http://h:1/events?topic=a&topic=b+c%26d"),
        (&["http://h:1/x", "--topic", "a"], "http://h:1/x?topic=a"),
        (&["http://h:1/x?y=1", "--topic", "a"], "http://h:1/x?y=1&topic=a"),
        (&["http://h:1", "--topic", "https://e.com/{id}"], "http://h:1/events?topic=https%3A%2F%2Fe.com%2F%7Bid%7D"),
        (&["http://this is invalid/"], "http://this is invalid/"),
    ] {
        assert_eq!(url(&parse(line).unwrap()), expected, "{line:?}");
    }
}

#[test]
fn headers_are_the_users_then_the_token_then_the_defaults() {
    let sent = |line: &[&str]| {
        let headers = headers(&parse(line).unwrap());
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(sent(&["u", "-H", "X-A: 1", "-H", "x-a:2"]), ["x-a: 1", "x-a: 2"]);
    assert_eq!(sent(&["u", "--token", "t"]), ["authorization: Bearer t"]);
    assert_eq!(sent(&["u", "-d", "a=b"]), ["content-type: application/x-www-form-urlencoded"]);
    assert_eq!(sent(&["u", "-d", "{}", "-H", "content-type: application/json"]), ["content-type: application/json"]);
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        &[][..],
        &["u", "-H", "no colon"],
        &["u", "-H", "bad name: x"],
        &["u", "-H", "x: a\nb"],
        &["u", "-n", "0"],
        &["u", "-n", "-1"],
        &["u", "--max-time", "soon"],
        &["u", "--max-event-size", "1 elephant"],
        &["u", "--last-event-id", "a\nb"],
        &["u", "--token", "a\nb"],
        &["u", "-o", "xml"],
        &["u", "-X", "A B"],
    ] {
        assert!(parse(line).is_err(), "{line:?}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let args = parse(&["http://h", "-d", "@/nonexistent/body"]).unwrap();
    assert_eq!(body(args.data.as_deref().unwrap()).unwrap_err().to_string(), "--data: can't read /nonexistent/body");
}
