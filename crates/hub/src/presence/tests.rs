//! Members, cursors, and hubs that tell each other of them.

use super::*;
use crate::clock::SystemClock;
use fanfare_log::Epoch;

fn presence() -> Arc<Presence> {
    let (_, tail) = watch::channel(Position::start_of(Epoch(0xf)));
    Arc::new(Presence::new(tail, Arc::new(SystemClock), None, Duration::from_secs(15)))
}

fn join(presence: &Arc<Presence>, uuid: u128, selectors: &[&str]) -> Member {
    presence.join(uuid, selectors.iter().map(|text| Arc::from(*text)), None)
}

fn names(presence: &Presence, selector: Option<&str>) -> Vec<String> {
    let subscribers = presence.subscribers(&presence.numbers(selector));
    subscribers.iter().map(|one| one.name().to_owned()).collect()
}

#[test]
fn members_are_there_as_long_as_they_are_held() {
    let presence = presence();
    assert_eq!(presence.cursor(), None);
    let first = join(&presence, 1, &["a", "b", "a"]);
    let second = join(&presence, 2, &["a"]);
    let (one, two) = (first.subscriber.name().to_owned(), second.subscriber.name().to_owned());
    assert_eq!(names(&presence, None), [one.clone(), two.clone()]);
    assert_eq!(names(&presence, Some("a")), [one.clone(), two.clone()]);
    assert_eq!(names(&presence, Some("b")), std::slice::from_ref(&one));
    assert_eq!(names(&presence, Some("c")), [] as [&str; 0]);
    assert!(presence.named(&one).is_some());
    drop(first);
    assert_eq!(names(&presence, Some("a")), [two]);
    assert_eq!(names(&presence, Some("b")), [] as [&str; 0]);
    assert!(presence.named(&one).is_none());
    drop(second);
    assert!(presence.numbers(None).is_empty());
    assert!(presence.state().roster.is_empty());
    let newest = presence.cursor().unwrap();
    assert_eq!(newest.position.offset, 0);
    // Two selectors of the first and one of the second, which came and went.
    let state = presence.state();
    assert_eq!(state.bulletin.from(state.bulletin.oldest(), 100).map(|news| news.len()), Some(6));
    assert_eq!(state.bulletin.next() - 1, newest.number);
}

#[test]
fn a_cursor_reads_back_as_printed_and_nothing_else_does() {
    for (offset, number, node) in
        [(0, 0, None), (7, 0x1f, Some(NodeId::new(0x2e))), (u64::MAX, u64::MAX, Some(NodeId::new(u64::MAX)))]
    {
        let cursor = NewsCursor { position: Position { epoch: Epoch(0xab), offset }, number, node };
        assert_eq!(NewsCursor::parse(&cursor.to_string()), Some(cursor));
    }
    for text in [
        "",
        "eab-1",
        "eab-1-s",
        "eab-1-s01",
        "eab-1-sA",
        "eab-01-s1",
        "x-s1",
        "eab-1-s1 ",
        "eab-1-s-1",
        "eab-1-s1-n",
        "eab-1-s1-n1",
    ] {
        assert_eq!(NewsCursor::parse(text), None, "{text}");
    }
}
