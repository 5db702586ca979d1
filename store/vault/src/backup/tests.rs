use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("store.db"), b"x").unwrap();
    fs::create_dir(place.path().join("blobs")).unwrap();
    place
}

/// Marks that this file system may lack; on a common Linux disk they are all there.
const ALL: &[Mark] = &[Mark::Permissions, Mark::CacheTag, Mark::NoBackupFile];

#[test]
fn marks_are_applied_once_and_then_found() {
    let place = place();
    let before = check(place.path(), None).unwrap();
    assert!(!before.is_complete());
    assert_eq!(before.outcome(Mark::CacheTag), Some(Outcome::Missing));
    let first = apply(place.path(), None).unwrap();
    assert!(first.is_complete(), "{first:?}");
    assert!(ALL.iter().all(|mark| first.outcome(*mark) == Some(Outcome::Applied)), "{first:?}");
    for report in [check(place.path(), None).unwrap(), apply(place.path(), None).unwrap()] {
        assert!(
            report
                .marks
                .iter()
                .all(|(_, outcome)| matches!(outcome, Outcome::Verified | Outcome::Unsupported))
        );
    }
    let tag = fs::read_to_string(place.path().join("CACHEDIR.TAG")).unwrap();
    assert_eq!(tag.lines().next(), Some("Signature: 8a477f597d28d172789f06886806bc55"));
}

#[cfg(target_os = "linux")]
#[test]
fn linux_marks_are_really_on_directory_and_files() {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{IFlags, getxattr, ioctl_getflags};

    let place = place();
    let report = apply(place.path(), None).unwrap();
    for path in [place.path().to_owned(), place.path().join("store.db"), place.path().join("CACHEDIR.TAG")] {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 });
        // A file system without the mark says so; then there is nothing to look at.
        if report.outcome(Mark::RobotsAttribute) != Some(Outcome::Unsupported) {
            let mut value = [0; 16];
            let length = getxattr(&path, "user.xdg.robots.backup", &mut value).unwrap();
            assert_eq!(&value[..length], b"false");
        }
        if report.outcome(Mark::NoDump) != Some(Outcome::Unsupported) {
            let file = fs::File::open(&path).unwrap();
            assert!(ioctl_getflags(&file).unwrap().contains(IFlags::NODUMP), "{}", path.display());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_mark_that_was_removed_comes_back() {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags, removexattr};
    use std::os::unix::fs::PermissionsExt as _;

    let place = place();
    let first = apply(place.path(), None).unwrap();
    let supported = |mark| first.outcome(mark) != Some(Outcome::Unsupported);
    let database = place.path().join("store.db");
    fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(place.path().join("CACHEDIR.TAG"), b"Signature: none").unwrap();
    let mut removed = vec![Mark::Permissions, Mark::CacheTag];
    if supported(Mark::RobotsAttribute) {
        removexattr(&database, "user.xdg.robots.backup").unwrap();
        removed.push(Mark::RobotsAttribute);
    }
    if supported(Mark::NoDump) {
        let file = fs::File::open(&database).unwrap();
        ioctl_setflags(&file, ioctl_getflags(&file).unwrap() - IFlags::NODUMP).unwrap();
        removed.push(Mark::NoDump);
    }
    let seen = check(place.path(), None).unwrap();
    let back = apply(place.path(), None).unwrap();
    for mark in removed {
        assert_eq!(seen.outcome(mark), Some(Outcome::Missing), "{mark:?}");
        assert_eq!(back.outcome(mark), Some(Outcome::Applied), "{mark:?}");
    }
    assert!(check(place.path(), None).unwrap().is_complete());
}

struct Guard {
    works: bool,
    applied: AtomicBool,
}

impl BackupGuard for Guard {
    fn apply(&self, _: &Path) -> io::Result<()> {
        self.applied.store(self.works, Ordering::Relaxed);
        Ok(())
    }

    fn is_applied(&self, _: &Path) -> bool {
        self.applied.load(Ordering::Relaxed)
    }
}

#[test]
fn a_host_is_believed_only_when_it_confirms() {
    let place = place();
    for (works, expected) in [(true, Outcome::Applied), (false, Outcome::Failed)] {
        let guard = Guard { works, applied: AtomicBool::new(false) };
        assert_eq!(check(place.path(), Some(&guard)).unwrap().outcome(Mark::Host), Some(Outcome::Missing));
        let report = apply(place.path(), Some(&guard)).unwrap();
        assert_eq!(report.outcome(Mark::Host), Some(expected));
        assert_eq!(report.is_complete(), works);
    }
}
