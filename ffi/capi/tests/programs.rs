//! Programs against the library: C and C++ compiled with all warnings as errors, run as they are, under address
//! sanitizer and under valgrind; Python.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what is missing is said aloud")]
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keepwell_tests::{Clinic, succeeds};

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

/// Compiles and runs a program of bindings/c that takes the directory of a store that is not there yet, and more.
fn check(compiler: &str, source: &str, options: &[&str], more: &[&str], says: &str) {
    if !is_there(compiler) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = compile(compiler, source, options, scratch.path());
    let said = succeeds(Command::new(program).arg(scratch.path().join("store")).args(more));
    assert!(said.contains(says), "{said}");
}

/// Runs a program that syncs two devices with a server of its own, up to their wipe.
fn sync(program: &mut Command, scratch: &Path) {
    let clinic = Clinic::start();
    program.arg(scratch.join("store")).arg(clinic.invite("ann", "p1")).arg(clinic.invite("ben", "p1"));
    program.arg(clinic.pins());
    let mut child =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    clinic.wipe_devices();
    // One that has failed meanwhile no longer listens, and says why below.
    let _ = child.stdin.take().unwrap().write_all(b"\n");
    said.read_to_string(&mut line).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{program:?}: {line}{}", String::from_utf8_lossy(&done.stderr));
    assert!(line.starts_with("ready to be wiped\n") && line.contains("both devices did what they should"));
}

const C: &str = "-std=c11";
const CPP: &str = "-std=c++17";
const SANITIZED: &str = "-fsanitize=address,undefined";
const POSIX: &str = "-D_POSIX_C_SOURCE=200809L";

#[test]
fn the_journey_holds_in_c() {
    for compiler in ["gcc", "clang"] {
        check(compiler, "tests/journey.c", &[C], &[], "the journey held");
        check(compiler, "tests/journey.c", &[C, SANITIZED], &[], "the journey held");
    }
}

#[test]
fn the_journey_holds_in_cpp() {
    for compiler in ["g++", "clang++"] {
        check(compiler, "tests/journey.cpp", &[CPP], &[], "the journey held");
        check(compiler, "tests/journey.cpp", &[CPP, SANITIZED], &[], "the journey held");
    }
}

/// What sync with a plain FHIR server needs: its address, who vouches for it, a token.
fn plain(clinic: &Clinic) -> [String; 3] {
    [clinic.fhir_address(), clinic.authorities(), clinic.token().to_owned()]
}

#[test]
fn an_app_in_c_gives_tokens_for_a_plain_fhir_server() {
    let clinic = Clinic::start();
    let plain = plain(&clinic);
    let plain = [&*plain[0], &plain[1], &plain[2]];
    check("gcc", "tests/fhir.c", &[C, POSIX, SANITIZED], &plain, "every token was asked for");
}

#[test]
fn an_app_in_cpp_gives_tokens_for_a_plain_fhir_server() {
    let clinic = Clinic::start();
    let plain = plain(&clinic);
    let plain = [&*plain[0], &plain[1], &plain[2]];
    check("g++", "tests/fhir.cpp", &[CPP, SANITIZED], &plain, "every token was asked for");
}

#[test]
fn a_program_in_python_gives_tokens_for_a_plain_fhir_server() {
    if is_there("python3") {
        let (clinic, scratch) = (Clinic::start(), tempfile::tempdir().unwrap());
        let program = bindings().join("../python/tests/fhir.py");
        let said = succeeds(python().arg(program).arg(scratch.path().join("store")).args(plain(&clinic)));
        assert!(said.contains("every token was asked for"), "{said}");
    }
}

#[test]
fn two_devices_sync_in_c_and_cpp() {
    for (compiler, source, options) in [
        ("gcc", "tests/sync.c", &[C, SANITIZED][..]),
        ("clang", "tests/sync.c", &[C]),
        ("g++", "tests/sync.cpp", &[CPP, SANITIZED]),
        ("clang++", "tests/sync.cpp", &[CPP]),
    ] {
        if is_there(compiler) {
            let scratch = tempfile::tempdir().unwrap();
            let program = compile(compiler, source, options, scratch.path());
            sync(&mut Command::new(program), scratch.path());
        }
    }
}

#[test]
fn every_mistake_gets_its_code() {
    for compiler in ["gcc", "clang"] {
        check(compiler, "tests/abuse.c", &[C, POSIX], &[], "every mistake got its code");
        check(compiler, "tests/abuse.c", &[C, POSIX, SANITIZED], &[], "every mistake got its code");
    }
}

/// Calls for each seed of the fuzzer; `KEEPWELL_FUZZ_CALLS` sets another number.
const CALLS: u64 = 2_000;
/// How many threads make them, and with what seed.
const FUZZED: [(u64, u64); 3] = [(1, 1), (2, 1), (3, 4)];

