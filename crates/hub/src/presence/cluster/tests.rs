//! Nodes without sockets, on a network that a test decides about.

use super::*;

const LEASE: Duration = Duration::from_secs(15);
const BEAT: Duration = Duration::from_secs(3);

/// What becomes of a message from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Comes,
    ComesTwice,
    /// After those that were sent until the next beat.
    ComesLate,
    IsLost,
}

struct Node {
    cluster: Cluster,
    roster: Roster,
    own: Vec<(u32, Arc<Subscriber>)>,
    /// Who is there, by what was told of it.
    told: BTreeMap<String, String>,
    is_connected: bool,
    bulletin: Bulletin,
}

impl Node {
    fn new(index: usize, message_bytes_max: usize) -> Self {
        let name = format!("n{index}").parse().unwrap();
        let mut cluster = Cluster::new(NodeId::new(index as u64), name, LEASE);
        cluster.fit(message_bytes_max);
        Self {
            cluster,
            roster: Roster::default(),
            own: Vec::new(),
            told: BTreeMap::new(),
            is_connected: true,
            bulletin: Bulletin::new(Timestamp(0)),
        }
    }

    fn tell(&mut self, notes: Notes) {
        for (subscriber, active) in notes {
            let name = subscriber.name().to_owned();
            let node = subscriber.node().unwrap().to_owned();
            let before = if active { self.told.insert(name, node) } else { self.told.remove(&name) };
            assert_eq!(before.is_none(), active, "told of coming and going in turn");
        }
    }

    fn join(&mut self, bits: u128, selector: &str) {
        self.join_with(bits, selector, None);
    }

    fn join_with(&mut self, bits: u128, selector: &str, payload: Option<&str>) {
        let selectors = std::iter::once(Arc::from(selector));
        let payload = payload.map(|text| serde_json::value::to_raw_value(text).unwrap().into());
        let subscriber = Arc::new(Subscriber::new(bits, selectors, payload, Some(self.cluster.name.clone())));
        let number = self.roster.add(subscriber.clone()).unwrap();
        self.cluster.note(number, &subscriber, true);
        self.tell(vec![(subscriber.clone(), true)]);
        self.own.push((number, subscriber));
    }

    fn leave(&mut self, index: usize) {
        let (number, subscriber) = self.own.swap_remove(index);
        self.roster.remove(number).unwrap();
        self.cluster.note(number, &subscriber, false);
        self.tell(vec![(subscriber, false)]);
    }

    /// Who is there, and on which node.
    fn listed(&self) -> BTreeMap<String, String> {
        let numbers = self.roster.numbers(None);
        let one = |number: u32| self.roster.get(number).unwrap();
        let listed = numbers.into_iter().map(one).map(|one| (one.name().to_owned(), one.node().unwrap().to_owned()));
        let listed = listed.collect();
        assert_eq!(listed, self.told, "the list is what was told");
        listed
    }
}

struct World {
    nodes: Vec<Node>,
    now: Instant,
    time: Timestamp,
    late: Vec<(usize, Vec<u8>)>,
    /// The largest message, and how many there were.
    largest: usize,
    count: usize,
}

impl World {
    fn of(count: usize) -> Self {
        Self::with(count, 4096)
    }

    fn with(count: usize, message_bytes_max: usize) -> Self {
        let nodes = (0..count).map(|index| Node::new(index, message_bytes_max)).collect();
        Self { nodes, now: Instant::now(), time: Timestamp(1_000_000), late: Vec::new(), largest: 0, count: 0 }
    }

    /// Sends what there is to send, of nodes that are `alive`.
    fn pump(&mut self, fate: &mut impl FnMut(usize, usize) -> Fate) {
        // Endless only if nodes never have enough of each other.
        for _ in 0..10_000 {
            let mut is_quiet = true;
            for from in 0..self.nodes.len() {
                let Node { cluster, roster, .. } = &mut self.nodes[from];
                let Some((to, bytes)) = cluster.next_message(roster, self.now, self.time) else { continue };
                is_quiet = false;
                self.largest = self.largest.max(bytes.len());
                self.count += 1;
                for index in (0..self.nodes.len()).filter(|index| to.is_none_or(|to| to == NodeId::new(*index as u64)))
                {
                    match if index == from { Fate::Comes } else { fate(from, index) } {
                        Fate::IsLost => {}
                        Fate::ComesLate => self.late.push((index, bytes.clone())),
                        Fate::Comes => self.deliver(index, &bytes),
                        Fate::ComesTwice => (0..2).for_each(|_| self.deliver(index, &bytes)),
                    }
                }
            }
            if is_quiet {
                return;
            }
        }
        panic!("the nodes never come to rest");
    }

