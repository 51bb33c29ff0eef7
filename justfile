# Common commands; `just` lists them. Each also works without `just`.

_list:
    @just --list

# Show what the program does, with a simulated account.
demo:
    cargo run --quiet -- demo

# Checks for every change.
quick:
    scripts/test quick

# All checks; slow.
test:
    scripts/test

# Rewrite generated documents, samples and snapshots; then review the changes.
update:
    UPDATE_DOCS=1 UPDATE_SAMPLES=1 INSTA_UPDATE=always cargo test --locked --test integration -- documents pictures samples packages commands
    scripts/harness --update

# Rewrite the fault matrix.
matrix:
    UPDATE_DOCS=1 cargo test --locked --test integration -- --ignored fault_matrix

# Start a sandbox for sample_configs/config_sandbox.json.
sandbox:
    cargo run -p criteo-sandbox

# Fuzz each target for this many seconds.
fuzz seconds="60":
    scripts/fuzz {{seconds}}

# Sync daily with a fault at every twentieth request, for this many seconds.
soak seconds="3600":
    SOAK_SECONDS={{seconds}} cargo test --locked --release --test integration -- --ignored --nocapture soak

# Build and test the release files for this platform.
release:
    scripts/release
