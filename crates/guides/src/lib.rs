//! The documentation's Rust, as doctests, so that it compiles and runs. `tests/links.rs` checks what it links to.
//!
//! No other crate can have these: a package holds only what lies in its own folder.
#![forbid(unsafe_code)]

#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/index.md")]
    struct Index;

    #[doc = include_str!("../../../docs/client.md")]
    struct Client;

    #[doc = include_str!("../../../docs/server.md")]
    struct Server;

    #[doc = include_str!("../../../docs/hub.md")]
    struct Hub;
}
