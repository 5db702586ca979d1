//! The header that C programs include is the one that this crate's functions ask for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bindings/c/include/keepwell.h")
}

/// `UPDATE_EXPECT=1` writes it anew. A change of what is there already asks for a new `KEEPWELL_ABI_VERSION`.
#[test]
fn the_header_is_what_cbindgen_writes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(directory.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(directory).with_config(config).generate().unwrap();
    let mut written = Vec::new();
    bindings.write(&mut written);
    let written = String::from_utf8(written).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(header(), &written).unwrap();
    }
    assert!(
        std::fs::read_to_string(header()).unwrap_or_default() == written,
        "run UPDATE_EXPECT=1 cargo test -p keepwell-capi --test header"
    );
}

/// What a header declares, without comments; the first line is its version.
fn declared(header: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    let (mut version, mut declaration, mut depth) = (String::new(), String::new(), 0);
    for line in header.lines().map(str::trim) {
        if line.starts_with("#define KEEPWELL_ABI_VERSION ") {
            line.clone_into(&mut version);
        } else if line.starts_with("#define ") && line.split(' ').count() > 2 {
            found.insert(line.to_owned());
        }
        let is_text = line.is_empty() || line.starts_with("//") || line.starts_with("/*");
        if is_text
            || line.starts_with('#')
            || line.starts_with("extern \"C\"")
            || line.starts_with("}  // extern")
        {
            continue;
        }
        declaration = format!("{declaration} {line}");
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
        if depth == 0 && line.ends_with(';') {
            found.insert(declaration.split_whitespace().collect::<Vec<_>>().join(" "));
            declaration.clear();
        }
    }
    assert!(declaration.is_empty() && !version.is_empty());
    [version].into_iter().chain(found).collect()
}

/// `abi.txt` has what the header declared when this version began, and what came to it since. `UPDATE_EXPECT=1` adds to it;
/// what is gone or another wants a new `KEEPWELL_ABI_VERSION` first, with which the file begins anew.
#[test]
fn what_a_version_of_the_abi_has_declared_stays() {
    let file = header().with_file_name("../abi.txt");
    let now = declared(&std::fs::read_to_string(header()).unwrap());
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let known: Vec<String> = known.lines().map(str::to_owned).collect();
    if known.first() == now.first() {
        let gone: Vec<_> = known.iter().filter(|declaration| !now.contains(declaration)).collect();
        assert!(gone.is_empty(), "another KEEPWELL_ABI_VERSION is needed without {gone:#?}");
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, now.join("\n") + "\n").unwrap();
    } else {
        assert!(known == now, "run UPDATE_EXPECT=1 cargo test -p keepwell-capi --test header");
    }
}

/// The functions of the header.
fn promised() -> BTreeSet<String> {
    let header = std::fs::read_to_string(header()).unwrap();
    let promised: BTreeSet<String> = header
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("keepwell_") && header.contains(&format!("{word}(")))
        .map(str::to_owned)
        .collect();
    assert!(promised.len() > 30, "{promised:?}");
    promised
}

#[test]
fn the_face_in_cpp_has_everything_that_the_header_has() {
    let face = std::fs::read_to_string(header().with_extension("hpp")).unwrap();
    let used: BTreeSet<_> = face.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let missing: Vec<_> = promised().into_iter().filter(|name| !used.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What the small build leaves out of SQLite comes after what every build asks of it.
#[test]
fn the_small_build_has_the_flags_of_every_build() {
    let flags = |file: &str| {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("LIBSQLITE3_FLAGS = \"")).unwrap();
        line.trim_end_matches('"').to_owned()
    };
    let (every, small) = (flags(".cargo/config.toml"), flags("bindings/small.toml"));
    assert!(small.starts_with(&format!("{every} -U")), "{small}");
}

/// A host that has an SQLite of its own must not meet ours.
#[cfg(target_os = "linux")]
#[test]
fn the_library_shows_its_own_functions_and_nothing_else() {
    let library = std::env::current_exe().unwrap().with_file_name("libkeepwell_c.so");
    let listed = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().unwrap();
    assert!(listed.status.success());
    let shown: BTreeSet<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect();
    assert_eq!(shown, promised());
}
