//! Any bytes as a configuration file: see [`fanfare_fuzz::configuration`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(configuration);
