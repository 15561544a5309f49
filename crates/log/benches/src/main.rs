//! The log on disk against the bars that were set for it.
//!
//! ```text
//! cargo run --release --manifest-path crates/log/benches/Cargo.toml -- [EVENTS] [ROUNDS] [FOLDER] [PART]
//! ```
//!
//! `EVENTS` is the size of the history that is read, 5,000,000 unless said. Every round runs each measurement once, so
//! that a machine that slows down slows all of them; a figure is the median of the rounds, with the best in brackets.
//! `FOLDER` is on the disk to measure, the system's folder for temporary files unless said. `PART` is `append`, `trim` or
//! `history`, for those who look at one alone. Durable figures mean little without the time of the disk's own sync, which
//! is measured before each of them.

mod workload;

mod measure;

mod append;

mod trim;

mod history;

use std::path::PathBuf;

use measure::Table;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if std::env::args().nth(1).as_deref() == Some(history::MEMORY) {
        return history::print_memory(arguments.nth(1).expect("a folder").as_ref());
    }
    let mut number = |default| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (events, rounds) = (number(5_000_000), number(3));
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let part = arguments.next().unwrap_or_default();
    let mut table = Table::default();
    let runs = |name: &str| part.is_empty() || part == name;
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        if runs("append") {
            append::round(&folder, events, &mut table);
        }
        if runs("trim") {
            trim::round(&folder, events, &mut table);
        }
    }
    if runs("history") {
        history::run(&folder, events, rounds, &mut table);
    }
    table.print();
}
