//! The rules of this tree that no compiler holds: who may know whom, what every crate has, what no
//! file contains, and that the documents speak of what is there.
//!
//! Each test gathers every breach before it fails, so that one run shows them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// A crate's name, the crates of ours that it is built on, and those that only its tests use.
type Edges = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Who may know whom (docs/adr/0001-crates-and-edges.md). Knowledge flows one way, and a new edge is a decision.
const EDGES: &[Edges] = &[
    ("keepwell-fhir", &[], &[]),
    ("keepwell-index", &[], &[]),
    ("keepwell-merge", &["keepwell-fhir"], &[]),
    ("keepwell-sample", &[], &["keepwell-fhir"]),
    ("keepwell-search", &["keepwell-fhir"], &[]),
    ("keepwell-vault", &[], &[]),
    // Its tests switch on a feature of its own, as those of keepwell-tls do.
    ("keepwell-sqlcipher", &[], &["keepwell-sqlcipher"]),
    (
        "keepwell-store",
        &["keepwell-fhir", "keepwell-index", "keepwell-search", "keepwell-sqlcipher", "keepwell-vault"],
        &["keepwell-sample"],
    ),
    ("keepwell-protocol", &["keepwell-fhir"], &[]),
    ("keepwell-backend", &["keepwell-fhir", "keepwell-protocol"], &["keepwell-backend"]),
    ("keepwell-engine", &["keepwell-fhir", "keepwell-merge", "keepwell-protocol"], &[]),
    (
        "keepwell-plain",
        &["keepwell-engine", "keepwell-fhir", "keepwell-merge", "keepwell-protocol"],
        &["keepwell-plain"],
    ),
    (
        "keepwell-backend-sqlcipher",
        &["keepwell-backend", "keepwell-protocol", "keepwell-store"],
        &["keepwell-backend"],
    ),
    (
        "keepwell-simulator",
        &[
            "keepwell-backend",
            "keepwell-backend-sqlcipher",
            "keepwell-client",
            "keepwell-engine",
            "keepwell-fhir",
            "keepwell-protocol",
            "keepwell-sqlcipher",
            "keepwell-store",
        ],
        &[],
    ),
    ("keepwell-tls", &[], &["keepwell-tls"]),
    (
        "keepwell-server",
        &[
            "keepwell-backend",
            "keepwell-backend-sqlcipher",
            "keepwell-fhir",
            "keepwell-protocol",
            "keepwell-search",
            "keepwell-store",
            "keepwell-tls",
            "keepwell-vault",
        ],
        &[],
    ),
    (
        "keepwell-client",
        // A transport to a backend in the same process is a feature of it, for tests and the simulator.
        &[
            "keepwell-backend",
            "keepwell-engine",
            "keepwell-fhir",
            "keepwell-plain",
            "keepwell-protocol",
            "keepwell-store",
            "keepwell-tls",
        ],
        &["keepwell-client", "keepwell-server", "keepwell-tests"],
    ),
    (
        "keepwell",
        // Bare SQLCipher is what its bench compares the store with; extraction and merge are measured alone.
        &[
            "keepwell-backend",
            "keepwell-client",
            "keepwell-fhir",
            "keepwell-merge",
            "keepwell-protocol",
            "keepwell-sample",
            "keepwell-search",
            "keepwell-server",
            "keepwell-sqlcipher",
            "keepwell-store",
            "keepwell-tls",
            "keepwell-vault",
        ],
        &[],
    ),
    ("keepwell-bindgen", &[], &[]),
    (
        "keepwell-capi",
        &["keepwell-client", "keepwell-protocol", "keepwell-store", "keepwell-tls"],
        &["keepwell-tests"],
    ),
    (
        "keepwell-facade",
        &["keepwell-client", "keepwell-protocol", "keepwell-store"],
        &["keepwell-bindgen", "keepwell-tests"],
    ),
    (
        "keepwell-tests",
        &["keepwell-backend", "keepwell-server", "keepwell-tls"],
        &["keepwell-fhir", "keepwell-sample", "keepwell-sqlcipher", "keepwell-store", "keepwell-vault"],
    ),
];

