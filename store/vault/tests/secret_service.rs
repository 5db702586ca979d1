//! The Secret Service for real: a session bus and a gnome-keyring of our own, in a home of our own.
//!
//! Each test runs its own program again under `dbus-run-session`, so that neither the bus nor the keyring of
//! the person at the machine is touched. Needs `dbus` and `gnome-keyring`; without them the test fails, unless
//! `KEEPWELL_SKIP_KEYCHAIN=1` says that this machine is not expected to have them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "timings and skips are shown with --nocapture")]

mod common;

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use common::{bytes, code};
use keepwell_vault::{
    Anchor, Config, Error, Keychain, KeychainError, Policy, State, Stretching, SystemKeychain, Vault, erase,
};
use keyring_core::api::CredentialStoreApi as _;
use tempfile::TempDir;

const SERVICE: &str = "org.keepwell.test";
/// Set in the inner run to the directory to work in.
const INSIDE: &str = "KEEPWELL_TEST_INSIDE";
/// Unlocks a fresh login keyring, then becomes the test.
const START_KEYRING: &str = "printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 \
     && exec \"$@\"";

fn config() -> Config {
    let policy = Policy { stretching: Stretching::FLOOR, ..Policy::default() };
    Config { policy, ..Config::new(Arc::new(SystemKeychain::new(SERVICE))) }
}

/// This program again, with one test, in a home of its own.
fn again(program: &str, arguments: &[&str], test: &str, home: &TempDir) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, home.path())
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("XDG_DATA_HOME");
    command
}

fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the inner test did not run: {text}");
}

fn private_home() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    home
}

fn is_installed(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .any(|directory| directory.join(program).is_file())
}

#[test]
fn a_whole_life_with_the_secret_service() {
    if let Some(home) = env::var_os(INSIDE) {
        return whole_life(home.as_ref());
    }
    let missing: Vec<_> =
        ["dbus-run-session", "gnome-keyring-daemon"].into_iter().filter(|p| !is_installed(p)).collect();
    if !missing.is_empty() && env::var_os("KEEPWELL_SKIP_KEYCHAIN").is_some_and(|skip| skip == "1") {
        println!("skipped: {} not installed", missing.join(", "));
        return;
    }
    assert!(missing.is_empty(), "install dbus and gnome-keyring: {missing:?} is missing");
    let home = private_home();
    let arguments = ["--", "sh", "-c", START_KEYRING, "sh"];
    let output = again("dbus-run-session", &arguments, "a_whole_life_with_the_secret_service", &home)
        .output()
        .unwrap();
    assert_passed(&output);
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(" ms")) {
        println!("{line}");
    }
}

fn whole_life(home: &std::path::Path) {
    let place = home.join("store");
    let passcode = code("2580");
    let (vault, keys) = timed("create", || Vault::create(&place, config(), None).unwrap());
    let before = bytes(&keys);
    drop(keys);
    assert_eq!(vault.key_status().keychain, Some("secret-service"));
    assert_items_are_short_text();

    vault.lock();
    assert_eq!(vault.state(), State::Locked);
    assert_eq!(bytes(&timed("unlock", || vault.unlock(None).unwrap())), before);
    let anchor = Anchor { epoch: 1, sequence: 2, head: [3; 32] };
    timed("set anchor", || vault.set_anchor(&anchor).unwrap());
    assert_eq!(vault.anchor().unwrap(), Some(anchor));
    timed("rotate", || vault.rotate_kek().unwrap());
    vault.set_passcode(&passcode).unwrap();
    drop(vault);

    // Another connection, as after a restart.
    let vault = timed("open", || Vault::open(&place, config()).unwrap());
    for _ in 0..3 {
        assert!(matches!(vault.unlock(Some(&code("0000"))), Err(Error::WrongPasscode { .. })));
    }
    assert_eq!(bytes(&timed("unlock with passcode", || vault.unlock(Some(&passcode)).unwrap())), before);
    assert_eq!(vault.anchor().unwrap(), Some(anchor));
    assert_items_are_short_text();
    drop(vault);

    let items = SystemKeychain::new(SERVICE).items().unwrap();
    assert_eq!(items.iter().filter(|name| name.starts_with("kek:")).count(), 1, "{items:?}");
    let other = SystemKeychain::new("org.keepwell.other");
    other.set("kek:other", b"stays").unwrap();
    let erasure = erase(&place, &config()).unwrap();
    assert!(erasure.keychain_reached);
    assert_eq!(erasure.keychain_items, 4);
    assert_eq!(SystemKeychain::new(SERVICE).items().unwrap(), Vec::<String>::new());
    assert_eq!(other.get("kek:other").unwrap().unwrap().as_slice(), b"stays");
}

/// KDE Wallet takes text only, Windows at most 2,560 bytes.
fn assert_items_are_short_text() {
    let store = zbus_secret_service_keyring_store::Store::new().unwrap();
    let names = SystemKeychain::new(SERVICE).items().unwrap();
    assert!(names.len() >= 2);
    for name in names {
        let text = store.build(SERVICE, &name, None).unwrap().get_secret().unwrap();
        assert!(text.len() < 1000, "{name}");
        assert!(text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)), "{name}");
    }
}

fn timed<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = act();
    println!("{what}: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    result
}

#[test]
fn without_a_session_bus_there_is_no_keychain_and_no_file() {
    if let Some(home) = env::var_os(INSIDE) {
        let place = std::path::Path::new(&home).join("store");
        let begun = Instant::now();
        assert!(matches!(Vault::create(&place, config(), None), Err(Error::NoKeychain)));
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(SystemKeychain::new(SERVICE).get("kek:1"), Err(KeychainError::Unavailable));
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "nothing was made");
        return;
    }
    let home = private_home();
    let test = "without_a_session_bus_there_is_no_keychain_and_no_file";
    assert_passed(&again("env", &[], test, &home).output().unwrap());
}
