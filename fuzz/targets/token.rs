//! Any text as a token: see [`fanfare_fuzz::token`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(token);