/// Crates without I/O, clock or randomness: these they receive as arguments.
const PURE: &[&str] = &[
    "keepwell-backend",
    "keepwell-engine",
    "keepwell-fhir",
    "keepwell-index",
    "keepwell-merge",
    "keepwell-plain",
    "keepwell-protocol",
    "keepwell-sample",
    "keepwell-search",
];

/// What a pure crate's product code does not mention.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Zoned::now",
];

/// The crates that call C, or that C calls; in the facade only what UniFFI's macros write.
const UNSAFE: &[&str] = &["keepwell-sqlcipher", "keepwell-capi", "keepwell-facade"];

/// Lines of a Rust file that a person wrote. A longer one holds more than one noun.
const FILE_LINES_MAX: usize = 900;

/// Stands in the first line of a file that a program wrote, together with the name of that program.
const GENERATED: &str = "not by hand";

/// What no file of ours contains. Split, so that this file does not either.
const BANNED: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X "),
    concat!("#[ign", "ore"),
    concat!("```ign", "ore"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    // A document that a reader of this tree does not have; requirements are listed in docs/threat-model.md.
    concat!("security", ".md"),
];

/// Folders of the workspace that a document may name in backticks; the rest of such a path must exist.
const NAMED_FOLDERS: &[&str] =
    &["store/", "sync/", "ffi/", "bindings/", "tests/", "docs/", ".ci/", ".cargo/"];

#[test]
fn crates_know_only_whom_the_table_allows() {
    let mut breaches = Vec::new();
    let allowed: BTreeMap<&str, &Edges> = EDGES.iter().map(|edges| (edges.0, edges)).collect();
    let packages = workspace().packages;
    for package in &packages {
        let Some((_, product, tests)) = allowed.get(package.name.as_str()) else {
            breaches.push(format!("{} is not in the table", package.name));
            continue;
        };
        let (known_to_tests, known): (Vec<_>, Vec<_>) = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some())
            .partition(|dependency| dependency.kind == DependencyKind::Development);
        for (what, expected, found) in
            [("is built on", product, known), ("is tested with", tests, known_to_tests)]
        {
            let expected: BTreeSet<&str> = expected.iter().copied().collect();
            let found: BTreeSet<&str> = found.iter().map(|dependency| dependency.name.as_str()).collect();
            if expected != found {
                breaches.push(format!("{} {what} {found:?}, the table says {expected:?}", package.name));
            }
        }
    }
    assert_eq!(packages.len(), EDGES.len(), "a crate of the table is gone");
    report("edges between crates", &breaches);
}

#[test]
fn pure_crates_have_no_io_no_clock_and_no_randomness() {
    let mut breaches = Vec::new();
    for package in workspace().packages.iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let sources = files_under(&folder(package).join("src"), &["rs"]);
        assert!(!sources.is_empty(), "{} has no sources", package.name);
        for file in sources.iter().filter(|file| !file.is_test()) {
            for (number, line) in file.product_lines().filter(|(_, line)| !is_comment(line)) {
                for name in IMPURE.iter().filter(|name| line.contains(**name)) {
                    breaches.push(format!("{}:{number} mentions {name}", file.path));
                }
            }
        }
    }
    report("pure crates", &breaches);
}

#[test]
fn every_crate_has_its_readme_as_documentation_and_forbids_unsafe_code() {
    let mut breaches = Vec::new();
    for package in &workspace().packages {
        let folder = folder(package);
        if !folder.join("README.md").is_file() {
            breaches.push(format!("{} has no README.md", package.name));
        }
        for target in package.targets.iter().filter(|target| is_product(target)) {
            let text = read(target.src_path.as_std_path());
            let name = format!("{} ({})", package.name, target.name);
            let main =
                target.src_path.parent().is_some_and(|parent| parent.as_std_path() == folder.join("src"));
            if main && !text.contains("#![doc = include_str!(\"../README.md\")]") {
                breaches.push(format!("{name} does not show its README as documentation"));
            }
            if !UNSAFE.contains(&package.name.as_str()) && !text.contains("#![forbid(unsafe_code)]") {
                breaches.push(format!("{name} does not forbid unsafe code"));
            }
        }
    }
    report("crate roots", &breaches);
}

