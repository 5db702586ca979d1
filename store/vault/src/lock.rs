//! One process, and in it one vault, for each store directory.
//!
//! The lock belongs to the open file: it ends with the process, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::disk;
use crate::error::Error;
use crate::layout::LOCK_FILE;

/// Takes the lock of a directory, or says at once that somebody else has it.
pub(crate) fn take(directory: &Path) -> Result<File, Error> {
    let step = "opening the lock file";
    let file = disk::open_private(&directory.join(LOCK_FILE)).map_err(Error::io(step))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::AlreadyOpen),
        Err(TryLockError::Error(error)) => Err(Error::io(step)(error)),
    }
}
