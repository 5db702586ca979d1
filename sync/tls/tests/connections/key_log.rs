//! A key log that the environment asks for: every secret of a connection in clear, for whoever can set a variable.

use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::KeyLogFile;

use crate::world::{World, exchange, serve_hello};

/// Set for the child process: whose key log it uses.
const WHOSE: &str = "KEEPWELL_TEST_KEY_LOG";

#[test]
fn a_key_log_in_the_environment_is_not_written() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (whose, expected) in [("ours", false), ("that of rustls", true)] {
        let file = folder.path().join(whose);
        connect_in_a_child(&file, whose);
        assert_eq!(file.exists(), expected, "{whose}");
    }
}

/// The variable is read when a connection is made, and a test cannot set it for itself alone.
fn connect_in_a_child(file: &Path, whose: &str) {
    let status = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "key_log::connects_with_the_environment_that_it_has", "--quiet"])
        .env("SSLKEYLOGFILE", file)
        .env(WHOSE, whose)
        .status()
        .expect("this test runs again");
    assert!(status.success());
}

#[test]
fn connects_with_the_environment_that_it_has() {
    let world = World::new();
    let port = serve_hello(&world.server());
    let mut config = world.client().build().expect("two pins");
    if env::var(WHOSE).is_ok_and(|whose| whose != "ours") {
        Arc::make_mut(&mut config).key_log = Arc::new(KeyLogFile::new());
    }
    exchange(&config, port, "").expect("the pinned server");
}