    fn deliver(&mut self, to: usize, bytes: &[u8]) {
        let node = &mut self.nodes[to];
        let notes =
            node.cluster.receive(Message::decode(bytes).unwrap(), &mut node.roster, self.now, self.time).unwrap();
        node.tell(notes);
    }

    /// Lets a beat's time pass.
    fn beat(&mut self, mut fate: impl FnMut(usize, usize) -> Fate) {
        self.now += BEAT;
        self.time.0 += BEAT.as_millis() as u64;
        for node in &mut self.nodes {
            node.cluster.beat();
            loop {
                let (notes, is_more) = node.cluster.sweep(node.is_connected, &mut node.roster, self.now, self.time);
                node.tell(notes);
                if !is_more {
                    break;
                }
            }
        }
        self.pump(&mut fate);
        for (to, bytes) in std::mem::take(&mut self.late) {
            self.deliver(to, &bytes);
        }
    }

    fn settle(&mut self) {
        (0..5).for_each(|_| self.beat(|_, _| Fate::Comes));
    }

    /// Every node lists everybody, and knows that.
    fn check(&self) {
        let all: BTreeMap<String, String> = self
            .nodes
            .iter()
            .flat_map(|node| node.own.iter().map(|(_, one)| (one.name().to_owned(), one.node().unwrap().to_owned())))
            .collect();
        for node in &self.nodes {
            assert_eq!(node.listed(), all, "{}", node.cluster.name);
            assert!(node.cluster.nodes(self.now).values().all(|is_whole| *is_whole));
        }
    }
}

fn comes(_: usize, _: usize) -> Fate {
    Fate::Comes
}

#[test]
fn each_node_knows_who_is_on_the_others() {
    let mut world = World::of(3);
    for bits in 0..100 {
        world.nodes[bits % 2].join(bits as u128 * 7919, "a");
    }
    world.pump(&mut comes);
    world.check();
    (0..20).for_each(|_| world.nodes[0].leave(0));
    world.nodes[2].join(5, "b");
    world.pump(&mut comes);
    world.check();
    assert!(world.largest <= 4096, "{}", world.largest);
    // Nobody asks for what it has.
    let before = world.count;
    world.beat(comes);
    assert_eq!(world.count - before, 3, "a beat of each");
}

#[test]
fn a_hole_in_the_numbers_is_closed_and_what_is_the_same_is_no_news() {
    let mut world = World::of(2);
    (0..200).for_each(|bits| world.nodes[0].join(bits << 64, "a"));
    world.pump(&mut comes);
    world.check();
    for lost in 0..3 {
        world.nodes[0].leave(lost);
        world.nodes[0].join(77 + lost as u128, "b");
        world.pump(&mut |_, _| Fate::IsLost);
        assert_ne!(world.nodes[1].listed(), world.nodes[0].listed());
        // A node that is told twice of somebody fails in `tell`.
        world.beat(comes);
        world.check();
    }
}

#[test]
fn more_changes_than_are_kept_are_a_hole_as_well() {
    let mut world = World::with(2, 1 << 20);
    world.beat(comes);
    for bits in 0..NEWS_MAX as u128 + 10 {
        world.nodes[0].join(bits, "a");
    }
    assert_eq!(world.nodes[0].cluster.changes.len(), NEWS_MAX);
    world.pump(&mut comes);
    world.check();
}

#[test]
fn a_node_that_is_killed_leaves_no_ghosts_and_one_that_comes_back_is_there_again() {
    let mut world = World::of(3);
    for bits in 0..SWEEP_COUNT {
        world.nodes[0].join(bits, "a");
    }
    world.nodes[1].join(1 << 90, "a");
    world.pump(&mut comes);
    world.check();
    let without = |from: usize, to: usize| if from == 0 || to == 0 { Fate::IsLost } else { Fate::Comes };
    (0..5).for_each(|_| world.beat(without));
    assert_eq!(world.nodes[1].listed().len(), SWEEP_COUNT as usize + 1, "its lease is not over");
    (0..2).for_each(|_| world.beat(without));
    for node in [1, 2] {
        assert_eq!(world.nodes[node].listed().len(), 1);
        assert!(!world.nodes[node].cluster.nodes(world.now).contains_key(&"n0".parse().unwrap()));
        assert_eq!(world.nodes[node].cluster.held_bytes > 0, node == 2, "what is not listed is not held");
    }
    world.nodes[0].leave(3);
    world.settle();
    world.check();
}

