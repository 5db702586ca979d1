//! What the end-to-end tests share: a store with its keychain in one temporary directory, children that are this
//! test program again, and the shared data.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keepwell_fhir::{ResourceType, Walker, strip};
use keepwell_store::{Actor, ExportOptions, Session, Store, StoreOptions, VerifyOptions};
use keepwell_vault::{FileKeychain, Policy, Stretching};

/// Tells a child where its store is, and with that, that it is one.
const CHILD: &str = "KEEPWELL_TEST_CHILD";

/// What a child says begins with this, so that the words of the test harness are not taken for its own.
const MARK: &str = "said: ";

pub(crate) fn store_of(home: &Path) -> PathBuf {
    home.join("store")
}

pub(crate) fn keychain_of(home: &Path) -> PathBuf {
    home.join("keychain")
}

/// Options for the store of `home`: a keychain that outlives the process, cheap stretching.
pub(crate) fn options(home: &Path) -> StoreOptions {
    let keychain = FileKeychain::new(keychain_of(home));
    let mut options = StoreOptions::new("tests", "bench", Some(Arc::new(keychain)));
    options.memory_security = false;
    options.policy = Policy { stretching: Stretching::FLOOR, ..Policy::default() };
    options
}

pub(crate) fn create(home: &Path) -> Store {
    Store::create(&store_of(home), options(home), None).unwrap()
}

pub(crate) fn open(home: &Path) -> Store {
    let store = Store::open(&store_of(home), options(home)).unwrap();
    store.unlock(None).unwrap();
    store
}

pub(crate) fn session(store: &Store) -> Session {
    store.session(Actor::new("dr.who", "tests", "bench").unwrap()).unwrap()
}

pub(crate) fn resource_type(name: &str) -> ResourceType {
    ResourceType::parse(name).unwrap()
}

/// Pages, rows, bodies, attachments, change log and audit trail are whole.
pub(crate) fn assert_sound(session: &Session, when: &str) {
    let report = session.verify(VerifyOptions::default(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{when}: {report:?}");
}

/// A resource without what the store puts into it: its version and its time.
pub(crate) fn stripped(resource: &[u8], id: Option<&str>) -> Vec<u8> {
    let mut walker = Walker::new();
    let walk = walker.walk(resource).unwrap();
    let mut body = Vec::new();
    strip(resource, &walk, id, &[], &mut body);
    body
}

/// All current resources by `Type/id`, [`stripped`].
pub(crate) fn contents(session: &Session) -> BTreeMap<String, Vec<u8>> {
    let mut out = Vec::new();
    session.elevate(None).unwrap().export(&mut out, &ExportOptions::default(), &mut |_| {}).unwrap();
    let mut walker = Walker::new();
    let lines = out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let named = lines.map(|line| {
        let walk = walker.walk(line).unwrap();
        let name = format!("{}/{}", walk.resource_type, walk.id.unwrap().text(line));
        (name, stripped(line, None))
    });
    named.collect()
}

/// Number `serial` of the resources that tests write: a Patient, or now and then a document with a large attachment.
pub(crate) fn numbered(serial: u64) -> (ResourceType, String) {
    if serial % 5 == 4 {
        let content =
            STANDARD.encode(vec![serial.to_le_bytes()[0]; 18_000 + usize::try_from(serial % 999).unwrap()]);
        let body = format!(
            r#"{{"resourceType":"DocumentReference","status":"current","description":"number {serial}","content":[{{"attachment":{{"contentType":"application/pdf","data":"{content}"}}}}]}}"#
        );
        (resource_type("DocumentReference"), body)
    } else {
        let body = format!(
            r#"{{"resourceType":"Patient","identifier":[{{"system":"urn:n","value":"{serial}"}}],"name":[{{"family":"number {serial}"}}]}}"#
        );
        (resource_type("Patient"), body)
    }
}

/// The files below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, from.metadata().unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { _ = fs::copy(&path, target).unwrap() }
    }
}

/// A repeatable source of numbers: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Where the store of this process is, if it is a child.
pub(crate) fn home_of_child() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

/// Tells the parent something; it has arrived when this returns.
pub(crate) fn say(what: &str) {
    println!("{MARK}{what}");
}

/// This program again, as the child of `test`.
pub(crate) fn child(test: &str, home: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, home).stdout(Stdio::piped());
    command
}

/// A child that is heard until it ends.
pub(crate) struct Heard {
    child: Child,
    begun: Receiver<()>,
    listener: JoinHandle<Vec<String>>,
}

impl Heard {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (tell, begun) = channel();
        let listener = thread::spawn(move || {
            let (mut said, mut line) = (Vec::new(), String::new());
            while out.read_line(&mut line).unwrap() > 0 {
                // A line that a kill has cut was not said.
                if let Some((_, words)) = line.split_once(MARK)
                    && let Some(words) = words.strip_suffix('\n')
                {
                    said.push(words.to_owned());
                    let _ = tell.send(());
                }
                line.clear();
            }
            said
        });
        Self { child, begun, listener }
    }

    /// Waits for the child's first word, then for `delay`, and kills it; returns all that it said.
    pub(crate) fn kill_after(mut self, delay: Duration) -> Vec<String> {
        self.begun.recv().expect("the child says that it begins");
        thread::sleep(delay);
        // It may have come to its end by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.listener.join().unwrap()
    }

    /// Waits for the child's end, which must be a good one; returns all that it said.
    pub(crate) fn finish(mut self) -> Vec<String> {
        assert!(self.child.wait().unwrap().success());
        self.listener.join().unwrap()
    }
}

/// Something of the shared data, `None` (and a line that says so) where it is missing.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let path = env::var_os("KEEPWELL_SHARED").map_or_else(beside, PathBuf::from).join(name);
    if !path.exists() {
        println!("skipped: ../shared is missing");
        return None;
    }
    Some(path)
}
