//! A hub under a crowd that comes and goes, for as long as one likes: `scripts/soak 1h`, and a minute of it as a test.
//!
//! Subscribers join and leave at random, come back with a cursor, read fast, slowly or never; publishers send events of many
//! sizes. Each subscriber checks that it got every event of its topics once and in order, or was told of a gap; and the hub's
//! memory and open files are sampled each second: they must be flat once it is warm.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people and for a test")]

mod arguments;

mod sequence;

mod publisher;
mod subscriber;

mod process;
mod samples;

mod workload;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let arguments = arguments::Arguments::parse(std::env::args().skip(1))?;
        workload::run(&arguments).await
    };
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
