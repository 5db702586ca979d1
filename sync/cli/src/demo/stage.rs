//! Where the demo plays: a temporary folder, a keychain, and somebody who tells.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keepwell_store::{Actor, Error, Session, Store, StoreOptions};
use keepwell_vault::{Config, Error as VaultError, Keychain, MemoryKeychain, Policy, SystemKeychain};
use tempfile::TempDir;

use crate::exit::{Failure, Result, io as io_failure};

pub(super) const APP: &str = "keepwell-demo";
const DEVICE: &str = "this device";
const USER: &str = "dr.demo";

/// How long the demo waits for a keychain that may not be there.
const KEYCHAIN_TIMEOUT: Duration = Duration::from_secs(10);

const INDENT: &str = "    ";
const COLUMNS_MAX: usize = 96;

pub(super) struct Stage {
    home: TempDir,
    keychain: Arc<dyn Keychain>,
    steps: u32,
}

/// Who is at work.
pub(super) fn actor() -> Result<Actor> {
    Actor::new(USER, APP, DEVICE).map_err(|_| Failure::NotHeld("the demo has a name"))
}

impl Stage {
    pub(super) fn new() -> Result<Self> {
        let home = tempfile::Builder::new()
            .prefix("keepwell-demo-")
            .tempdir()
            .map_err(io_failure("making a temporary folder"))?;
        Ok(Self { home, keychain: Arc::new(SystemKeychain::new(APP)), steps: 0 })
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// A place for something else.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn vault_config(&self) -> Config {
        Config::new(Arc::clone(&self.keychain))
    }

    /// Makes the store, with the system's keychain if there is one.
    pub(super) fn create(&mut self) -> Result<Store> {
        self.step("Create")?;
        match Store::create(&self.directory(), self.options(), None) {
            Ok(store) => {
                self.say(&format!("A store, its key in the system's keychain ({}).", self.keychain.kind()))?;
                Ok(store)
            }
            Err(Error::Vault(error)) if means_no_keychain(&error) => {
                self.keychain = Arc::new(MemoryKeychain::new());
                self.say(
                    "No keychain of the system can be used here. For this demo the key is kept in memory;",
                )?;
                self.say("a real store would refuse to be made (or take --keychain file:DIR, a decision of yours).")?;
                Ok(Store::create(&self.directory(), self.options(), None)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn options(&self) -> StoreOptions {
        let mut options = StoreOptions::new(APP, DEVICE, Some(Arc::clone(&self.keychain)));
        options.policy = Policy { keychain_timeout: KEYCHAIN_TIMEOUT, ..Policy::default() };
        options
    }

    pub(super) fn session(&self, store: &Store) -> Result<Session> {
        Ok(store.session(actor()?)?)
    }

    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.steps += 1;
        self.write(&format!("\n{:>2}  {title}\n", self.steps))
    }

    /// Tells in sentences, broken into lines.
    pub(super) fn say(&self, text: &str) -> Result<()> {
        let mut lines = String::new();
        let mut width = usize::MAX;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if width.saturating_add(length) >= COLUMNS_MAX {
                if !lines.is_empty() {
                    lines.push('\n');
                }
                lines.push_str(INDENT);
                width = INDENT.len() + length;
            } else {
                lines.push(' ');
                width += 1 + length;
            }
            lines.push_str(word);
        }
        self.write(&(lines + "\n"))
    }

    /// A line of a listing, as it is.
    pub(super) fn list(&self, line: &str) -> Result<()> {
        self.write(&format!("{INDENT}{INDENT}{line}\n"))
    }

    pub(super) fn end(&self, text: &str) -> Result<()> {
        self.write(&format!("\n{text}\n"))
    }

    fn write(&self, text: &str) -> Result<()> {
        io::stdout().lock().write_all(text.as_bytes()).map_err(io_failure("writing to standard output"))
    }

    /// Every file of the store, with its content.
    pub(super) fn files(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        read_all(&self.directory(), &mut files).map_err(io_failure("reading the files of the store"))?;
        Ok(files)
    }
}

fn read_all(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, files)?;
        } else {
            let content = fs::read(&path)?;
            files.push((path, content));
        }
    }
    Ok(())
}

fn means_no_keychain(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::NoKeychain | VaultError::Locked | VaultError::KeychainTimeout | VaultError::Keychain(_)
    )
}

impl Drop for Stage {
    /// A demo that failed half-way leaves nothing in the keychain either.
    fn drop(&mut self) {
        let _ = keepwell_vault::erase(self.directory(), &self.vault_config());
    }
}
