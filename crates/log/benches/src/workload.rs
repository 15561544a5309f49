//! What is published: 256 bytes that nothing shrinks, a topic of ten thousand, an id of 36 bytes on every tenth event.

use std::sync::Arc;

use fanfare_log::{Draft, Frame, Id, Timestamp, Visibility};

/// Bytes of frame, topic and id an event has on average.
pub const CONTENT_BYTES: f64 = 256.0 + 12.0 + 3.6;

pub struct Workload {
    topics: Vec<Arc<str>>,
    data: Vec<u8>,
    random: fastrand::Rng,
    n: u64,
}

impl Workload {
    pub fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            topics: (0..10_000).map(|n| format!("topic/{n:06}").into()).collect(),
            data: (0..1 << 20).map(|_| random.u8(..)).collect(),
            random,
            n: 0,
        }
    }

    pub fn draft(&mut self) -> Draft {
        // Small numbers come more often.
        let skewed = self.random.f64() * self.random.f64();
        let topic = self.topics[(skewed * self.topics.len() as f64) as usize].clone();
        self.draft_of(topic)
    }

    pub fn draft_of(&mut self, topic: Arc<str>) -> Draft {
        self.n += 1;
        let at = self.random.usize(..self.data.len() - 256);
        Draft {
            topics: vec![topic],
            id: if self.n.is_multiple_of(10) { Id::Chosen(chosen_id(self.n).into()) } else { Id::Position },
            visibility: Visibility::Public,
            time: Timestamp(1_750_000_000_000 + self.n / 100),
            frame: Frame::whole(self.data[at..at + 256].to_vec()),
        }
    }

    pub fn batch(&mut self, count: usize) -> Vec<Draft> {
        (0..count).map(|_| self.draft()).collect()
    }
}

/// The id of the nth event, 36 bytes like a UUID.
pub fn chosen_id(n: u64) -> String {
    format!("{:016x}-{n:019}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