#[test]
fn every_manifest_takes_versions_and_lints_from_the_workspace() {
    let mut breaches = Vec::new();
    for package in &workspace().packages {
        let manifest = read(package.manifest_path.as_std_path());
        if !manifest.contains("[lints]\nworkspace = true") {
            breaches.push(format!("{} does not use the workspace lints", package.name));
        }
        let mut in_dependencies = false;
        for line in manifest.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies && !line.contains("workspace = true") && !line.contains("path = \".\"")
            {
                breaches.push(format!("{}: {line}", package.name));
            }
        }
    }
    report("manifests", &breaches);
}

#[test]
fn files_are_short_and_contain_nothing_banned() {
    let mut breaches = Vec::new();
    let files = tree();
    assert!(
        files.iter().any(|file| file.path == "tests/tests/tidy.rs"),
        "the walk of the tree misses this file"
    );
    for file in &files {
        let lines = file.text.lines().count();
        let generated = file.text.lines().next().is_some_and(|line| line.contains(GENERATED));
        if file.path.ends_with(".rs") && !generated && lines > FILE_LINES_MAX {
            breaches.push(format!("{} has {lines} lines", file.path));
        }
        for (index, line) in file.text.lines().enumerate() {
            for banned in BANNED.iter().filter(|banned| line.contains(**banned)) {
                breaches.push(format!("{}:{} contains {banned:?}", file.path, index + 1));
            }
        }
    }
    report("files", &breaches);
}

