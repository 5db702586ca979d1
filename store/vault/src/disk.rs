//! Files that are private, and replaced as a whole or not at all.
//!
//! Invariant of [`replace`]: at every moment, also after a power cut, the file holds either all of the old or
//! all of the new bytes. The steps are: write a temporary file, fsync it, rename, fsync the directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::crypto;

/// Ending of a file that is not finished yet.
const TEMPORARY: &str = "new";

/// Makes a directory, with its parents, that only its owner can enter.
pub(crate) fn create_private_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    private_builder().create(directory)?;
    directory.parent().map_or(Ok(()), sync_directory)
}

#[cfg(unix)]
fn private_builder() -> fs::DirBuilder {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Elsewhere a directory inherits the access list of its parent.
#[cfg(not(unix))]
fn private_builder() -> fs::DirBuilder {
    fs::DirBuilder::new()
}

/// Opens a file for reading and writing, makes it (mode 0600) if there is none, and never follows a link.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW.bits();
        options.mode(0o600).custom_flags(flags.cast_signed());
    }
    options.open(path)
}

/// Replaces the content of a file, or makes the file.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary_of(path);
    // Left over from a crash; it was never the file.
    remove(&temporary)?;
    let mut file = open_private(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Overwrites a file with random bytes and removes it. On flash the old bytes may survive underneath: what was
/// in the file must be useless without something that lives elsewhere. Says whether there was a file.
pub(crate) fn shred(path: &Path) -> io::Result<bool> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut left = file.metadata()?.len();
    let mut noise = [0; 4096];
    file.rewind()?;
    while left > 0 {
        crypto::fill_random(&mut noise);
        let part = usize::try_from(left).unwrap_or(noise.len()).min(noise.len());
        file.write_all(&noise[..part])?;
        left -= part as u64;
    }
    file.sync_all()?;
    drop(file);
    remove(path)?;
    path.parent().map_or(Ok(()), sync_directory)?;
    Ok(true)
}

/// Removes a file; it is no failure if there is none.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a file of at most `limit` bytes, or nothing if there is none. A longer file is not read to its end.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Where [`replace`] writes first.
pub(crate) fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    PathBuf::from(name)
}

#[cfg(unix)]
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    // `parent()` of a bare file name is the empty path.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

/// Elsewhere a rename is durable with the file system's own journal; directories cannot be opened.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_left_by_a_crash_is_no_obstacle() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        replace(&path, b"old").unwrap();
        fs::write(temporary_of(&path), b"half of the n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!temporary_of(&path).exists());
    }

    #[test]
    fn a_shredded_file_is_overwritten_before_it_goes() {
        let place = tempfile::tempdir().unwrap();
        let (path, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&path, [7; 10_000]).unwrap();
        fs::hard_link(&path, &link).unwrap();
        assert!(shred(&path).unwrap());
        assert!(!path.exists());
        let rest = fs::read(link).unwrap();
        assert_eq!(rest.len(), 10_000);
        assert!(rest.windows(8).all(|window| window != [7; 8]));
        assert!(!shred(&path).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (target, link) = (place.path().join("target"), place.path().join("link"));
        fs::write(&target, b"x").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(open_private(&link).is_err());
    }
}
