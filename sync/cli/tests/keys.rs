//! Who gets in: passcodes, locks, rotations, recovery, archives, quarantine.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Desk, PASSCODE};

/// A filled store with a passcode, and the file that has it.
fn with_passcode() -> (Desk, &'static str) {
    let desk = Desk::filled(1);
    let file = desk.write("passcode", PASSCODE);
    desk.ok(["passcode", "set", "--new-passcode-file", file]);
    (desk, file)
}

#[test]
fn a_passcode_is_needed_checked_counted_and_removed() {
    let (desk, right) = with_passcode();
    let wrong = desk.write("wrong", "0000\n");
    desk.fails(3, 204, ["stats"]);
    desk.fails(3, 205, ["stats", "--passcode-file", wrong]);
    desk.ok(["stats", "--passcode-file", right]);
    assert!(desk.feed(PASSCODE, ["stats", "--passcode-file", "-"]).status.success());

    for _ in 0..3 {
        desk.fails(3, 205, ["stats", "--passcode-file", wrong]);
    }
    assert!(desk.fails(3, 205, ["stats", "--passcode-file", wrong]).contains("try again in 30 s"));
    assert!(desk.fails(3, 206, ["stats", "--passcode-file", right]).contains("try again in"));

    let (desk, right) = with_passcode();
    desk.ok(["passcode", "remove", "--passcode-file", right]);
    desk.ok(["stats"]);
}

#[test]
fn an_unlock_is_remembered_until_the_lock_but_not_for_what_destroys() {
    let (desk, right) = with_passcode();
    desk.ok(["unlock", "--passcode-file", right]);
    desk.ok(["stats"]);
    desk.fails(3, 204, ["rotate", "--key", "kek"]);
    desk.fails(3, 204, ["export"]);
    desk.ok(["stats"]);
    desk.ok(["lock"]);
    desk.fails(3, 204, ["stats"]);
    desk.fails(3, 227, ["unlock", "--minutes", "31", "--passcode-file", right]);

    let open = Desk::initialised();
    assert!(open.ok(["lock"]).contains("the keychain alone opens the store"));
    open.ok(["stats"]);
}

#[test]
fn a_store_without_keychain_takes_its_passphrase_each_time() {
    let desk = Desk::with_keychain(Some("none"));
    desk.fails(3, 204, ["init"]);
    assert!(!desk.store().exists());
    let file = desk.write("passphrase", PASSCODE);
    desk.ok(["init", "--passcode-file", file]);
    assert!(desk.ok(["unlock", "--passcode-file", file]).contains("each time"));
    desk.fails(3, 204, ["stats"]);
    desk.ok(["stats", "--passcode-file", file]);
}

#[test]
fn without_the_keychain_of_the_system_no_store_is_made() {
    let desk = Desk::with_keychain(None);
    desk.fails(3, 214, ["init"]);
    assert!(!desk.store().exists());
}

#[test]
fn keys_are_rotated_and_the_data_stays() {
    let (desk, right) = with_passcode();
    let resources = desk.json(["stats", "--passcode-file", right])["resources"].clone();
    for key in ["kek", "database", "kek"] {
        desk.ok(["rotate", "--key", key, "--passcode-file", right]);
    }
    assert_eq!(desk.json(["stats", "--passcode-file", right])["resources"], resources);
    assert_eq!(desk.json(["verify", "--passcode-file", right])["sound"], true);
}

#[test]
fn the_recovery_passphrase_brings_a_store_back_whose_keychain_is_lost() {
    let desk = Desk::filled(1);
    let short = desk.write("short", "too short");
    desk.fails(3, 208, ["recover", "set", "--passphrase-file", short]);
    let phrase = desk.ok(["recover", "set", "--generate"]);
    let phrase = desk.write("phrase", &phrase);
    std::fs::remove_dir_all(desk.path("keys")).unwrap();
    desk.fails(3, 211, ["stats"]);
    let wrong = desk.write("wrong", "another passphrase");
    desk.fails(3, 209, ["recover", "use", "--passphrase-file", wrong]);
    desk.ok(["recover", "use", "--passphrase-file", phrase]);
    assert_eq!(desk.json(["stats"])["patients"], 1);
}

#[test]
fn an_archive_is_restored_elsewhere_with_its_passphrase_alone() {
    let mut desk = Desk::filled(2);
    let stats = desk.json(["stats"]);
    let phrase = desk.write("phrase", "the passphrase of the archive");
    let archive = desk.path("all.keepwell");
    desk.ok(["archive", &archive, "--passphrase-file", phrase]);
    desk.fails(5, 521, ["archive", &archive, "--passphrase-file", phrase]);

    desk.use_store("restored");
    let wrong = desk.write("wrong", "another passphrase than that");
    desk.fails(1, 118, ["restore", &archive, "--passphrase-file", wrong]);
    assert!(!desk.store().exists());
    desk.ok(["restore", &archive, "--passphrase-file", phrase]);
    let restored = desk.json(["stats"]);
    for what in ["resources", "types", "superseded", "last_change"] {
        assert_eq!(restored[what], stats[what], "{what}");
    }
    assert_eq!(desk.json(["verify"])["sound"], true);
}

#[test]
fn a_quarantined_store_is_kept_counted_and_let_out() {
    let mut desk = Desk::filled(1);
    assert!(desk.json(["quarantine", "status"])["quarantine"].is_null());
    let changes = desk.json(["stats"])["last_change"].clone();
    assert_eq!(desk.json(["quarantine", "mark"])["quarantine"]["unsynced"], changes);
    desk.fails(3, 224, ["stats"]);
    desk.fails(5, 520, ["doctor"]);
    desk.ok(["quarantine", "lift"]);
    desk.ok(["stats"]);
    let aside = desk.json(["quarantine", "move-aside"])["directory"].as_str().unwrap().to_owned();
    desk.fails(3, 219, ["stats"]);
    desk.ok(["init"]);
    desk.use_store(&aside);
    desk.ok(["quarantine", "lift"]);
}

#[test]
fn a_secret_is_no_argument_no_variable_and_not_in_the_process_list() {
    let (desk, _) = with_passcode();
    assert_eq!(desk.run(["--passcode", PASSCODE, "stats"]).status.code(), Some(2));
    for name in ["KEEPWELL_PASSCODE", "PASSCODE", "PASSCODE_FILE"] {
        let output = desk.command(["stats"]).env(name, PASSCODE).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}");
    }
    let mut child = desk
        .command(["stats", "--passcode-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(PASSCODE.as_bytes()).unwrap();
    // It waits for the end of the file with the passcode in its hands.
    #[cfg(target_os = "linux")]
    {
        let path = format!("/proc/{}/cmdline", child.id());
        // For a moment after the start of a program the system shows nothing.
        let line = (0..500)
            .find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                std::fs::read(&path).ok().filter(|line| !line.is_empty())
            })
            .unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(line.contains("--passcode-file") && !line.contains(PASSCODE), "{line}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn the_program_leaves_no_core_dump() {
    let (desk, _) = with_passcode();
    let mut child = desk
        .command(["stats", "--passcode-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = format!("/proc/{}/limits", child.id());
    let is_off = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let limits = std::fs::read_to_string(&path).unwrap_or_default();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        core.is_some_and(|core| core.split_whitespace().take(2).eq(["0", "0"]))
    });
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(is_off);
}
