//! Bearer tokens: who may call the FHIR interface, and who the operator is.
//!
//! Invariants: a token has 256 random bits and is shown once; only its SHA-256 is kept; each belongs to one user, whom
//! the audit trail names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keepwell_store::Actor;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::private_file;

/// The file of tokens in the data directory.
const FILE: &str = "tokens.json";
/// Stands before the random part, so that a token is known where it should not be.
const PREFIX: &str = "keepwell_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// How long a change of the file may go unseen.
const REREAD: Duration = Duration::from_secs(1);
/// The user of the operator's own calls.
pub(crate) const OPERATOR: &str = "operator";

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenUse {
    /// The FHIR interface, as its user.
    Fhir,
    /// The FHIR interface, to read and to search.
    FhirRead,
    /// The operator's calls, and the FHIR interface not at all.
    Operator,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    sha256: String,
    user: String,
    #[serde(rename = "use")]
    purpose: TokenUse,
}

/// Whom a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) user: String,
    pub(crate) purpose: TokenUse,
}

/// The tokens of a server. The file is read again when it has changed, so that a new token needs no restart.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    of_environment: Option<String>,
    of_console: Option<String>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    read_at: Instant,
    changed_at: Option<SystemTime>,
    bearers: HashMap<String, Bearer>,
}

impl Tokens {
    /// The tokens of the server whose data is in `directory`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let known = read(&path)?;
        Ok(Self { path, of_environment: None, of_console: None, known: Mutex::new(known) })
    }

    /// Takes `token` for the operator's as well.
    pub(crate) fn with_operator(mut self, token: Option<&str>) -> Self {
        self.of_environment = token.map(hash);
        self
    }

    /// Takes `token` for that of the console of this run.
    pub(crate) fn with_console(mut self, token: &str) -> Self {
        self.of_console = Some(hash(token));
        self
    }

    /// Makes a token of `user`, who may have several, and keeps its hash. This is the only time that it is shown.
    ///
    /// # Errors
    /// [`Error::Token`] if the audit trail could not name the user; [`Error::Io`].
    pub fn issue(&self, user: &str, purpose: TokenUse) -> Result<Zeroizing<String>> {
        Actor::new(user, "fhir", "server").map_err(|_| Error::Token)?;
        let token = random()?;
        let mut entries = entries(&self.path)?;
        entries.push(Entry { sha256: hash(&token), user: user.to_owned(), purpose });
        self.write(&entries)?;
        Ok(token)
    }

    /// Takes back every token of `user`, and says how many that were.
    ///
    /// # Errors
    /// [`Error::Token`] if there are none; [`Error::Io`].
    pub fn revoke(&self, user: &str) -> Result<usize> {
        let mut entries = entries(&self.path)?;
        let before = entries.len();
        entries.retain(|entry| entry.user != user);
        if entries.len() == before {
            return Err(Error::Token);
        }
        self.write(&entries)?;
        Ok(before - entries.len())
    }

    fn write(&self, entries: &[Entry]) -> Result<()> {
        let text = serde_json::to_vec_pretty(entries).expect("texts only");
        private_file::replace(&self.path, &text).map_err(Error::io("while writing the tokens"))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = read(&self.path)?;
        Ok(())
    }

    /// Whether this is the token of the console of this run.
    pub(crate) fn is_consoles(&self, token: &str) -> bool {
        self.of_console.as_ref() == Some(&hash(token))
    }

    /// Whose token this is. What is looked up is a hash, so that the time it takes tells nothing of any token.
    pub(crate) fn bearer(&self, token: &str) -> Option<Bearer> {
        let hash = hash(token);
        if self.of_environment.as_ref() == Some(&hash) {
            return Some(Bearer { user: OPERATOR.to_owned(), purpose: TokenUse::Operator });
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.read_at.elapsed() >= REREAD {
            known.read_at = Instant::now();
            // A file that cannot be read now leaves those that were there.
            if changed_at(&self.path) != known.changed_at
                && let Ok(new) = read(&self.path)
            {
                *known = new;
            }
        }
        known.bearers.get(&hash).cloned()
    }
}

/// A token that nobody has.
pub(crate) fn random() -> Result<Zeroizing<String>> {
    let mut random = Zeroizing::new([0; TOKEN_BYTES]);
    SystemRandom::new().fill(random.as_mut_slice()).map_err(|_| Error::Token)?;
    Ok(Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random.as_slice()))))
}

fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

fn entries(path: &Path) -> Result<Vec<Entry>> {
    let failed = Error::io("while reading the tokens");
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
        Ok(_) if private_file::others_may(path, 0o077) => {
            Err(crate::Unsafe::OpenFile("file of tokens").into())
        }
        Ok(text) => serde_json::from_slice(&text).map_err(|_| failed(std::io::ErrorKind::InvalidData.into())),
    }
}

fn read(path: &Path) -> Result<Known> {
    // The time is taken first: what changes in between is read again.
    let changed_at = changed_at(path);
    let bearers = entries(path)?.into_iter().map(|entry| {
        let Entry { sha256, user, purpose } = entry;
        (sha256, Bearer { user, purpose })
    });
    Ok(Known { read_at: Instant::now(), changed_at, bearers: bearers.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_users_until_it_is_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = Tokens::open(folder.path()).expect("no tokens yet");
        let first = tokens.issue("dr.jones", TokenUse::Fhir).expect("a token");
        let second = tokens.issue("dr.smith", TokenUse::Fhir).expect("a token");
        let again = Tokens::open(folder.path()).expect("as written");
        let user = |token: &str| again.bearer(token).map(|bearer| bearer.user);
        assert_eq!(user(&first).as_deref(), Some("dr.jones"));
        assert_eq!(user(&second).as_deref(), Some("dr.smith"));
        assert_eq!(user("keepwell_"), None);
        assert_eq!(again.revoke("dr.jones").expect("it was there"), 1);
        assert_eq!(again.bearer(&first), None);
        assert!(matches!(again.revoke("dr.jones"), Err(Error::Token)));
        let kept = std::fs::read_to_string(folder.path().join(FILE)).expect("the file");
        assert!(!kept.contains(second.as_str()), "the token itself is kept");
        assert!(matches!(tokens.issue(" ", TokenUse::Fhir), Err(Error::Token)));
    }
}
