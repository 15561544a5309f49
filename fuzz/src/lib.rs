//! Fuzz targets: the wire format, what strangers send to a hub, and the messages that hubs share. Each takes any bytes and
//! panics if something is not what it promises.
//!
//! With cargo-fuzz, which needs a nightly toolchain and a C++ compiler, coverage guides it:
//!
//! ```text
//! cargo +nightly fuzz run decoder fuzz/corpus/decoder fuzz/seeds/decoder -- -max_total_time=60
//! ```
//!
//! On any toolchain the same targets run the seeds and then mutations of them, as CI does:
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --bin decoder -- --seconds 60
//! ```
//!
//! `scripts/fuzz` runs them all. Seeds are in `seeds/TARGET`, public keys for tokens in `keys`.

pub mod decoder;

pub mod encoder;

pub mod head;

mod hub;

pub mod publish;
pub mod selectors;
pub mod token;

pub mod configuration;

pub mod batch;

#[cfg(not(fuzzing))]
pub mod run;

#[path = "../../crates/wire/tests/oracle/reading.rs"]
mod reading;

// The file alone: the crate would bring a client of NATS with it.
#[path = "../../crates/nats/src/batch.rs"]
mod coding;

/// The `main` of a target, under cargo-fuzz or without it.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::$name::check(bytes));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            fanfare_fuzz::run::main(stringify!($name), fanfare_fuzz::$name::check, fanfare_fuzz::$name::WORDS)
        }
    };
}

/// Numbers that depend on the input alone, so that an input is all that is needed to repeat a failure, and a seed file
/// is nothing but the stream.
fn numbers(bytes: &[u8]) -> fastrand::Rng {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    fastrand::Rng::with_seed(hash)
}
