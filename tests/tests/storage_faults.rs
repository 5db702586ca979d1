//! Whatever is wrong with keys, files or the disk: a typed error, nothing lost, nothing made; and when the fault is
//! gone, everything that was acknowledged is there.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and says what it saw"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use keepwell_store::{Error, ImportOptions, ImportSource, Session, Store, VerifyOptions};
use keepwell_vault::{
    DATABASE_FILE, Fault, KEY_FILE, Keychain as _, KeychainError, MemoryKeychain, Passcode,
};
use tempfile::TempDir;

const RESOURCES: u64 = 40;

/// A locked store with a known content.
struct Filled {
    home: TempDir,
    contents: BTreeMap<String, Vec<u8>>,
}

impl Filled {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = create(home.path());
        let session = session(&store);
        fill(&session, 0..RESOURCES);
        Self { contents: contents(&session), home }
    }

    fn database(&self) -> PathBuf {
        store_of(self.home.path()).join(DATABASE_FILE)
    }

    /// The name and bytes of every file, of the store and of the keychain.
    fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(self.home.path()).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    fn put_back(&self, snapshot: &BTreeMap<PathBuf, Vec<u8>>) {
        for path in files(self.home.path()) {
            if !snapshot.contains_key(&path) {
                fs::remove_file(path).unwrap();
            }
        }
        for (path, content) in snapshot {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// The code of the error with which the store does not open.
    fn refusal(&self) -> u16 {
        refusal(self.home.path()).expect("the store does not open")
    }

    /// It opens, and holds what it held.
    fn assert_whole(&self) {
        let store = open(self.home.path());
        let session = session(&store);
        assert!(contents(&session) == self.contents, "all of it is there");
        assert_sound(&session, "after the fault");
    }
}

fn fill(session: &Session, serials: std::ops::Range<u64>) {
    for serial in serials {
        let (resource_type, body) = numbered(serial);
        session.create(resource_type, body.as_bytes()).unwrap();
    }
}

fn refusal(home: &Path) -> Option<u16> {
    let opened = Store::open(&store_of(home), options(home)).and_then(|store| store.unlock(None));
    opened.err().map(|error| error.code())
}

/// The one file below a directory whose name begins so.
fn file(directory: &Path, prefix: &str) -> PathBuf {
    let is_it = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
    let found = files(directory);
    let mut matching = found.iter().filter(is_it);
    let path = matching.next().unwrap_or_else(|| panic!("{prefix} in {found:?}")).clone();
    assert_eq!(matching.next(), None);
    path
}

#[test]
fn missing_or_wrong_keys_are_named_and_change_nothing() {
    let filled = Filled::new();
    let before = filled.snapshot();
    let (store, keychain) = (store_of(filled.home.path()), keychain_of(filled.home.path()));
    let secret = file(&keychain, "kek.");
    let faults: [(u16, &dyn Fn()); 5] = [
        (213, &|| fs::write(&secret, [7; 32]).unwrap()),
        (211, &|| fs::remove_file(&secret).unwrap()),
        (211, &|| fs::remove_dir_all(&keychain).unwrap()),
        (221, &|| fs::remove_file(store.join(KEY_FILE)).unwrap()),
        (221, &|| fs::write(store.join(KEY_FILE), b"{}").unwrap()),
    ];
    for (number, (code, fault)) in faults.into_iter().enumerate() {
        fault();
        let broken = filled.snapshot();
        assert_eq!(filled.refusal(), code, "fault {number}");
        assert!(filled.snapshot() == broken, "fault {number}: nothing was changed or made");
        let again = Store::create(&store, options(filled.home.path()), None).err().map(|error| error.code());
        assert!(matches!(again, Some(220 | 221)), "fault {number}: no new store over the old one: {again:?}");
        assert!(filled.snapshot() == broken, "fault {number}: nothing was changed or made");
        filled.put_back(&before);
    }
    filled.assert_whole();
}

#[test]
fn missing_keychain_service_is_no_reason_for_a_new_key() {
    let home = tempfile::tempdir().unwrap();
    let keychain = Arc::new(MemoryKeychain::new());
    let mut options = options(home.path());
    options.keychain = Some(keychain.clone());
    let directory = store_of(home.path());
    let store = Store::create(&directory, options.clone(), None).unwrap();
    fill(&session(&store), 0..RESOURCES);
    let expected = contents(&session(&store));
    drop(store);
    let items = keychain.items().unwrap();
    for (fault, code) in
        [(KeychainError::Unavailable, 214), (KeychainError::Locked, 201), (KeychainError::Failed, 217)]
    {
        keychain.fail(Some(Fault::Error(fault)));
        let store = Store::open(&directory, options.clone()).unwrap();
        assert_eq!(store.unlock(None).unwrap_err().code(), code);
        assert_eq!(
            Store::create(&home.path().join("new"), options.clone(), None).err().unwrap().code(),
            code
        );
        assert!(!home.path().join("new").exists(), "nothing was made");
        drop(store);
        keychain.fail(None);
        assert_eq!(keychain.items().unwrap(), items);
    }
    let store = Store::open(&directory, options).unwrap();
    store.unlock(None).unwrap();
    assert!(contents(&session(&store)) == expected);
}

#[test]
fn wrong_passcode_opens_nothing_and_the_right_one_everything() {
    let filled = Filled::new();
    let code = |text: &str| Passcode::new(text.to_owned()).unwrap();
    let store = open(filled.home.path());
    session(&store).elevate(None).unwrap().set_passcode(&code("8213")).unwrap();
    store.lock().unwrap();
    assert_eq!(store.unlock(None).unwrap_err().code(), 204);
    assert_eq!(store.unlock(Some(&code("8214"))).unwrap_err().code(), 205);
    store.unlock(Some(&code("8213"))).unwrap();
    assert!(contents_with(&session(&store), &code("8213")) == filled.contents);
}

fn contents_with(session: &Session, passcode: &Passcode) -> BTreeMap<String, Vec<u8>> {
    session.elevate(Some(passcode)).unwrap().remove_passcode().unwrap();
    contents(session)
}

#[test]
fn damaged_database_is_refused_or_found_by_verify() {
    let filled = Filled::new();
    let before = filled.snapshot();
    let database = filled.database();
    let whole = before[&database].clone();
    let mut random = Random(11);

    fs::remove_file(&database).unwrap();
    assert_eq!(filled.refusal(), 511);
    assert!(!database.exists(), "a lost database is not replaced by an empty one");
    let mut damaged: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "empty"),
        (whole[..100].to_vec(), "a piece of a page"),
        (whole[..4096].to_vec(), "one page"),
        (whole[..whole.len() / 2].to_vec(), "half"),
        (whole[..whole.len() - 3 * 4096].to_vec(), "all but three pages"),
        (vec![0; whole.len()], "zeros"),
        ([b"SQLite format 3\0", &whole[16..]].concat(), "a clear header"),
    ];
    for _ in 0..25 {
        let mut flipped = whole.clone();
        let at = usize::try_from(random.below(whole.len() as u64)).unwrap();
        flipped[at] ^= 1 << random.below(8);
        damaged.push((flipped, "a flipped bit"));
    }
    let (mut refused, mut found) = (0, 0);
    for (bytes, what) in damaged {
        filled.put_back(&before);
        fs::write(&database, &bytes).unwrap();
        let store = Store::open(&store_of(filled.home.path()), options(filled.home.path())).unwrap();
        match store.unlock(None) {
            Err(error) => {
                assert!(matches!(error.code(), 222 | 504..=506 | 512 | 513 | 520), "{what}: {error:?}");
                drop(store);
                assert!(fs::read(&database).unwrap() == bytes, "{what}: a refused database is left as it is");
                refused += 1;
            }
            Ok(()) => {
                // A page that is read on the way may be the damaged one.
                let is_found = match store
                    .session(keepwell_store::Actor::new("dr.who", "tests", "bench").unwrap())
                {
                    Ok(session) => session
                        .verify(VerifyOptions::default(), &mut |_| {})
                        .map_or_else(|error| (500..600).contains(&error.code()), |report| !report.is_sound()),
                    Err(error) => (500..600).contains(&error.code()),
                };
                assert!(is_found, "{what}: verify finds it");
                found += 1;
            }
        }
    }
    println!("{refused} damaged databases were refused, {found} opened and verify found the damage");
    filled.put_back(&before);
    filled.assert_whole();
}