#[test]
fn migrations_are_numbered_without_gaps_and_all_included() {
    let mut breaches = Vec::new();
    let mut folders: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for file in tree().iter().filter(|file| file.path.contains("/migrations/") && file.path.ends_with(".sql"))
    {
        let path = Path::new(&file.path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
        folders.entry(folder.to_owned()).or_default().push(name.to_string_lossy().into_owned());
    }
    assert!(!folders.is_empty(), "no migrations found");
    for (folder, mut names) in folders {
        names.sort();
        let sources = files_under(&root().join(&folder).join("../src"), &["rs"]);
        for (index, name) in names.iter().enumerate() {
            if !name.starts_with(&format!("{:04}_", index + 1)) {
                breaches.push(format!("{} stands in place {}", folder.join(name).display(), index + 1));
            }
            if !sources.iter().any(|source| source.text.contains(&format!("migrations/{name}\""))) {
                breaches.push(format!("{} is not included by its crate", folder.join(name).display()));
            }
        }
    }
    report("migrations", &breaches);
}

#[test]
fn decisions_are_numbered_and_listed() {
    let mut breaches = Vec::new();
    let index = read(&root().join("docs/adr/README.md"));
    let mut names: Vec<String> = files_under(&root().join("docs/adr"), &["md"])
        .iter()
        .filter_map(|file| Some(Path::new(&file.path).file_name()?.to_string_lossy().into_owned()))
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no decisions found");
    for (place, name) in names.iter().enumerate() {
        if !name.starts_with(&format!("{:04}-", place + 1)) {
            breaches.push(format!("{name} stands in place {}", place + 1));
        }
        if !index.contains(&format!("]({name})")) {
            breaches.push(format!("{name} is not linked from docs/adr/README.md"));
        }
    }
    report("decisions", &breaches);
}

#[test]
fn documents_name_only_paths_that_exist() {
    let mut breaches = Vec::new();
    let documents: Vec<File> = tree().into_iter().filter(|file| file.path.ends_with(".md")).collect();
    assert!(!documents.is_empty(), "no documents found");
    for file in &documents {
        let folder = root().join(&file.path).parent().map(Path::to_owned).unwrap_or_default();
        for link in links(&file.text) {
            if !folder.join(link).exists() {
                breaches.push(format!("{} links to {link}", file.path));
            }
        }
        for path in in_backticks(&file.text).filter(|text| is_path(text)) {
            if !root().join(path).exists() {
                breaches.push(format!("{} names {path}", file.path));
            }
        }
    }
    report("paths in documents", &breaches);
}

#[test]
fn sources_name_only_documents_that_exist() {
    let mut breaches = Vec::new();
    for file in tree().iter().filter(|file| !file.path.ends_with(".md")) {
        for rest in file.text.split("docs/").skip(1) {
            let end = rest.find(|char: char| !char.is_alphanumeric() && !"-_./".contains(char));
            let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            if name.ends_with(".md") && !root().join("docs").join(name).exists() {
                breaches.push(format!("{} names docs/{name}", file.path));
            }
        }
    }
    report("documents named in sources", &breaches);
}

#[test]
fn the_threat_model_answers_every_requirement_with_a_test_that_exists() {
    let mut breaches = Vec::new();
    let tests: BTreeSet<String> = tree()
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .flat_map(|file| test_names(&file.text))
        .collect();
    let document = read(&root().join("docs/threat-model.md"));
    let mut rows = BTreeSet::new();
    for cells in table_rows(&document) {
        let Some(number) = cells[0].strip_prefix("R-").and_then(|number| number.parse::<u32>().ok()) else {
            continue;
        };
        if !rows.insert(number) {
            breaches.push(format!("R-{number:02} has two rows"));
        }
        let Some(proof) = cells.last() else { continue };
        let names: Vec<&str> = in_backticks(proof).filter(|text| is_test_name(text)).collect();
        for name in names.iter().filter(|name| !tests.contains(**name)) {
            breaches.push(format!("R-{number:02} names {name}, which is no test here"));
        }
        let by_script = in_backticks(proof).any(is_path);
        let admits = ["not yet", "not tested", "host"].iter().any(|word| proof.contains(word));
        if names.is_empty() && !by_script && !admits {
            breaches.push(format!("R-{number:02} neither names a test nor says that there is none"));
        }
    }
    for number in (1..=69).chain(89..=127).filter(|number| !rows.contains(number)) {
        breaches.push(format!("R-{number:02} has no row"));
    }
    report("requirements", &breaches);
}

#[test]
fn error_codes_in_the_code_are_those_of_the_document() {
    let document = read(&root().join("docs/error-codes.md"));
    let documented: BTreeSet<(u16, String)> = table_rows(&document)
        .filter_map(|cells| Some((cells[0].parse().ok()?, in_backticks(cells[1]).next()?.to_owned())))
        .collect();
    let mut coded = BTreeSet::new();
    for file in tree().iter().filter(|file| !file.is_test()) {
        coded.extend(error_codes(&file.text));
    }
    assert!(!coded.is_empty(), "no error codes found");
    let mut breaches = Vec::new();
    for (code, name) in coded.difference(&documented) {
        breaches.push(format!("{code} {name} is not in docs/error-codes.md"));
    }
    for (code, name) in documented.difference(&coded) {
        breaches.push(format!("{code} {name} is not in the code"));
    }
    report("error codes", &breaches);
}

#[test]
fn an_error_code_means_one_thing() {
    let mut meanings: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for file in tree().iter().filter(|file| !file.is_test()) {
        for (code, name) in error_codes(&file.text) {
            meanings.entry(code).or_default().insert(name);
        }
    }
    let breaches: Vec<String> = meanings
        .iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(code, names)| format!("{code} means {names:?}"))
        .collect();
    report("error codes", &breaches);
}

/// A text file of the tree; `path` is relative to the root.
struct File {
    path: String,
    text: String,
}

impl File {
    /// Whether all of it is test code.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The numbered lines before the unit tests.
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .zip(1..)
            .map(|(line, at)| (at, line))
    }
}

