//! Versions of the protocol.
//!
//! The path (`/sync/v1`) names the framing; `v` in each request names the meaning. A receiver ignores members that it
//! does not know, and stops at outcomes and row states that it does not know: these decide what becomes of data.

use crate::error::{Error, Result};

/// The oldest version that this program speaks.
pub const VERSION_MIN: u32 = 1;

/// The newest version that this program speaks.
pub const VERSION_MAX: u32 = 1;

/// The version to speak with a server that speaks `min` to `max`: the newest in common.
///
/// ```
/// use keepwell_protocol::{Error, negotiate};
/// assert_eq!(negotiate(1, 3), Ok(1));
/// assert_eq!(negotiate(2, 3), Err(Error::NoCommonVersion { min: 2, max: 3 }));
/// ```
///
/// # Errors
/// [`Error::NoCommonVersion`].
pub fn negotiate(min: u32, max: u32) -> Result<u32> {
    let version = max.min(VERSION_MAX);
    if min <= max && version >= min.max(VERSION_MIN) {
        Ok(version)
    } else {
        Err(Error::NoCommonVersion { min, max })
    }
}

/// Whether a request in version `v` is one that this program can answer.
///
/// # Errors
/// [`Error::NoCommonVersion`] with this program's own versions, for the answer.
pub fn check_version(v: u32) -> Result<()> {
    if (VERSION_MIN..=VERSION_MAX).contains(&v) {
        Ok(())
    } else {
        Err(Error::NoCommonVersion { min: VERSION_MIN, max: VERSION_MAX })
    }
}