/// More than are taken out at once.
const SWEEP_COUNT: u128 = crate::limits::SWEEP_MAX as u128 * 2 + 10;

#[test]
fn a_node_that_is_cut_off_takes_nobody_for_dead_for_a_while() {
    let mut world = World::of(2);
    world.nodes[0].join(1, "a");
    world.settle();
    world.nodes[1].is_connected = false;
    let apart = |_, _| Fate::IsLost;
    (0..15).for_each(|_| world.beat(apart));
    assert_eq!(world.nodes[0].listed().len(), 1);
    assert_eq!(world.nodes[1].listed().len(), 1, "it can't tell");
    assert!(!world.nodes[1].cluster.nodes(world.now)[&"n0".parse().unwrap()], "and says so");
    world.nodes[0].join(2, "a");
    world.nodes[1].is_connected = true;
    world.settle();
    world.check();
    world.nodes[1].is_connected = false;
    (0..30).for_each(|_| world.beat(apart));
    assert!(world.nodes[1].listed().is_empty(), "not for ever");
    world.nodes[1].is_connected = true;
    world.settle();
    world.check();
}

#[test]
fn a_page_that_comes_before_the_changes_it_knows_of_waits_for_them() {
    let mut world = World::of(2);
    world.nodes[0].join(1, "a");
    let [node, other] = &mut world.nodes[..] else { panic!("two") };
    let send = |node: &mut Node| node.cluster.next_message(&node.roster, world.now, world.time).unwrap().1;
    let receive = |node: &mut Node, bytes: &[u8]| {
        let notes =
            node.cluster.receive(Message::decode(bytes).unwrap(), &mut node.roster, world.now, world.time).unwrap();
        node.tell(notes);
    };
    receive(other, &send(node));
    send(other);
    receive(node, &send(other));
    node.join(2, "a");
    let changes = send(node);
    let page = send(node);
    node.leave(0);
    let later = send(node);
    receive(other, &page);
    assert_eq!(other.listed().len(), 1);
    receive(other, &changes);
    assert_eq!(other.listed().len(), 2);
    receive(other, &later);
    receive(other, &page);
    assert_eq!(other.listed(), node.listed(), "an old page undoes nothing");
    assert!(other.cluster.nodes(world.now).values().all(|is_whole| *is_whole));
}

#[test]
fn a_node_has_no_say_about_those_of_others() {
    let mut world = World::of(3);
    world.nodes[0].join(1, "a");
    world.pump(&mut comes);
    let name = world.nodes[0].own[0].1.uuid();
    // A third claims them, sends them away, and goes.
    let forged = Arc::new(Subscriber::new(1, std::iter::once(Arc::from("forged")), None, None));
    let here = Content::Changes { after: 0, changes: vec![Change::Joined(Here::of(&forged)), Change::Left(name)] };
    let message = Message::new(NodeId::new(99), "n99".parse().unwrap(), world.time, LEASE, here).encode();
    for node in 0..2 {
        world.deliver(node, &message);
        assert_eq!(world.nodes[node].listed().len(), 1);
        assert_eq!(world.nodes[node].roster.named(forged.name()).unwrap().selectors(), [Arc::from("a")]);
    }
    (0..8).for_each(|_| world.beat(comes));
    world.check();
}

#[test]
fn what_others_send_is_bounded() {
    let mut world = World::with(1, 1 << 20);
    for node in 0..NEIGHBOURS_MAX as u64 + 10 {
        let content = Content::Changes { after: 0, changes: Vec::new() };
        let message = Message::new(NodeId::new(node + 10), "n".parse().unwrap(), world.time, LEASE, content).encode();
        let Node { cluster, roster, .. } = &mut world.nodes[0];
        let received = cluster.receive(Message::decode(&message).unwrap(), roster, world.now, world.time);
        assert_eq!(received.is_ok(), node < NEIGHBOURS_MAX as u64);
        let ask =
            Message::new(NodeId::new(node + 10), "n".parse().unwrap(), world.time, LEASE, Content::Ask { after: None });
        cluster.receive(Message::decode(&ask.encode()).unwrap(), roster, world.now, world.time).unwrap();
    }
    assert_eq!(world.nodes[0].cluster.neighbours.len(), NEIGHBOURS_MAX);
    assert_eq!(world.nodes[0].cluster.askers.len(), NEIGHBOURS_MAX);
}

