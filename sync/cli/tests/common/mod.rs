//! The built program, a folder to work in, and a keychain of files.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use keepwell_sample::Sample;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSCODE: &str = "a long passcode 2580";

/// A place for one store, and the program.
pub(crate) struct Desk {
    home: TempDir,
    keychain: Option<String>,
    store: PathBuf,
}

impl Desk {
    /// With a keychain of files.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let keychain = Some(format!("file:{}", home.path().join("keys").display()));
        let store = home.path().join("store");
        Self { home, keychain, store }
    }

    /// With the choice of keychain that `--keychain` takes; `None` leaves the option out.
    pub(crate) fn with_keychain(choice: Option<&str>) -> Self {
        Self { keychain: choice.map(str::to_owned), ..Self::new() }
    }

    /// With an empty store.
    pub(crate) fn initialised() -> Self {
        let desk = Self::new();
        desk.ok(["init"]);
        desk
    }

    /// With a store of made-up patients.
    pub(crate) fn filled(patients: u64) -> Self {
        let desk = Self::initialised();
        desk.ok(["import", desk.write("sample.ndjson", &ndjson(patients))]);
        desk
    }

    /// The same folder, but another store in it.
    pub(crate) fn use_store(&mut self, name: &str) {
        self.store = self.home.path().join(name);
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.home.path().join(name).into_os_string().into_string().unwrap()
    }

    /// Writes a file and says where it is.
    pub(crate) fn write(&self, name: &str, content: &str) -> &'static str {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        // A test may keep a few names for its time.
        path.leak()
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepwell"));
        command.arg("--store").arg(&self.store);
        if let Some(keychain) = &self.keychain {
            command.args(["--keychain", keychain]);
        }
        command.args(["--user", "dr.test"]).args(arguments);
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", self.home.path());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs what must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {errors}", output.status.code());
        String::from_utf8(output.stdout).unwrap()
    }

    /// As [`Desk::ok`], with `--json`.
    #[track_caller]
    pub(crate) fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        let mut all: Vec<_> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        all.push("--json".into());
        serde_json::from_str(&self.ok(all)).unwrap()
    }

    /// Runs with `input` on standard input.
    pub(crate) fn feed<A: AsRef<OsStr>>(
        &self,
        input: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs what must fail with this exit code and this number of an error, and returns what it said.
    #[track_caller]
    pub(crate) fn fails<A: AsRef<OsStr>>(
        &self,
        exit: i32,
        error: u16,
        arguments: impl IntoIterator<Item = A>,
    ) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{said}");
        assert!(said.starts_with(&format!("error {error}: ")), "{said}");
        said
    }

    /// The id of the first patient of [`ndjson`].
    pub(crate) fn patient(&self) -> String {
        let line = Sample::new(7, (2026, 11, 22)).resources(1).find(|line| is_patient(line)).unwrap();
        let patient: Value = serde_json::from_str(&line).unwrap();
        patient["id"].as_str().unwrap().to_owned()
    }
}

fn is_patient(line: &str) -> bool {
    line.starts_with(r#"{"resourceType":"Patient","#)
}

/// Made-up patients, one resource a line.
pub(crate) fn ndjson(patients: u64) -> String {
    Sample::new(7, (2026, 11, 22)).resources(patients).map(|line| line + "\n").collect()
}
