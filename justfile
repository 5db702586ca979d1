# Recipes are one line; what has logic is a script, a binary in the crate that owns the output, or a tidy test.

# Everything CI does
check:
    bash .ci/run

# All tests; arguments go to `cargo test`
test *ARGS:
    .ci/test {{ARGS}}

# Format the tree
fmt:
    cargo fmt --all

# Lints as CI sees them
clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Documentation of our crates, opened
doc:
    cargo doc --workspace --no-deps --document-private-items --locked --open

# Licences, bans and sources of the dependency tree
deny:
    cargo deny check licenses bans sources

# The demo, on a folder of Bundles if one is given
demo *ARGS:
    .ci/demo {{ARGS}}

# Speed and size over FILES, with the bare SQLCipher baseline in the same process
bench +FILES:
    cargo run --release --locked --package keepwell -- bench store --json --data {{FILES}}

# The figures of docs/bindings.md
figures:
    bindings/figures

# Hostile calls of the C ABI under address sanitizer, from a seed on
fuzz SEED CALLS:
    KEEPWELL_FUZZ_SEED={{SEED}} KEEPWELL_FUZZ_CALLS={{CALLS}} cargo test --locked --package keepwell-capi --test programs any_sequence

# Texts that reach more and more of what the C ABI parses, for so many seconds
fuzz-texts SECONDS:
    bindings/c/fuzz {{SECONDS}}

# The sync simulator over many seeds
simulate SEEDS *ARGS:
    cargo run --release --locked --package keepwell-simulator -- --seeds {{SEEDS}} {{ARGS}}