fn report(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes its own workspace")
}

fn folder(package: &Package) -> PathBuf {
    package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path().to_owned()
}

/// Libraries and programs, as opposed to tests, examples, benches and build scripts.
fn is_product(target: &cargo_metadata::Target) -> bool {
    target.is_lib() || target.is_bin()
}

/// Every text file that is ours: no build output, no hidden folder but those of cargo and CI.
fn tree() -> Vec<File> {
    let mut files = files_under(&root().join("store"), TEXT);
    for folder in ["sync", "ffi", "bindings", "tests", "docs", ".ci", ".cargo"] {
        files.extend(files_under(&root().join(folder), TEXT));
    }
    for entry in fs::read_dir(root()).expect("the root can be listed").flatten() {
        // A work tree of git has a file of that name, which is not ours.
        if entry.path().is_file() && entry.file_name() != ".git" {
            files.extend(file(&entry.path(), TEXT));
        }
    }
    files
}

/// Endings of text files; scripts have none.
const TEXT: &[&str] = &["rs", "sql", "toml", "md", ""];

fn files_under(folder: &Path, endings: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(files_under(&path, endings));
        } else {
            files.extend(file(&path, endings));
        }
    }
    files
}

fn file(path: &Path, endings: &[&str]) -> Option<File> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
    if !endings.contains(&ending.as_str()) {
        return None;
    }
    let path = path.canonicalize().ok()?;
    let text = fs::read_to_string(&path).ok()?;
    let path = path.strip_prefix(root().canonicalize().ok()?).ok()?.to_string_lossy().into_owned();
    Some(File { path, text })
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Targets of `[text](target)` that are files: no address, no place in the same document.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#', ' ']).next()?;
        let is_file = !target.is_empty() && !target.contains("://") && !target.starts_with("crate::");
        is_file.then_some(target)
    })
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("```")).flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn is_path(text: &str) -> bool {
    NAMED_FOLDERS.iter().any(|folder| text.starts_with(folder))
        && !text.contains(|char: char| " *<>{}".contains(char))
}

fn is_test_name(text: &str) -> bool {
    text.contains('_') && text.chars().all(|char| matches!(char, 'a'..='z' | '0'..='9' | '_'))
}

/// The names of the test functions in a source file.
fn test_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = text.lines();
    while lines.any(|line| line.trim() == "#[test]") {
        let Some(line) = lines.by_ref().find(|line| line.contains("fn ")) else { break };
        let name = line.split_once("fn ").and_then(|(_, rest)| rest.split(['(', '<']).next());
        names.extend(name.map(str::to_owned));
    }
    names
}

/// The cells of each row of each Markdown table, headings included.
fn table_rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect())
}

/// The arms `Self::Name … => 123` of each `fn code(&self) -> u16`.
fn error_codes(text: &str) -> Vec<(u16, String)> {
    let mut codes = Vec::new();
    for function in text.split("fn code(&self) -> u16 {").skip(1) {
        let body = function.split("\n    }").next().unwrap_or_default();
        let arms: Vec<&str> = body.split("=>").collect();
        for pair in arms.windows(2) {
            let digits: String = pair[1].trim_start().chars().take_while(char::is_ascii_digit).collect();
            let Ok(code) = digits.parse() else { continue };
            for name in pair[0].split("Self::").skip(1) {
                let name: String = name.chars().take_while(|char| char.is_alphanumeric()).collect();
                codes.push((code, name));
            }
        }
    }
    codes
}

#[test]
fn error_codes_are_read_from_every_arm() {
    let source = "fn code(&self) -> u16 {
        match self {
            Self::One(_) | Self::Two { .. } => 101,
            Self::Inner(inner) => inner.code(),
            Self::Three => 102,
        }
    }";
    let expected = [(101, "One"), (101, "Two"), (102, "Three")].map(|(code, name)| (code, name.to_owned()));
    assert_eq!(error_codes(source), expected);
}
