//! `fanfare-wire` beside the published parsers, and beside axum's encoder, in one run.
//!
//! ```text
//! cargo run --release --manifest-path crates/wire/benches/Cargo.toml -- decode [MEBIBYTES] [ROUNDS] [WORKLOAD]
//! cargo run --release --manifest-path crates/wire/benches/Cargo.toml -- encode [ROUNDS]
//! ```
//!
//! Every round runs each candidate once, so that a machine that slows down slows all of them. A ratio is the median of
//! the rounds' ratios. `MEBIBYTES` is the size of a workload: 4 stays in the processor's cache, as what a socket has just
//! handed over does; 64 comes from memory. `WORKLOAD` is a part of a name, for those who look at one alone.

mod workload;

mod parsers;

mod decode;

mod encode;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let mut number = |default| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    match command.as_str() {
        "decode" => {
            let (bytes, rounds) = (number(4) << 20, number(11));
            decode::report(bytes, rounds, &arguments.next().unwrap_or_default());
        }
        "encode" => encode::report(number(21)),
        _ => {
            eprintln!("say `decode [MEBIBYTES] [ROUNDS]` or `encode [ROUNDS]`");
            std::process::exit(2);
        }
    }
}

/// The middle of `values`.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
