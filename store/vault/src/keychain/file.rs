//! Secrets as private files in a directory that the operator names.

use std::fs;
use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Keychain, KeychainError, SECRET_MAX_BYTES, Secret, is_valid_name};
use crate::disk;

/// One file of mode 0600 for each secret: for servers and tests, where no desktop keychain runs.
///
/// Whoever can read the directory has the secrets, so keep it on another disk than the store (for example the
/// directory of a systemd credential store or a mounted secret). A file that others may read is refused.
#[derive(Debug)]
pub struct FileKeychain {
    directory: PathBuf,
}

impl FileKeychain {
    /// Secrets live in `directory`, which is made (mode 0700) with the first secret.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// `:` is not allowed in file names on Windows, and `.` is not allowed in item names.
    fn path(&self, item: &str) -> Result<PathBuf, KeychainError> {
        if !is_valid_name(item) {
            return Err(KeychainError::Refused);
        }
        Ok(self.directory.join(item.replace(':', ".")))
    }
}

impl Keychain for FileKeychain {
    fn get(&self, item: &str) -> Result<Option<Secret>, KeychainError> {
        let path = self.path(item)?;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failure(&error)),
            Ok(found) if !is_private(&found) || found.len() > SECRET_MAX_BYTES as u64 => {
                return Err(KeychainError::Refused);
            }
            Ok(_) => {}
        }
        fs::read(&path).map(|secret| Some(Zeroizing::new(secret))).map_err(|error| failure(&error))
    }

    fn set(&self, item: &str, secret: &[u8]) -> Result<(), KeychainError> {
        let path = self.path(item)?;
        disk::create_private_directory(&self.directory).map_err(|error| failure(&error))?;
        disk::replace(&path, secret).map_err(|error| failure(&error))
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        let path = self.path(item)?;
        // A crash in `set` may have left a secret that never got its name.
        for path in [disk::temporary_of(&path), path] {
            disk::shred(&path).map_err(|error| failure(&error))?;
        }
        Ok(())
    }

    fn items(&self) -> Result<Vec<String>, KeychainError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failure(&error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| failure(&error))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let name = name.strip_suffix(".new").unwrap_or(name).replace('.', ":");
            if is_valid_name(&name) {
                names.push(name);
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn kind(&self) -> &'static str {
        "file"
    }
}

#[cfg(unix)]
fn is_private(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    found.is_file() && found.permissions().mode() & 0o077 == 0
}

/// Elsewhere the directory's own access list decides.
#[cfg(not(unix))]
fn is_private(found: &fs::Metadata) -> bool {
    found.is_file()
}

fn failure(error: &io::Error) -> KeychainError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => KeychainError::Locked,
        _ => KeychainError::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_survive_and_are_listed() {
        let place = tempfile::tempdir().unwrap();
        let keychain = FileKeychain::new(place.path().join("keys"));
        assert_eq!(keychain.items().unwrap(), Vec::<String>::new());
        assert!(keychain.get("kek:1").unwrap().is_none());
        keychain.set("kek:1", b"one").unwrap();
        keychain.set("kek:1", b"two").unwrap();
        keychain.set("boot:1", b"x").unwrap();
        let again = FileKeychain::new(place.path().join("keys"));
        assert_eq!(again.get("kek:1").unwrap().unwrap().as_slice(), b"two");
        assert_eq!(again.items().unwrap(), ["boot:1", "kek:1"]);
        again.delete("kek:1").unwrap();
        again.delete("kek:1").unwrap();
        assert!(keychain.get("kek:1").unwrap().is_none());
    }

    #[test]
    fn a_secret_left_by_a_crash_is_listed_and_deleted() {
        let place = tempfile::tempdir().unwrap();
        let keychain = FileKeychain::new(place.path());
        fs::write(place.path().join("kek.1.new"), b"never named").unwrap();
        assert_eq!(keychain.items().unwrap(), ["kek:1"]);
        assert!(keychain.get("kek:1").unwrap().is_none());
        keychain.delete("kek:1").unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let keychain = FileKeychain::new(place.path());
        keychain.set("kek:1", b"one").unwrap();
        let mode = fs::metadata(place.path().join("kek.1")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(place.path().join("kek.1"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(keychain.get("kek:1"), Err(KeychainError::Refused));
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let place = tempfile::tempdir().unwrap();
        let keychain = FileKeychain::new(place.path());
        for name in ["../x", "a/b", "", "A", "a.b"] {
            assert_eq!(keychain.set(name, b"x"), Err(KeychainError::Refused), "{name}");
        }
    }
}
