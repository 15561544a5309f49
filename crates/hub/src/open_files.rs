//! How many files the process may open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on open files as far as the process may by itself, and gives what it is then. `None` is none.
///
/// The soft limit is 1024 on most systems, for the sake of programs that use `select`; the hard one is far higher. A
/// library must not change it, so the program that runs the hub calls this.
#[must_use = "whoever starts a hub wants to know how many connections it can have"]
pub fn raise_open_files_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_hard_limit_allows() {
        let raised = raise_open_files_limit();
        let limits = getrlimit(Resource::Nofile);
        assert_eq!(raised, limits.current);
        assert_eq!(limits.current, limits.maximum);
    }
}