#[test]
fn older_copy_is_a_suspected_rollback_and_the_newer_one_opens() {
    let mut filled = Filled::new();
    let database = filled.database();
    let older = fs::read(&database).unwrap();
    let older_directory = tempfile::tempdir().unwrap();
    copy(&store_of(filled.home.path()), &store_of(older_directory.path()));
    let store = open(filled.home.path());
    fill(&session(&store), RESOURCES..RESOURCES + 5);
    filled.contents = contents(&session(&store));
    drop(store);

    let newer = fs::read(&database).unwrap();
    fs::write(&database, &older).unwrap();
    assert_eq!(filled.refusal(), 222);
    assert!(fs::read(&database).unwrap() == older, "a suspicious database is left as it is");
    fs::write(&database, &newer).unwrap();
    filled.assert_whole();

    // The whole directory, with its key file, as a backup would bring it back. A second copy is told apart, too.
    let returned = Store::open(&store_of(older_directory.path()), options(filled.home.path())).unwrap();
    assert!(matches!(returned.unlock(None).unwrap_err().code(), 222 | 223));
    drop(returned);
    filled.assert_whole();
}

#[test]
fn lost_write_ahead_log_is_a_suspected_rollback() {
    let mut filled = Filled::new();
    let store = open(filled.home.path());
    fill(&session(&store), RESOURCES..RESOURCES + 5);
    filled.contents = contents(&session(&store));
    // As after a kill: nothing was moved from the log into the database.
    let after_kill = tempfile::tempdir().unwrap();
    copy(filled.home.path(), after_kill.path());
    drop(store);
    filled.home = after_kill;
    let log = filled.database().with_file_name(format!("{DATABASE_FILE}-wal"));
    let content = fs::read(&log).unwrap();
    assert!(!content.is_empty());

    fs::remove_file(&log).unwrap();
    assert_eq!(filled.refusal(), 222);
    let _ = fs::remove_file(log.with_file_name(format!("{DATABASE_FILE}-shm")));
    fs::write(&log, &content).unwrap();
    filled.assert_whole();
}

