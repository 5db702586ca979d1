//! Keeping the directory of a store out of backups.
//!
//! A backup of a store is useless without the keychain, and security does not rest on exclusion (requirement
//! R-48); but a copy that is never made cannot be attacked. Marks are applied and read back at every open,
//! because restoring, replacing and moving files lose them.
//!
//! | platform | mark |
//! |---|---|
//! | all | `CACHEDIR.TAG`, `.nobackup` |
//! | Unix | mode 0700 for the directory, 0600 for its files |
//! | Linux | attribute `user.xdg.robots.backup=false`, flag `nodump` |
//! | macOS | attribute `com.apple.metadata:com_apple_backup_excludeItem` |
//! | iOS, Android, Windows | the host does it and confirms it through a [`BackupGuard`] |
//!
//! Marks are requests: each backup program decides whether it follows them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::Error;
use crate::layout::BLOB_DIRECTORY;

/// First line of `CACHEDIR.TAG`, exactly.
const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This directory holds a Keepwell store; backups of it cannot be opened.\n\
    # See https://bford.info/cachedir/\n";
const CACHE_TAG_FILE: &str = "CACHEDIR.TAG";
const NO_BACKUP_FILE: &str = ".nobackup";

/// One way to keep files out of backups, or from the eyes of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mark {
    /// Only the owner can enter the directory and read its files.
    Permissions,
    /// `CACHEDIR.TAG` with its signature.
    CacheTag,
    /// `.nobackup`.
    NoBackupFile,
    /// Attribute `user.xdg.robots.backup=false` (Linux).
    RobotsAttribute,
    /// Flag `nodump` (Linux).
    NoDump,
    /// The attribute that Time Machine reads (macOS).
    TimeMachine,
    /// What the host does.
    Host,
}

/// What became of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Found in place.
    Verified,
    /// Was missing; set and read back now.
    Applied,
    /// Missing. From [`check`] only, which changes nothing.
    Missing,
    /// This platform or file system does not have it.
    Unsupported,
    /// Could not be set.
    Failed,
}

/// The marks of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Each mark once, with its worst outcome over directory and files.
    pub marks: Vec<(Mark, Outcome)>,
}

impl Report {
    /// Whether each mark that this platform supports is in place.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.marks.iter().all(|(_, outcome)| !matches!(outcome, Outcome::Missing | Outcome::Failed))
    }

    /// The outcome of one mark.
    #[must_use]
    pub fn outcome(&self, mark: Mark) -> Option<Outcome> {
        self.marks.iter().find(|(found, _)| *found == mark).map(|(_, outcome)| *outcome)
    }
}

/// Excludes a directory where only the host can: `isExcludedFromBackup` on iOS, the no-backup directory on
/// Android, the registry on Windows.
pub trait BackupGuard: Send + Sync {
    /// Sets the mark. Called at every open.
    ///
    /// # Errors
    /// Any failure; its kind is reported as [`Outcome::Failed`].
    fn apply(&self, directory: &Path) -> io::Result<()>;

    /// Reads the mark back from the platform.
    fn is_applied(&self, directory: &Path) -> bool;
}

/// Sets what is missing and reads everything back.
///
/// # Errors
/// [`Error::Io`] if the directory itself cannot be read or made private; a mark that fails is in the report.
pub fn apply(directory: impl AsRef<Path>, guard: Option<&dyn BackupGuard>) -> Result<Report, Error> {
    walk(directory.as_ref(), guard, true)
}

/// Reads the marks and changes nothing.
///
/// # Errors
/// [`Error::Io`] if the directory cannot be read.
pub fn check(directory: impl AsRef<Path>, guard: Option<&dyn BackupGuard>) -> Result<Report, Error> {
    walk(directory.as_ref(), guard, false)
}

