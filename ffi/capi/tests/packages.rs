//! What users install does what its README says: a C library found by pkg-config and by CMake, a Python wheel.
//!
//! The libraries are those that these tests are built with. What could not be had is said, and why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what is missing is said aloud")]
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use keepwell_tests::succeeds;

fn bindings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bindings").canonicalize().unwrap()
}

fn is_there(tool: &str, question: &[&str]) -> bool {
    let there = Command::new(tool).args(question).output().is_ok_and(|output| output.status.success());
    if !there {
        println!("not run: {tool} {} does not work here", question.join(" "));
    }
    there
}

/// A script of the bindings, for the libraries that cargo built for these tests.
fn install(script: &str, out: &Path) -> Command {
    let mut command = Command::new(bindings().join(script));
    command.arg(out).arg(std::env::current_exe().unwrap().parent().unwrap());
    command
}

fn finds_a_patient(program: &mut Command, store: &Path) {
    let said = succeeds(program.arg(store));
    assert!(said.contains("\"gender\":\"female\""), "{said}");
}

#[test]
fn c_programs_find_the_installed_library() {
    if !is_there("gcc", &["--version"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (prefix, examples) = (scratch.path().join("prefix"), bindings().join("c/examples"));
    succeeds(&mut install("c/install", &prefix));
    if is_there("pkg-config", &["--version"]) {
        let flags = succeeds(
            Command::new("pkg-config")
                .args(["--cflags", "--libs", "keepwell >= 0.1"])
                .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")),
        );
        for (compiler, source) in [("gcc", "quick_start.c"), ("g++", "quick_start.cpp")] {
            if !is_there(compiler, &["--version"]) {
                continue;
            }
            let program = scratch.path().join(format!("{source}.out"));
            succeeds(
                Command::new(compiler)
                    .arg(examples.join(source))
                    .args(flags.split_whitespace())
                    .arg("-o")
                    .arg(&program),
            );
            let mut program = Command::new(program);
            finds_a_patient(
                program.env("LD_LIBRARY_PATH", prefix.join("lib")),
                &scratch.path().join(compiler),
            );
        }
    }
    if is_there("cmake", &["--version"]) && is_there("c++", &["--version"]) {
        let build = scratch.path().join("build");
        succeeds(
            Command::new("cmake")
                .arg("-S")
                .arg(&examples)
                .arg("-B")
                .arg(&build)
                .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())),
        );
        succeeds(Command::new("cmake").arg("--build").arg(&build));
        for program in ["quick_start", "quick_start_cpp"] {
            finds_a_patient(&mut Command::new(build.join(program)), &scratch.path().join(program));
        }
        let records = scratch.path().join("records.ndjson");
        std::fs::write(&records, r#"{"resourceType":"Patient","id":"a"}"#).unwrap();
        let mut importer = Command::new(build.join("importer"));
        importer.env("KEEPWELL_PASSCODE", "a passphrase of some length");
        let said = succeeds(importer.arg(scratch.path().join("three")).arg(&records));
        assert!(said.contains("\"created\":1"), "{said}");
    }
}

#[test]
fn the_wheel_runs_in_an_environment_of_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let [home, fetched, wheels] = ["home", "fetched", "wheels"].map(|name| scratch.path().join(name));
    if !is_there("python3", &["-m", "venv", home.to_str().unwrap()]) {
        return;
    }
    // The wheel is made with setuptools, which pip fetches.
    let python = home.join("bin/python");
    let fetch = ["-m", "pip", "download", "--quiet", "--no-deps", "setuptools>=68", "--dest"];
    if !is_there(python.to_str().unwrap(), &[&fetch[..], &[fetched.to_str().unwrap()]].concat()) {
        return;
    }
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
    succeeds(install("python/install", &wheels).env("PATH", path));
    let wheel = std::fs::read_dir(wheels).unwrap().next().unwrap().unwrap().path();
    let name = wheel.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("keepwell-0.1.0-py3-none-linux_"), "{name}");

    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    succeeds(Command::new(&python).args(pip).arg("--no-index").arg(&wheel).current_dir(&home));
    let example = bindings().join("python/examples/quick_start.py");
    let said = succeeds(Command::new(&python).arg(example).arg(scratch.path().join("store")));
    assert!(said.contains("Example"), "{said}");

    let extra = format!("{}[pandas]", wheel.display());
    if !is_there(python.to_str().unwrap(), &[&pip[..], &[extra.as_str()]].concat()) {
        return;
    }
    let frame = bindings().join("python/tests/frame.py");
    let said = succeeds(Command::new(&python).arg(frame).arg(scratch.path().join("frame")));
    assert!(said.contains("the frame holds"), "{said}");
}