/// A small file system in memory; `None` where nobody may mount one.
struct Disk {
    place: TempDir,
}

impl Disk {
    fn new(size: &str) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(place.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { place });
        }
        println!("skipped: file systems cannot be mounted here");
        None
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        assert!(
            Command::new("mount").args(["-o", &option]).arg(self.place.path()).status().unwrap().success()
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.place.path()).status();
    }
}

/// A store on `disk`, whose keychain is elsewhere.
fn on_disk(disk: &Disk, home: &Path) -> (PathBuf, keepwell_store::StoreOptions) {
    (disk.place.path().join("store"), options(home))
}

#[test]
fn read_only_store_is_refused_and_left_alone() {
    let Some(disk) = Disk::new("32m") else { return };
    let home = tempfile::tempdir().unwrap();
    let (directory, options) = on_disk(&disk, home.path());
    let store = Store::create(&directory, options.clone(), None).unwrap();
    fill(&session(&store), 0..RESOURCES);
    let expected = contents(&session(&store));
    drop(store);
    disk.remount("ro");
    let opened = Store::open(&directory, options.clone()).and_then(|store| store.unlock(None));
    assert_eq!(opened.unwrap_err().code(), 522);
    let elsewhere = Store::create(&disk.place.path().join("new"), options.clone(), None);
    assert_eq!(elsewhere.err().unwrap().code(), 522);
    disk.remount("rw");
    let store = Store::open(&directory, options).unwrap();
    store.unlock(None).unwrap();
    assert!(contents(&session(&store)) == expected);
    assert_sound(&session(&store), "writable again");
}

#[test]
fn full_disk_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::new("4m") else { return };
    let home = tempfile::tempdir().unwrap();
    let (directory, options) = on_disk(&disk, home.path());
    let store = Store::create(&directory, options.clone(), None).unwrap();
    let writer = session(&store);
    let mut acknowledged = Vec::new();
    let mut failures = BTreeMap::<u16, u32>::new();
    let mut serial = 0;
    // Small and large writes fail for different reasons and at different fillings.
    while failures.values().sum::<u32>() < 40 {
        let (resource_type, body) = numbered(serial);
        match writer.create(resource_type, body.as_bytes()) {
            Ok(written) => acknowledged.push((resource_type, written.id)),
            Err(error) => *failures.entry(error.code()).or_default() += 1,
        }
        serial += 1;
    }
    assert!(failures.keys().all(|code| matches!(code, 502 | 506 | 521)), "{failures:?}");
    // What is full can still be read.
    for (resource_type, id) in &acknowledged {
        writer.read(*resource_type, id).unwrap();
    }
    let text: String = (0..RESOURCES)
        .map(|serial| {
            format!(
                "{{\"resourceType\":\"Basic\",\"id\":\"b{serial}\",\"code\":{{\"text\":\"{}\"}}}}\n",
                "x y".repeat(900)
            )
        })
        .collect();
    let import = |session: &Session| {
        let source = ImportSource::reader("text", text.as_bytes());
        session.import(source, &ImportOptions::default(), &mut |_| {})
    };
    if let Err(error) = import(&writer) {
        assert!(matches!(error.code(), 502 | 506), "{error:?}");
    }
    let rotated = writer.elevate(None).and_then(|privileged| privileged.rotate_database_key());
    assert!(
        rotated.as_ref().err().is_none_or(|error| matches!(error.code(), 502 | 506 | 522)),
        "{rotated:?}"
    );
    let rotated = writer.elevate(None).and_then(|privileged| privileged.rotate_kek());
    assert!(
        rotated.as_ref().err().is_none_or(|error| matches!(error.code(), 502 | 506 | 522)),
        "{rotated:?}"
    );
    let locked = store.lock();
    assert!(locked.as_ref().err().is_none_or(|error| matches!(error.code(), 502 | 506 | 522)), "{locked:?}");
    drop((writer, store));

    disk.remount("size=64m");
    let store = Store::open(&directory, options).unwrap();
    store.unlock(None).unwrap();
    let session = session(&store);
    assert_sound(&session, "with space again");
    let there = contents(&session);
    for (resource_type, id) in &acknowledged {
        assert!(there.contains_key(&format!("{resource_type}/{id}")), "{resource_type}/{id} is lost");
    }
    import(&session).unwrap();
    assert_eq!(session.stats().unwrap().resources(), acknowledged.len() as u64 + RESOURCES);
    session.elevate(None).unwrap().rotate_database_key().unwrap();
    assert_sound(&session, "with space again");
}

