//! The programs are the files of this package: `cargo run --release --example NAME`.