fn walk(directory: &Path, guard: Option<&dyn BackupGuard>, change: bool) -> Result<Report, Error> {
    let mut report = Report { marks: Vec::new() };
    report.note(Mark::CacheTag, tag_file(&directory.join(CACHE_TAG_FILE), CACHE_TAG.as_bytes(), change));
    report.note(Mark::NoBackupFile, tag_file(&directory.join(NO_BACKUP_FILE), b"", change));
    let mut paths = vec![directory.to_owned()];
    while let Some(path) = paths.pop() {
        let found = match path.symlink_metadata() {
            Ok(found) => found,
            // SQLite removes its files when it likes.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != directory => continue,
            Err(error) => return Err(Error::io("reading the store directory")(error)),
        };
        if found.is_symlink() {
            continue;
        }
        for &(mark, support) in platform::MARKS {
            report.note(mark, settle(support, &path, &found, change));
        }
        // Blobs are many and inherit the marks of their directory.
        if found.is_dir() && path.file_name() != Some(BLOB_DIRECTORY.as_ref()) {
            list(&path, &mut paths)?;
        }
    }
    if let Some(guard) = guard {
        report.note(Mark::Host, host(guard, directory, change));
    }
    report.marks.sort_by_key(|(mark, _)| *mark);
    Ok(report)
}

