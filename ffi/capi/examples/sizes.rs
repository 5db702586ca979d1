//! What a library of Keepwell weighs, and which of its parts.
//!
//! `cargo run --release -p keepwell-capi --example sizes -- LIBRARY`, of one that is not stripped. A part is told by the
//! names of its functions and tables; texts and tables without a name are counted together.

#![allow(clippy::print_stdout, reason = "it prints its figures")]

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::process::Command;

use keepwell_tests::succeeds;

/// The parts by how the names of their symbols, or of the C files around them, begin.
const PARTS: [(&str, &[&str]); 9] = [
    ("SQLite and SQLCipher", &["sqlite3", "sqlcipher", "fts5", "json"]),
    ("zstd", &["zstd", "ZSTD", "HUF", "FSE", "huf", "fse", "XXH", "divsufsort"]),
    ("TLS: rustls, webpki", &["rustls", "webpki", "tokio_rustls"]),
    ("cryptography of TLS: ring", &["ring", "ecp_nistz", "p256", "curve25519", "fiat", "untrusted"]),
    ("HTTP and its runtime: hyper, tokio", &["hyper", "tokio", "mio", "http"]),
    ("keychain of Linux desktops: zbus", &["zbus", "zvariant", "secret_service", "async_", "zbus_secret"]),
    ("sync", &["keepwell_client", "keepwell_engine", "keepwell_protocol", "keepwell_merge", "keepwell_tls"]),
    ("store, search, keys", &["keepwell_"]),
    ("Rust's library, with what it makes of our types", &["core", "alloc", "std", "hashbrown"]),
];

fn part(name: &str, file: &str) -> String {
    let inner = name.trim_start_matches(['<', '&', '(', '[']).trim_start_matches("mut ");
    // Rust's symbols are all in the file of the last crate.
    let is_rust = inner.contains("::");
    let begins =
        |beginning: &&str| inner.starts_with(*beginning) || (!is_rust && file.starts_with(*beginning));
    match PARTS.iter().find(|(_, beginnings)| beginnings.iter().any(begins)) {
        Some((part, _)) => (*part).to_owned(),
        None if is_rust => inner.split("::").next().unwrap_or(inner).to_owned(),
        None => "C without a known file".to_owned(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let library = env::args().nth(1).ok_or("usage: sizes LIBRARY")?;
    let folder = tempfile::tempdir()?;
    let stripped = folder.path().join("stripped");
    succeeds(Command::new("strip").arg(&library).arg("-o").arg(&stripped));
    let whole = fs::metadata(&stripped)?.len();

    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    let mut file = String::new();
    // Num: Value Size Type Bind Vis Ndx Name
    for line in succeeds(Command::new("readelf").args(["-sW", "--demangle", &library])).lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, size, kind, _, _, place, name, ..] = fields[..] else { continue };
        if kind == "FILE" {
            name.clone_into(&mut file);
        } else if place != "UND" && (kind == "FUNC" || kind == "OBJECT") {
            *parts.entry(part(name, &file)).or_default() += size.parse::<u64>().unwrap_or(0);
        }
    }
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let named: u64 = parts.iter().map(|(_, size)| size).sum();
    let (shown, rest) = parts.split_at(parts.len().min(20));
    for (name, size) in shown {
        println!("{:>8} KiB  {name}", size / 1024);
    }
    println!("{:>8} KiB  other names", rest.iter().map(|(_, size)| size).sum::<u64>() / 1024);
    println!("{:>8} KiB  without a name", whole.saturating_sub(named) / 1024);
    println!("{:>8} KiB  {library}, stripped: {:.2} MB", whole / 1024, whole as f64 / 1e6);
    Ok(())
}
