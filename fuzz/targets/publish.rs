//! Any bytes as a publish: see [`fanfare_fuzz::publish`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(publish);
