# `just` lists what people type most. CONTRIBUTING.md says more.

set positional-arguments
set shell := ["bash", "-cu"]

export RUST_BACKTRACE := env("RUST_BACKTRACE", "0")

[private]
default:
    @just --list --unsorted

# the tests that answer quickly: engines in memory and on a disk
quick *arguments:
    cargo nextest run --workspace "$@"

# the README's test command: everything
test:
    cargo test --workspace --all-features

# all that nextest can run, TiKV and the random ones too
full *arguments:
    cargo nextest run --workspace --all-features --profile full "$@"

# what goes on at random for long; `just soak 100000` makes so many transfers in the bank
soak transfers="50000":
    TITO_SOAK={{ transfers }} cargo nextest run --workspace --all-features --profile soak

# facts about workers, by a part of their names: `just worker strict`, `just worker ::in_memory`
worker *filter:
    cargo test -p tito-worker --test workers -- "$@"

# one crate's tests: `just crate tito-core keys`
crate name *filter:
    cargo test -p "$1" -- "${@:2}"

# formatting, lints and the documentation, as CI has them
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# writes formatting anew
fmt:
    cargo fmt --all

# writes the derive's expected messages anew, to be read before they are committed
ui:
    TRYBUILD=overwrite cargo test -p tito-derive --test ui

# one bench: `just bench drain`; docs/benchmarks.md says what each measures
bench name *arguments:
    cargo bench -p tito-benches --bench "$@"

# the quickstart, from nothing
quickstart:
    rm -rf tito-quickstart-data
    cargo run -p tito-examples --example quickstart

# licences, sources and known problems of dependencies
deny:
    cargo deny check
    cargo deny --manifest-path tito-engine-tikv-client/Cargo.toml check --config tito-engine-tikv-client/deny.toml

# everything that has to pass
ci:
    .ci/run
