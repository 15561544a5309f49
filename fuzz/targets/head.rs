//! Any bytes as a request that a shard reads: see [`fanfare_fuzz::head`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(head);
