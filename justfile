# What a developer types. `scripts/setup` comes first on a new machine.

# List the recipes
default:
    @just --list --unsorted

# Everything that must hold before a change lands
ci:
    .ci/run

fmt:
    cargo fmt --all

fmt-check:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# All tests, or those whose names contain an argument
test *args:
    cargo test --workspace --locked {{args}}

# The random tests of a crate with a seed never used before, and many cases
soak crate cases="5000" *args:
    PROPTEST_RNG_SEED=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') PROPTEST_CASES={{cases}} cargo test --locked --package {{crate}} {{args}}

# The end-to-end tests with the real Claude Code client
e2e *args:
    scripts/install-client
    BARTIZAN_REQUIRE_CLIENT=claude-code cargo test --locked --package bartizan --test e2e {{args}}

# The attacks on the box; needs a real kernel
attack *args:
    cargo test --locked --package bartizan-sandbox {{args}}

# Which attack was tried, by which wall it was stopped, and what shows it; told by the attack tests as they hold
attack-table:
    mkdir -p target
    install -m 666 /dev/null target/attacks.tsv
    ATTACK_TABLE="$PWD/target/attacks.tsv" cargo test --quiet --locked --package bartizan-sandbox --test '*'
    cargo run --quiet --locked --package bartizan-sandbox --example attack_table -- target/attacks.tsv

# The attacks as an ordinary user, from root
attack-as-user:
    scripts/test-as-user bartizan-sandbox bartizan

# Ways round the gate that must not compile
bypass:
    cargo test --locked --package bartizan-gate --test bypass

# Let one target run; `cargo install cargo-fuzz` and a nightly toolchain come first
fuzz target *args:
    cargo +nightly fuzz run {{target}} {{args}}

bench *args:
    cargo bench --workspace --locked {{args}}

doc:
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

# Crates, licences and sources; see deny.toml
deny:
    scripts/install-tools
    PATH="$PATH:.cache/tools/bin" cargo deny --locked check bans licenses sources

# Known vulnerabilities; needs the network
advisories:
    scripts/install-tools
    PATH="$PATH:.cache/tools/bin" cargo deny --locked check advisories

# Review changed snapshots; `cargo install cargo-insta` comes first
snap:
    cargo insta review

# Manual pages and completions, into target/man
man:
    cargo run --quiet --locked --package bartizan -- man --dir target/man
