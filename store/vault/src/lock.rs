//! One process, and in it one vault, for each store directory.
//!
//! The lock belongs to the open file: it ends with the process, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::disk;
use crate::error::Error;
use crate::layout::LOCK_FILE;

/// A process that this one has just forked holds the lock of a store that was closed meanwhile, until it executes its
/// program: so a lock that is taken is looked at again before it is believed.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Takes the lock of a directory, or says within a tenth of a second that somebody else has it.
pub(crate) fn take(directory: &Path) -> Result<File, Error> {
    let step = "opening the lock file";
    let file = disk::open_private(&directory.join(LOCK_FILE)).map_err(Error::io(step))?;
    for _ in 0..LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_LOOKS),
            Err(TryLockError::Error(error)) => return Err(Error::io(step)(error)),
        }
    }
    Err(Error::AlreadyOpen)
}
