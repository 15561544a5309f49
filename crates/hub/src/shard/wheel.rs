//! When a shard has to look at whom: heartbeats, deadlines, the end of a drain.

/// A timing wheel. An entry is a number and a tick; what is re-armed later leaves its old entry behind, and whoever
/// takes the entry knows that it is not due. Arming costs a push, and nothing moves until it is due.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: [Vec<Entry>; SLOTS],
    now: u32,
}

/// Number and tick.
type Entry = (u32, u32);

/// A power of two. Entries that are further away go round again.
const SLOTS: usize = 64;

/// Ticks since the shard started. At one a second they last 136 years.
pub(super) const NEVER: u32 = u32::MAX;

impl Wheel {
    pub(super) fn new() -> Self {
        Self { slots: std::array::from_fn(|_| Vec::new()), now: 0 }
    }

    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// Has `number` come up at `tick`, at the earliest the next one. Gives the tick.
    pub(super) fn arm(&mut self, number: u32, tick: u32) -> u32 {
        let tick = tick.max(self.now + 1);
        self.slots[tick as usize % SLOTS].push((number, tick));
        tick
    }

    /// Goes on to the tick `now` and appends the numbers that came up to `due`.
    pub(super) fn advance(&mut self, now: u32, due: &mut Vec<u32>) {
        // Once round looks at everything.
        let from = self.now.max(now.saturating_sub(SLOTS as u32));
        self.now = self.now.max(now);
        for tick in from + 1..=now {
            let slot = &mut self.slots[tick as usize % SLOTS];
            // A crowd that connected together would leave its room in every slot that it comes through.
            let entries = std::mem::take(slot);
            for entry in entries {
                if entry.1 <= now {
                    due.push(entry.0);
                } else {
                    slot.push(entry);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everything_comes_up_once_and_when_it_is_due(
            delays in proptest::collection::vec(0_u32..200, 0..50),
            steps in proptest::collection::vec(1_u32..90, 1..20),
        ) {
            let mut wheel = Wheel::new();
            let armed: Vec<_> = (0..).zip(&delays).map(|(number, delay)| (number, wheel.arm(number, *delay))).collect();
            let (mut now, mut seen) = (0, Vec::new());
            for step in steps {
                now += step;
                let mut due = Vec::new();
                wheel.advance(now, &mut due);
                for number in due {
                    prop_assert!(armed[number as usize].1 <= now);
                    seen.push(number);
                }
                let expected = armed.iter().filter(|(_, tick)| *tick <= now).count();
                prop_assert_eq!(seen.len(), expected);
            }
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), armed.iter().filter(|(_, tick)| *tick <= now).count());
        }
    }
}