#[test]
fn whom_there_is_no_room_for_is_not_listed_and_the_list_says_so_until_there_is() {
    let mut world = World::of(2);
    world.nodes[1].cluster.held_bytes_max = 10_000;
    (0..100).for_each(|bits| world.nodes[0].join(bits, "a"));
    world.settle();
    let is_whole = |world: &World| world.nodes[1].cluster.nodes(world.now)[&"n0".parse::<NodeName>().unwrap()];
    assert!(world.nodes[1].cluster.held_bytes <= 10_000 && world.nodes[1].listed().len() > 30);
    assert!(!is_whole(&world));
    (0..60).for_each(|_| world.nodes[0].leave(0));
    world.settle();
    world.check();
    assert!(is_whole(&world));
    // Somebody whom no message can hold.
    world.nodes[0].join(1 << 100, &"x".repeat(4000));
    world.settle();
    assert_eq!(world.nodes[1].listed().len(), 40);
    assert!(!is_whole(&world));
    world.nodes[0].leave(40);
    world.settle();
    world.check();
}

/// An application may say more of a subscriber than a token could.
#[test]
fn whom_others_would_not_believe_keeps_nobody_else_from_them() {
    let mut world = World::with(2, 1 << 20);
    world.settle();
    world.nodes[0].join(1, "a");
    world.nodes[0].join_with(2, "a", Some(&"x".repeat(20_000)));
    world.nodes[0].join(3, "a");
    world.settle();
    assert_eq!(world.nodes[1].listed().len(), 2);
    let name = "n0".parse::<NodeName>().unwrap();
    assert!(!world.nodes[1].cluster.nodes(world.now)[&name]);
    // One that comes later reads pages.
    world.nodes.push(Node::new(2, 1 << 20));
    world.settle();
    assert_eq!(world.nodes[2].listed().len(), 2);
    world.nodes[0].leave(1);
    world.settle();
    world.check();
}

#[test]
fn whoever_comes_from_another_node_goes_on_from_that_time_or_is_told() {
    let mut world = World::of(2);
    let started = world.time;
    world.settle();
    let node = &world.nodes[1];
    let resume = |time: u64, node: u64| {
        let number = Bulletin::at(Timestamp(time));
        let position = fanfare_log::Position::start_of(fanfare_log::Epoch(1));
        let cursor = NewsCursor { position, number, node: Some(NodeId::new(node)) };
        world.nodes[1].cluster.resume(&cursor, &world.nodes[1].bulletin).map(Bulletin::time_of)
    };
    let lag = LEASE.as_millis() as u64 * 2;
    let known = node.cluster.neighbours[&NodeId::new(0)].since().0;
    assert!(known > started.0 && world.time.0 < known + lag);
    assert_eq!(resume(known + lag - 1, 0), None, "it was not there all the time that may matter");
    assert_eq!(resume(known + lag, 7), None, "nobody knows of that node");
    // No news is so late: the next one is.
    assert_eq!(resume(known + lag, 0), Some(Timestamp(0)));
}

/// Whatever becomes of messages, everybody knows everybody in the end, and is told of coming and going in turn.
#[test]
fn whatever_is_lost_doubled_or_late_all_come_to_the_same() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = random.usize(2..5);
        let mut world = World::of(count);
        let (mut trouble, mut network) = (fastrand::Rng::with_seed(seed + 1000), 0);
        for round in 0..40 {
            for _ in 0..random.usize(0..20) {
                let node = &mut world.nodes[random.usize(0..count)];
                if random.bool() || node.own.is_empty() {
                    node.join(random.u128(..), ["a", "b", "c"][random.usize(0..3)]);
                } else {
                    let index = random.usize(0..node.own.len());
                    node.leave(index);
                }
            }
            if round % 10 == 0 {
                network = random.u8(0..4);
            }
            let mut fate = |from: usize, to: usize| match (network, trouble.u8(0..10)) {
                (1, 0..3) | (2, 0) => Fate::IsLost,
                (2, 1..3) => Fate::ComesTwice,
                (2, 3..5) => Fate::ComesLate,
                (3, _) if from == 0 || to == 0 => Fate::IsLost,
                _ => Fate::Comes,
            };
            world.beat(&mut fate);
        }
        world.settle();
        world.settle();
        world.check();
    }
}
