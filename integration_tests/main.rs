//! The real program as a process, against the sandbox on loopback. Every run passes through [`rules`], which knows the
//! rules that hold for every run; a test adds what is special about it.
#![expect(unreachable_pub, reason = "the modules of a test binary are seen by nobody else")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures that a test measures are shown with --nocapture")]
mod assumptions;
mod bad_input;
mod check;
mod commands;
mod documents;
mod engine;
mod faults;
mod harness;
mod holes;
mod hostility;
mod incremental;
mod lists;
mod log_files;
mod machine;
mod memory;
mod objects;
mod one_advertiser;
mod openapi;
mod packages;
mod process;
mod reports;
mod responses;
mod rules;
mod samples;
mod sandbox;
mod since;
mod singer;
mod soak;
mod streams;
mod terminal_commands;
mod truth;
mod worlds;
