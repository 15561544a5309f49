//! Any bytes as a message of the stream: see [`fanfare_fuzz::batch`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(batch);
