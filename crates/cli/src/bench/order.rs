//! What one subscriber received of its topic: each event once, in order, or not.

use std::ops::Range;

use super::limits::HOLES_MAX;

/// Counts the events of one topic from 0, and remembers which of them are missing.
#[derive(Debug, Default)]
pub(super) struct Order {
    next: u64,
    /// What was jumped over, ascending. Almost always empty, and then without memory of its own.
    holes: Vec<Range<u64>>,
    /// Events in holes that are no longer remembered.
    forgotten: u64,
}

/// How an event arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// After all that came before it. Others may be missing in between.
    InOrder,
    /// After one that should have come later.
    Late,
    /// Once more.
    Double,
}

impl Order {
    pub(super) fn arrive(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            if number > self.next {
                self.remember(self.next..number);
            }
            self.next = number + 1;
            return Arrival::InOrder;
        }
        // The first hole that ends behind it is the only one that can hold it.
        let at = self.holes.partition_point(|hole| hole.end <= number);
        let Some(hole) = self.holes.get_mut(at).filter(|hole| hole.contains(&number)) else {
            return Arrival::Double;
        };
        let after = number + 1..hole.end;
        hole.end = number;
        let is_used_up = hole.is_empty();
        if !after.is_empty() {
            self.holes.insert(at + 1, after);
        }
        if is_used_up {
            self.holes.remove(at);
        }
        self.forget();
        Arrival::Late
    }

    /// How many of the first `published` events have not arrived.
    pub(super) fn missing(&self, published: u64) -> u64 {
        let in_holes = self.holes.iter().map(|hole| hole.end.min(published).saturating_sub(hole.start)).sum::<u64>();
        self.forgotten + in_holes + published.saturating_sub(self.next)
    }

    fn remember(&mut self, hole: Range<u64>) {
        self.holes.push(hole);
        self.forget();
    }

    fn forget(&mut self) {
        if self.holes.len() > HOLES_MAX {
            let oldest = self.holes.remove(0);
            self.forgotten += oldest.end - oldest.start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use Arrival::{Double, InOrder, Late};

    fn check(arrivals: &[(u64, Arrival)], published: u64, missing: u64) {
        let mut order = Order::default();
        for &(number, expected) in arrivals {
            assert_eq!(order.arrive(number), expected, "{number} of {arrivals:?}");
        }
        assert_eq!(order.missing(published), missing, "{arrivals:?}");
    }

    #[test]
    fn losses_doubles_and_late_ones_are_told_apart() {
        check(&[], 0, 0);
        check(&[], 3, 3);
        check(&[(0, InOrder), (1, InOrder), (2, InOrder)], 3, 0);
        check(&[(0, InOrder), (2, InOrder)], 3, 1);
        check(&[(0, InOrder), (0, Double), (1, InOrder), (0, Double)], 2, 0);
        check(&[(1, InOrder), (0, Late), (0, Double)], 2, 0);
        check(&[(5, InOrder), (2, Late), (2, Double), (0, Late), (4, Late), (5, Double)], 7, 3);
    }

    #[test]
    fn any_sequence_is_judged_as_by_a_set() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let (mut order, mut seen, mut highest) = (Order::default(), BTreeSet::new(), None);
            for _ in 0..random.usize(0..40) {
                let number = random.u64(0..30);
                let expected = match highest {
                    _ if seen.contains(&number) => Double,
                    Some(highest) if number < highest => Late,
                    _ => InOrder,
                };
                assert_eq!(order.arrive(number), expected);
                seen.insert(number);
                highest = highest.max(Some(number));
            }
            let published = random.u64(0..35);
            let missing = (0..published).filter(|number| !seen.contains(number)).count();
            assert_eq!(order.missing(published), missing as u64);
        }
    }

    #[test]
    fn the_holes_that_are_remembered_are_bounded() {
        let mut order = Order::default();
        for number in 0..=2 * HOLES_MAX as u64 {
            order.arrive(2 * number + 1);
        }
        assert_eq!(order.holes.len(), HOLES_MAX);
        assert_eq!(order.missing(4 * HOLES_MAX as u64 + 2), 2 * HOLES_MAX as u64 + 1);
    }
}
