//! A target without cargo-fuzz: its seeds, then mutations of them, as long as was asked for.
//!
//! It knows no coverage; it is there so that a target runs wherever Rust does. What it finds is written to a file that
//! either way of running takes.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, bail};

/// The longest input that is made: long enough for whole blocks and short enough for ten thousand a second.
const INPUT_BYTES_MAX: usize = 512;

/// Inputs between two looks at the clock: a millisecond of the fastest target, a second of the one that starts a process.
const LOOK_INPUTS: u64 = 100;

/// Runs `target` on files that are named, or on its seeds and then for `--seconds N` (60) on mutations, into which
/// `words` are put.
pub fn main(name: &str, target: fn(&[u8]), words: &[&[u8]]) -> ExitCode {
    match run(name, target, words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, target: fn(&[u8]), words: &[&[u8]]) -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1).peekable();
    let mut duration = Duration::from_secs(60);
    let mut files = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
            duration = Duration::from_secs(seconds.context("--seconds needs a whole number of seconds")?);
        } else {
            files.push(PathBuf::from(argument));
        }
    }
    if !files.is_empty() {
        for file in &files {
            target(&fs::read(file).with_context(|| format!("{} can't be read", file.display()))?);
        }
        println!("{name}: {} files pass", files.len());
        return Ok(());
    }
    let seeds = seeds(name)?;
    for (file, seed) in &seeds {
        attempt(name, target, seed).with_context(|| format!("the seed {}", file.display()))?;
    }
    let seed = fastrand::u64(..);
    println!("{name}: {} seeds pass; mutations of them for {duration:?}, from random seed {seed}", seeds.len());
    let mut numbers = fastrand::Rng::with_seed(seed);
    let (start, mut inputs) = (Instant::now(), 0_u64);
    while start.elapsed() < duration {
        for _ in 0..LOOK_INPUTS {
            attempt(name, target, &mutated(&seeds, words, &mut numbers))?;
        }
        inputs += LOOK_INPUTS;
    }
    println!("{name}: {inputs} inputs pass");
    Ok(())
}

/// The committed inputs, in the order of their names.
fn seeds(name: &str) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let entries = fs::read_dir(&folder).with_context(|| format!("{} can't be listed", folder.display()))?;
    let mut seeds = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let bytes = fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
        seeds.push((path, bytes));
    }
    if seeds.is_empty() {
        bail!("{} has no seeds", folder.display());
    }
    seeds.sort();
    Ok(seeds)
}

/// Runs `target`, and keeps the input that it fails on.
fn attempt(name: &str, target: fn(&[u8]), input: &[u8]) -> anyhow::Result<()> {
    if panic::catch_unwind(AssertUnwindSafe(|| target(input))).is_ok() {
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    fs::create_dir_all(&folder)?;
    let file = folder.join("failure");
    fs::write(&file, input)?;
    bail!("an input fails; give its file as the argument to repeat it: {}", file.display())
}

/// A seed, or nothing, with a few changes.
fn mutated(seeds: &[(PathBuf, Vec<u8>)], words: &[&[u8]], numbers: &mut fastrand::Rng) -> Vec<u8> {
    let any_seed = |numbers: &mut fastrand::Rng| &*seeds[numbers.usize(..seeds.len())].1;
    let mut input = if numbers.u8(..4) == 0 { Vec::new() } else { any_seed(numbers).to_vec() };
    for _ in 0..=numbers.usize(..16) {
        let at = numbers.usize(..=input.len());
        match numbers.u8(..6) {
            0 => input.truncate(at),
            1 => input.insert(at, numbers.u8(..)),
            2 if at < input.len() => input[at] ^= 1 << numbers.u8(..8),
            3 if at < input.len() => drop(input.drain(at..(at + numbers.usize(1..8)).min(input.len()))),
            4 => {
                let other = any_seed(numbers);
                let start = numbers.usize(..=other.len());
                let end = numbers.usize(start..=other.len());
                input.splice(at..at, other[start..end].iter().copied());
            }
            _ => drop(input.splice(at..at, words[numbers.usize(..words.len())].iter().copied())),
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}
