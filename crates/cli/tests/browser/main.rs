//! A real browser and the real hub: what people see, and what a browser's own `EventSource` makes of the stream.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::duplicate_mod, reason = "examples are programs of their own, and two of them share a file")]

mod hub;
mod process;
mod webdriver;

mod applications;
mod compression;
mod cookie;
mod dashboard;
mod datastar;
mod demo;
mod event_source;
mod htmx;
mod http2;
mod origin;
mod page;
mod sessions;
mod symfony;
mod tutorial;
