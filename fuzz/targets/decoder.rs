//! Any bytes as a stream: see [`fanfare_fuzz::decoder`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(decoder);
