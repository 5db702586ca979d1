//! Programs against the library: C and C++ compiled with all warnings as errors, run as they are, under address
//! sanitizer and under valgrind; Python.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what is missing is said aloud")]
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

const FLAGS: [&str; 7] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-O1", "-g"];

fn bindings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bindings/c")
}

/// Where cargo puts the shared library that these tests are built with.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

fn is_there(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("not run: {tool} is not installed");
    }
    there
}

fn compile(compiler: &str, source: &str, options: &[&str], scratch: &Path) -> PathBuf {
    let out = scratch.join("program");
    let compiled = Command::new(compiler)
        .args(FLAGS)
        .args(options)
        .arg(format!("-I{}", bindings().join("include").display()))
        .arg(bindings().join(source))
        .arg(format!("-L{}", library().display()))
        .arg(format!("-Wl,-rpath,{}", library().display()))
        .args(["-lkeepwell_c", "-lpthread", "-o"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{source}: {}", String::from_utf8_lossy(&compiled.stderr));
    out
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(
        done.status.success(),
        "{command:?}: {}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

/// Compiles and runs a program of bindings/c that takes the directory of a store that is not there yet.
fn check(compiler: &str, source: &str, options: &[&str], says: &str) {
    if !is_there(compiler) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = compile(compiler, source, options, scratch.path());
    let said = run(Command::new(program).arg(scratch.path().join("store")));
    assert!(said.contains(says), "{said}");
}

const C: &str = "-std=c11";
const CPP: &str = "-std=c++17";
const SANITIZED: &str = "-fsanitize=address,undefined";
const POSIX: &str = "-D_POSIX_C_SOURCE=200809L";

#[test]
fn the_journey_holds_in_c() {
    for compiler in ["gcc", "clang"] {
        check(compiler, "tests/journey.c", &[C], "the journey held");
        check(compiler, "tests/journey.c", &[C, SANITIZED], "the journey held");
    }
}

#[test]
fn the_journey_holds_in_cpp() {
    for compiler in ["g++", "clang++"] {
        check(compiler, "tests/journey.cpp", &[CPP], "the journey held");
    }
}

#[test]
fn every_mistake_gets_its_code() {
    for compiler in ["gcc", "clang"] {
        check(compiler, "tests/abuse.c", &[C, POSIX], "every mistake got its code");
        check(compiler, "tests/abuse.c", &[C, POSIX, SANITIZED], "every mistake got its code");
    }
}

#[test]
fn the_journey_leaks_and_overruns_nothing() {
    if !is_there("valgrind") || !is_there("gcc") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = compile("gcc", "tests/journey.c", &[C], scratch.path());
    let said = run(Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=1", "--leak-check=full", "--errors-for-leak-kinds=definite"])
        .arg(program)
        .arg(scratch.path().join("store")));
    assert!(said.contains("the journey held"), "{said}");
}

#[test]
fn the_journey_holds_in_python() {
    if !is_there("python3") {
        return;
    }
    let package = bindings().join("../python");
    let mut tests = Command::new("python3");
    tests
        .args(["-W", "error", "-m", "unittest", "discover", "-s", "tests"])
        .current_dir(&package)
        .env("PYTHONPATH", ".")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEEPWELL_LIBRARY", library().join("libkeepwell_c.so"));
    run(&mut tests);

    let scratch = tempfile::tempdir().unwrap();
    let mut example = Command::new("python3");
    example
        .arg(package.join("examples/quick_start.py"))
        .arg(scratch.path().join("store"))
        .env("PYTHONPATH", &package)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEEPWELL_LIBRARY", library().join("libkeepwell_c.so"));
    let said = run(&mut example);
    assert!(said.contains("Example"), "{said}");
}

#[test]
fn the_examples_do_what_they_say() {
    if !is_there("gcc") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = compile("gcc", "examples/quick_start.c", &[C], scratch.path());
    let said = run(Command::new(program).arg(scratch.path().join("quick")));
    assert!(said.contains("\"gender\":\"female\""), "{said}");

    let program = compile("gcc", "examples/importer.c", &[C], scratch.path());
    let records = scratch.path().join("records.ndjson");
    let patients = r#"{"resourceType":"Patient","id":"a"}
{"resourceType":"Patient","id":"b"}
"#;
    std::fs::write(&records, patients).unwrap();
    for expected in ["\"created\":2", "\"unchanged\":2"] {
        let said = run(Command::new(&program)
            .env("KEEPWELL_PASSCODE", "a passphrase of some length")
            .arg(scratch.path().join("import"))
            .arg(&records));
        assert!(said.contains(expected) && said.contains("\"total\":2"), "{said}");
    }
}
