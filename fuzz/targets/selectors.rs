//! Any text as a topic and selectors: see [`fanfare_fuzz::selectors`].
#![cfg_attr(fuzzing, no_main)]

fanfare_fuzz::target!(selectors);