fn list(directory: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Error> {
    let entries = fs::read_dir(directory).map_err(Error::io("reading the store directory"))?;
    for entry in entries {
        paths.push(entry.map_err(Error::io("reading the store directory"))?.path());
    }
    Ok(())
}

impl Report {
    /// Keeps the worst outcome: the order of the variants of `rank`.
    fn note(&mut self, mark: Mark, outcome: Outcome) {
        const fn rank(outcome: Outcome) -> u8 {
            match outcome {
                Outcome::Verified => 0,
                Outcome::Applied => 1,
                Outcome::Unsupported => 2,
                Outcome::Missing => 3,
                Outcome::Failed => 4,
            }
        }
        match self.marks.iter_mut().find(|(found, _)| *found == mark) {
            Some((_, worst)) if rank(outcome) > rank(*worst) => *worst = outcome,
            Some(_) => {}
            None => self.marks.push((mark, outcome)),
        }
    }
}

/// One mark on one path: how to read it and how to set it.
#[derive(Clone, Copy)]
struct Support {
    is_set: fn(&Path, &fs::Metadata) -> io::Result<bool>,
    set: fn(&Path, &fs::Metadata) -> io::Result<()>,
}

fn settle(support: Support, path: &Path, found: &fs::Metadata, change: bool) -> Outcome {
    let is_set = || {
        let found = path.symlink_metadata()?;
        (support.is_set)(path, &found)
    };
    match is_set() {
        Ok(true) => return Outcome::Verified,
        Err(error) if is_unsupported(&error) => return Outcome::Unsupported,
        _ if !change => return Outcome::Missing,
        _ => {}
    }
    match (support.set)(path, found).and_then(|()| is_set()) {
        Ok(true) => Outcome::Applied,
        Err(error) if is_unsupported(&error) => Outcome::Unsupported,
        _ => Outcome::Failed,
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || platform::is_unsupported(error)
}

fn tag_file(path: &Path, content: &[u8], change: bool) -> Outcome {
    let is_set = || matches!(disk::read(path, 4096), Ok(Some(found)) if found.starts_with(content));
    if is_set() {
        return Outcome::Verified;
    }
    if !change {
        return Outcome::Missing;
    }
    match disk::replace(path, content) {
        Ok(()) if is_set() => Outcome::Applied,
        _ => Outcome::Failed,
    }
}

fn host(guard: &dyn BackupGuard, directory: &Path, change: bool) -> Outcome {
    if guard.is_applied(directory) {
        return Outcome::Verified;
    }
    if !change {
        return Outcome::Missing;
    }
    match guard.apply(directory) {
        Ok(()) if guard.is_applied(directory) => Outcome::Applied,
        Err(error) if is_unsupported(&error) => Outcome::Unsupported,
        _ => Outcome::Failed,
    }
}

#[cfg(unix)]
mod platform {
    use std::fs::{self, Metadata, Permissions};
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Mark, Support};

    const PERMISSIONS: Support = Support {
        is_set: |_, found| Ok(found.permissions().mode() & 0o777 == wanted(found)),
        set: |path, found| fs::set_permissions(path, Permissions::from_mode(wanted(found))),
    };

    fn wanted(found: &Metadata) -> u32 {
        if found.is_dir() { 0o700 } else { 0o600 }
    }

    #[cfg(target_os = "linux")]
    pub(super) const MARKS: &[(Mark, Support)] = &[
        (Mark::Permissions, PERMISSIONS),
        (Mark::RobotsAttribute, attribute::ROBOTS),
        (Mark::NoDump, flag::NO_DUMP),
    ];

    #[cfg(target_os = "macos")]
    pub(super) const MARKS: &[(Mark, Support)] =
        &[(Mark::Permissions, PERMISSIONS), (Mark::TimeMachine, attribute::TIME_MACHINE)];

    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    pub(super) const MARKS: &[(Mark, Support)] = &[(Mark::Permissions, PERMISSIONS)];

    pub(super) fn is_unsupported(error: &io::Error) -> bool {
        use rustix::io::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        errno.is_some_and(|errno| [Errno::NOTSUP, Errno::NOTTY, Errno::NOSYS].contains(&errno))
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    mod attribute {
        use super::{Support, io};
        use rustix::fs::{XattrFlags, getxattr, setxattr};
        use rustix::io::Errno;

        #[cfg(target_os = "linux")]
        const NAME: &str = "user.xdg.robots.backup";
        #[cfg(target_os = "linux")]
        const VALUE: &[u8] = b"false";
        #[cfg(target_os = "linux")]
        pub(super) const ROBOTS: Support = SUPPORT;

        #[cfg(target_os = "macos")]
        const NAME: &str = "com.apple.metadata:com_apple_backup_excludeItem";
        /// The string `com.apple.backupd` as a binary property list.
        #[cfg(target_os = "macos")]
        const VALUE: &[u8] = b"bplist00\x5f\x10\x11com.apple.backupd\x08\
            \0\0\0\0\0\0\x01\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1c";
        #[cfg(target_os = "macos")]
        pub(super) const TIME_MACHINE: Support = SUPPORT;

        const SUPPORT: Support = Support {
            is_set: |path, _| {
                let mut value = [0; 128];
                match getxattr(path, NAME, &mut value) {
                    Ok(length) => Ok(value[..length] == *VALUE),
                    #[cfg(target_os = "linux")]
                    Err(Errno::NODATA) => Ok(false),
                    #[cfg(target_os = "macos")]
                    Err(Errno::NOATTR) => Ok(false),
                    Err(error) => Err(io::Error::from(error)),
                }
            },
            set: |path, _| setxattr(path, NAME, VALUE, XattrFlags::empty()).map_err(io::Error::from),
        };
    }

    #[cfg(target_os = "linux")]
    mod flag {
        use super::{Support, io};
        use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
        use std::fs::{File, OpenOptions};
        use std::os::unix::fs::OpenOptionsExt as _;
        use std::path::Path;

        pub(super) const NO_DUMP: Support = Support {
            is_set: |path, _| Ok(ioctl_getflags(open(path)?)?.contains(IFlags::NODUMP)),
            set: |path, _| {
                let file = open(path)?;
                let flags = ioctl_getflags(&file)?;
                ioctl_setflags(&file, flags | IFlags::NODUMP).map_err(io::Error::from)
            },
        };

        fn open(path: &Path) -> io::Result<File> {
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use super::{Mark, Support};
    use std::io;

    pub(super) const MARKS: &[(Mark, Support)] = &[];

    pub(super) fn is_unsupported(_error: &io::Error) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
