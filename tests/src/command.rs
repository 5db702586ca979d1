//! Programs that tests run.

use std::process::Command;

/// Runs a command to its end and says what it printed. Panics with all of that when it fails.
pub fn succeeds(command: &mut Command) -> String {
    let done = command.output().expect("the program can be started");
    let [said, complained] = [&done.stdout, &done.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(done.status.success(), "{command:?}: {said}\n{complained}");
    said.into_owned()
}
