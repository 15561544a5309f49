//! Subscribers who do not take events as fast as they come, and what they have asked for.

use super::*;
use crate::limits::SLICE_READS_MAX;

/// The data of the events that somebody received.
fn received(one: &Seen) -> Vec<String> {
    let wire = one.wire.0.borrow();
    let (body, _) = unchunk(wire.received.strip_prefix(HEAD).unwrap());
    let text = String::from_utf8(body).unwrap();
    text.lines().filter_map(|line| Some(line.strip_prefix("data: ")?.split(' ').next()?.to_owned())).collect()
}

fn model(slow: SlowPolicy) -> Model {
    Model { slow, ..Model::new(true) }
}

/// What came is right at every moment, and whole once nothing happens any more.
fn whatever_happens(slow: SlowPolicy, steps: &[Step]) {
    in_a_runtime(|| {
        let mut model = model(slow);
        for step in steps {
            model.run(step);
        }
        model.check(false);
        model.settle();
        model.check(true);
    });
}

proptest! {
    /// The latest of each topic comes, in order, nothing twice, and nothing that a grant does not allow.
    #[test]
    fn whatever_happens_the_latest_of_each_topic_comes(steps in proptest::collection::vec(step(), 1..160)) {
        whatever_happens(SlowPolicy::Conflate, &steps);
    }

    /// Whoever is not cut off has everything, and whoever is has everything up to there.
    #[test]
    fn whatever_happens_nothing_is_left_out_before_a_stream_ends(steps in proptest::collection::vec(step(), 1..160)) {
        whatever_happens(SlowPolicy::Disconnect, &steps);
    }
}

#[test]
fn who_is_behind_gets_the_latest_of_each_topic_and_then_everything() {
    in_a_runtime(|| {
        let mut model = model(SlowPolicy::Conflate);
        // The head, and some bytes of an event.
        model.accept(0, 3, Since::Tail, HEAD.len() + 60);
        for n in 0..60 {
            model.publish(&[n % 2], n % 3 == 0, 10);
            model.run_until_idle();
        }
        model.settle();
        assert_eq!(received(&model.seen[0]), ["1", "59", "60"]);
        model.publish(&[0], false, 10);
        model.publish(&[0], false, 10);
        model.run_until_idle();
        assert_eq!(received(&model.seen[0])[3..], ["61", "62"], "it is not behind any more");
        model.check(true);
    });
}

/// The latest event of a topic is the latest that one may see.
#[test]
fn what_a_grant_hides_replaces_nothing() {
    in_a_runtime(|| {
        let mut model = model(SlowPolicy::Conflate);
        model.accept(0, 0, Since::Tail, HEAD.len() + 60);
        for n in 0..30 {
            model.publish(&[0], n >= 20, 10);
            model.run_until_idle();
        }
        model.settle();
        assert_eq!(received(&model.seen[0]), ["1", "20"]);
        model.check(true);
    });
}

#[test]
fn who_is_too_far_behind_is_cut_off_and_nobody_else() {
    in_a_runtime(|| {
        let mut model = model(SlowPolicy::Disconnect);
        // A socket without room, twice; one with room; and one that resumes from further back than it may be behind.
        (0..40).for_each(|_| model.publish(&[0], false, 1));
        model.accept(1, 0, Since::Tail, HEAD.len() + 60);
        model.accept(2, 0, Since::Tail, HEAD.len() + 60);
        model.accept(1, 0, Since::Tail, usize::MAX / 2);
        model.accept(1, 0, Since::Earliest, usize::MAX / 2);
        let is_open = |model: &Model| model.seen.iter().map(|one| one.is_open).collect::<Vec<_>>();
        // What it was stopped in, and twenty more. Those for others do not count.
        for n in 0..60 {
            model.publish(&[if n < 21 { 0 } else { 2 }], false, 10);
            model.run_until_idle();
        }
        model.tick(1);
        model.run_until_idle();
        assert_eq!(is_open(&model), [true; 4]);
        model.publish(&[1], false, 10);
        model.run_until_idle();
        model.tick(1);
        model.run_until_idle();
        assert_eq!(is_open(&model), [true, false, true, true]);
        assert!(model.seen[1].wire.0.borrow().was_reset);
        model.publish(&[0], false, 10);
        model.run_until_idle();
        // It has room again before anybody looks: its stream ends between two events.
        model.give_room(0, 1 << 20);
        model.run_until_idle();
        model.notice_ends();
        assert_eq!(is_open(&model), [false, false, true, true]);
        let wire = model.seen[0].wire.0.borrow();
        assert!(wire.received.ends_with(b"\n\n\r\n0\r\n\r\n") && !wire.was_reset);
        drop(wire);
        let told = "fanfare_ended_streams_total{reason=\"too_far_behind\"} 2\n";
        assert!(model.hub.exposition().contains(told), "{}", model.hub.exposition());
        model.check(true);
    });
}

/// Each look may read the log, so that others get their turn between some of them.
#[test]
fn a_crowd_is_looked_at_a_few_at_a_time() {
    in_a_runtime(|| {
        let mut model = model(SlowPolicy::Disconnect);
        (0..100).for_each(|_| model.accept(1, 0, Since::Tail, HEAD.len() + 60));
        (0..2).for_each(|_| model.publish(&[0], false, 10));
        model.run_until_idle();
        model.tick(1);
        model.fanout.slice(SLICE_SENDS_MAX);
        assert_eq!(model.fanout.due.len(), 100 - SLICE_READS_MAX);
        model.run_until_idle();
        assert!(model.seen.iter().all(|one| one.is_open));
        model.check(false);
    });
}

#[test]
fn who_is_behind_and_never_far_stays() {
    in_a_runtime(|| {
        let mut model = model(SlowPolicy::Disconnect);
        model.accept(1, 0, Since::Tail, HEAD.len() + 60);
        for _ in 0..30 {
            (0..10).for_each(|_| model.publish(&[0], false, 10));
            model.run_until_idle();
            model.tick(1);
            model.run_until_idle();
            model.give_room(0, 10 * 60);
            model.run_until_idle();
        }
        assert!(model.seen[0].is_open);
        model.settle();
        model.check(true);
    });
}
