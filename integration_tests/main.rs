//! Runs the real program against the sandbox on loopback. Every run is checked against [`rules`].
#![expect(unreachable_pub, reason = "modules of a test binary are not used elsewhere")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::print_stdout, reason = "measurements are shown with --nocapture")]
mod assumptions;
mod bad_input;
mod check;
mod commands;
mod demo;
mod documents;
mod engine;
mod export;
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
mod openapi_retail_media;
mod packages;
mod people;
mod pictures;
mod process;
mod refusals;
mod report_page;
mod reports;
mod responses;
mod rules;
mod samples;
mod sandbox;
mod setup;
mod since;
mod singer;
mod soak;
mod state_show;
mod streams;
mod switches;
mod terminal_commands;
mod truth;
mod worlds;
