//! Any bytes as an event: see [`fanfare_fuzz::encoder`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(encoder);
