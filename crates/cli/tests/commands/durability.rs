//! What a hub promises of its history, with the real binary: stopped, killed and starved.

mod connection;

mod restart;

mod crash;

mod full_disk;
