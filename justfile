# The few commands that a contributor needs; `just` lists them. Each is one line that works without `just`, too.

_list:
    @just --list

# Read everything from the built-in sandbox.
demo:
    cargo run --quiet -- demo read

# What to run at every change.
quick:
    scripts/test quick

# Everything; long.
test:
    scripts/test

# Write documents, samples and snapshots anew that are generated from the code; then look at what has changed.
update:
    UPDATE_DOCS=1 UPDATE_SAMPLES=1 INSTA_UPDATE=always cargo test --locked --test integration -- documents samples packages terminal_commands commands
    scripts/harness --update

# The fault matrix anew.
matrix:
    UPDATE_DOCS=1 cargo test --locked --test integration -- --ignored fault_matrix

# A sandbox to talk to; sample_configs/config_sandbox.json fits it.
sandbox:
    cargo run -p criteo-sandbox

# Fuzz each target for so many seconds.
fuzz seconds="60":
    scripts/fuzz {{seconds}}

# Mornings with a fault at every twentieth request, for so many seconds.
soak seconds="3600":
    SOAK_SECONDS={{seconds}} cargo test --locked --release --test integration -- --ignored --nocapture soak

# Make what a release publishes for this platform, and try it.
release:
    scripts/release