#[test]
fn creation_on_a_full_disk_leaves_nothing_in_the_way() {
    for kib in [0_u64, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256] {
        let Some(disk) = Disk::new("1m") else { return };
        let home = tempfile::tempdir().unwrap();
        let (directory, options) = on_disk(&disk, home.path());
        let ballast = disk.place.path().join("ballast");
        fs::write(&ballast, vec![0; usize::try_from((1024 - kib) * 1024).unwrap()]).unwrap();
        let created = Store::create(&directory, options.clone(), None);
        let failure = created.as_ref().err().map(Error::code);
        drop(created);
        fs::remove_file(ballast).unwrap();
        if let Some(code) = failure {
            assert!(matches!(code, 502 | 506 | 521 | 522), "{kib} KiB: {code}");
            disk.remount("size=16m");
            let store = Store::create(&directory, options, None)
                .unwrap_or_else(|error| panic!("{kib} KiB: in the way of a new attempt: {error:?}"));
            fill(&session(&store), 0..5);
        }
    }
}

/// Writes until the size limit of its files is reached; says what was acknowledged, then the code of the failure.
fn write_to_the_limit(home: &Path) {
    let store = open(home);
    let session = session(&store);
    for serial in 0.. {
        let (resource_type, body) = numbered(serial);
        match session.create(resource_type, body.as_bytes()) {
            Ok(written) => say(&format!("{resource_type}/{}", written.id)),
            Err(error) => return say(&error.code().to_string()),
        }
    }
}

#[test]
fn file_that_may_not_grow_is_a_typed_error() {
    if let Some(home) = home_of_child() {
        return write_to_the_limit(&home);
    }
    let home = tempfile::tempdir().unwrap();
    drop(create(home.path()));
    let mut shell = Command::new("sh");
    // The signal would kill; ignored, it is an error of the write. 512-byte blocks.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""]);
    let limited = child("file_that_may_not_grow_is_a_typed_error", home.path());
    shell.arg(limited.get_program()).args(limited.get_args()).stdout(std::process::Stdio::piped());
    shell.envs(limited.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut said = Heard::start(shell).finish();
    assert!(matches!(said.pop().as_deref(), Some("502" | "506" | "521")), "{said:?}");
    assert!(said.len() > 20);
    let store = open(home.path());
    let session = session(&store);
    let there = contents(&session);
    assert!(said.iter().all(|name| there.contains_key(name)));
    assert_sound(&session, "without the limit");
}

#[test]
fn second_process_is_refused_and_the_first_goes_on() {
    if let Some(home) = home_of_child() {
        let first = Store::open(&store_of(&home), options(&home)).err().map(|error| error.code());
        let second = Store::create(&store_of(&home), options(&home), None).err().map(|error| error.code());
        return say(&format!("{first:?} {second:?}"));
    }
    let filled = Filled::new();
    let store = open(filled.home.path());
    let here = Store::open(&store_of(filled.home.path()), options(filled.home.path()));
    assert_eq!(here.err().map(|error| error.code()), Some(218));
    let other = child("second_process_is_refused_and_the_first_goes_on", filled.home.path());
    assert_eq!(Heard::start(other).finish(), ["Some(218) Some(220)"]);
    fill(&session(&store), RESOURCES..RESOURCES + 3);
    assert_eq!(session(&store).stats().unwrap().resources(), RESOURCES + 3);
}

#[test]
fn threads_that_write_at_once_lose_nothing_and_share_one_order() {
    const THREADS: u64 = 4;
    const WRITES: u64 = 60;
    let home = tempfile::tempdir().unwrap();
    let store = create(home.path());
    let feed = store.observe();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || fill(&session(store), thread * WRITES..(thread + 1) * WRITES));
        }
    });
    let mut sequences = Vec::new();
    while let Some(changes) = feed.next(Duration::ZERO).unwrap() {
        sequences.extend(changes.iter().map(|change| change.sequence));
    }
    assert_eq!(sequences, (1..=i64::try_from(THREADS * WRITES).unwrap()).collect::<Vec<_>>());
    assert_eq!(contents(&session(&store)).len() as u64, THREADS * WRITES);
    assert_sound(&session(&store), "after the threads");
}