/// `KEEPWELL_FUZZ_SEED` adds to each seed.
#[test]
fn any_sequence_of_calls_gets_codes() {
    let compiler = "gcc";
    if !is_there(compiler) {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let calls = number("KEEPWELL_FUZZ_CALLS").unwrap_or(CALLS);
    let more = number("KEEPWELL_FUZZ_SEED").unwrap_or(0);
    let scratch = tempfile::tempdir().unwrap();
    let program = compile(compiler, "tests/fuzz.c", &[C, POSIX, SANITIZED], scratch.path());
    let clinic = Clinic::start();
    for (seed, threads) in FUZZED {
        let folder = tempfile::tempdir().unwrap();
        let numbers = [seed + more, calls / threads, threads].map(|number| number.to_string());
        let said = succeeds(
            Command::new(&program)
                .arg(folder.path())
                .args(numbers)
                .arg(clinic.invite("ann", "p"))
                .args(plain(&clinic)),
        );
        assert!(said.contains("every call got its code"), "{said}");
    }
}

#[test]
fn the_journey_leaks_and_overruns_nothing() {
    if !is_there("valgrind") || !is_there("gcc") || !is_there("g++") {
        return;
    }
    let [scratch, beside] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let in_c = compile("gcc", "tests/journey.c", &[C], scratch.path());
    let in_cpp = compile("g++", "tests/journey.cpp", &[CPP], beside.path());
    // The parts in C take a minute each, so all run at once. In C++ more than one would tell nothing more of its header.
    let parts = [(&in_c, "records"), (&in_c, "keys"), (&in_cpp, "mistakes")].map(|(program, part)| {
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--quiet", "--error-exitcode=1", "--leak-check=full", "--errors-for-leak-kinds=definite"])
            .arg(program)
            .args([scratch.path().join(part).as_os_str(), part.as_ref()]);
        std::thread::spawn(move || succeeds(&mut valgrind))
    });
    for part in parts {
        let said = part.join().unwrap();
        assert!(said.contains("the journey held"), "{said}");
    }
}

/// A Python program that finds the package and the library; warnings are errors.
fn python() -> Command {
    let mut program = Command::new("python3");
    program
        .args(["-W", "error"])
        .env("PYTHONPATH", bindings().join("../python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KEEPWELL_LIBRARY", library().join("libkeepwell_c.so"));
    program
}

#[test]
fn the_journey_holds_in_python() {
    if is_there("python3") {
        let package = bindings().join("../python");
        succeeds(python().args(["-m", "unittest", "discover", "-s", "tests"]).current_dir(package));
    }
}

#[test]
fn the_examples_in_python_do_what_they_say() {
    if !is_there("python3") {
        return;
    }
    let (examples, scratch) = (bindings().join("../python/examples"), tempfile::tempdir().unwrap());
    let said = succeeds(python().arg(examples.join("quick_start.py")).arg(scratch.path().join("quick")));
    assert!(said.contains("Example"), "{said}");

    let records = scratch.path().join("records.ndjson");
    let pulses = [(1, 60), (2, 110), (3, 85)].map(|(day, value)| {
        format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4"}}]}},"subject":{{"reference":"Patient/p"}},"effectiveDateTime":"2026-11-0{day}","valueQuantity":{{"value":{value},"unit":"/min"}}}}"#
        )
    });
    std::fs::write(&records, pulses.join("\n")).unwrap();
    let report = examples.join("report.py");
    let said =
        succeeds(python().arg(report).arg(scratch.path().join("report")).arg(records).args(["p", "8867-4"]));
    // The lowest at the left, the highest at the right, the third in the middle.
    let places: Vec<_> = said.lines().filter_map(|line| line.find('*')).collect();
    assert!(places.len() == 3 && places[0] < places[2] && places[2] < places[1], "{said}");
}

#[test]
fn two_devices_sync_in_python() {
    if is_there("python3") {
        let scratch = tempfile::tempdir().unwrap();
        sync(python().arg(bindings().join("../python/tests/sync.py")), scratch.path());
    }
}

#[test]
fn the_examples_do_what_they_say() {
    if !is_there("gcc") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let program = compile("gcc", "examples/quick_start.c", &[C], scratch.path());
    let said = succeeds(Command::new(program).arg(scratch.path().join("quick")));
    assert!(said.contains("\"gender\":\"female\""), "{said}");

    let program = compile("gcc", "examples/importer.c", &[C], scratch.path());
    let records = scratch.path().join("records.ndjson");
    let patients = r#"{"resourceType":"Patient","id":"a"}
{"resourceType":"Patient","id":"b"}
"#;
    std::fs::write(&records, patients).unwrap();
    for expected in ["\"created\":2", "\"unchanged\":2"] {
        let said = succeeds(
            Command::new(&program)
                .env("KEEPWELL_PASSCODE", "a passphrase of some length")
                .arg(scratch.path().join("import"))
                .arg(&records),
        );
        assert!(said.contains(expected) && said.contains("\"total\":2"), "{said}");
    }
}
