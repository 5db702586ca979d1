//! What callers get by value.

use std::ffi::c_char;

use keepwell_store::{Operation, Written};

use crate::error::Bug;

/// Bytes of an id with the zero at its end: R4 allows 64 characters.
pub const KEEPWELL_ID_BYTES: usize = 65;

/// What was done to a resource.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellOperation {
    /// Nothing: the content was the current content already.
    Unchanged = 0,
    /// The first version, or the first after a deletion.
    Create = 1,
    /// A further version.
    Update = 2,
    /// A version that is a deletion.
    Delete = 3,
    /// Content and history were removed for good.
    Purge = 4,
}

impl From<Option<Operation>> for KeepwellOperation {
    fn from(operation: Option<Operation>) -> Self {
        match operation {
            Some(Operation::Create) => Self::Create,
            Some(Operation::Update) => Self::Update,
            Some(Operation::Delete) => Self::Delete,
            Some(Operation::Purge) => Self::Purge,
            _ => Self::Unchanged,
        }
    }
}

/// What a write did.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeepwellWritten {
    /// The id of the resource, with a zero byte at its end.
    pub id: [c_char; KEEPWELL_ID_BYTES],
    /// meta.versionId.
    pub version: u64,
    /// meta.lastUpdated, in milliseconds since 1970-01-01T00:00Z.
    pub last_updated_ms: i64,
    /// What was done.
    pub operation: KeepwellOperation,
}

impl From<&Written> for KeepwellWritten {
    fn from(written: &Written) -> Self {
        let mut id = [0; KEEPWELL_ID_BYTES];
        for (to, from) in id.iter_mut().take(KEEPWELL_ID_BYTES - 1).zip(written.id.bytes()) {
            *to = from.cast_signed() as c_char;
        }
        Self {
            id,
            version: written.version,
            last_updated_ms: written.last_updated.ms(),
            operation: written.operation.into(),
        }
    }
}

impl KeepwellWritten {
    /// What was done to a resource that never was.
    pub(crate) fn nothing() -> Self {
        let id = [0; KEEPWELL_ID_BYTES];
        Self { id, version: 0, last_updated_ms: 0, operation: KeepwellOperation::Unchanged }
    }
}

/// Writes a value to where the caller wants it.
///
/// # Safety
/// `out` is null or points to memory for a `T`.
pub(crate) unsafe fn give<T>(value: T, out: *mut T) -> Result<(), Bug> {
    if out.is_null() {
        return Err(Bug::Null);
    }
    // SAFETY: not null, and by the contract above it may be written.
    unsafe { out.write(value) };
    Ok(())
}

/// As [`give`], where the caller may not want it.
///
/// # Safety
/// As [`give`].
pub(crate) unsafe fn offer<T>(value: T, out: *mut T) {
    if !out.is_null() {
        // SAFETY: not null, and by the contract above it may be written.
        unsafe { out.write(value) };
    }
}
