//! What callers hand in: text and bytes by address and length.

use std::ffi::c_char;
use std::path::PathBuf;
use std::slice;

use keepwell_store::fhir::ResourceType;

use crate::error::{Bug, Failure};

/// UTF-8 of `length` bytes, without a zero byte at its end. The callee reads it during the call only. A null address
/// with length 0 is empty text; where text may be left out, that is no text.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeepwellText {
    /// The first byte.
    pub data: *const c_char,
    /// How many bytes.
    pub length: usize,
}

impl KeepwellText {
    /// The bytes.
    ///
    /// # Safety
    /// `data` points to `length` bytes that nobody writes to during the call, or is null.
    pub(crate) unsafe fn bytes<'a>(self) -> Result<&'a [u8], Bug> {
        if self.length > isize::MAX as usize {
            return Err(Bug::Length);
        }
        match (self.data.is_null(), self.length) {
            (_, 0) => Ok(&[]),
            (true, _) => Err(Bug::Null),
            // SAFETY: not null, and the caller promises that many bytes.
            (false, length) => Ok(unsafe { slice::from_raw_parts(self.data.cast(), length) }),
        }
    }

    /// The text.
    ///
    /// # Safety
    /// As [`Self::bytes`].
    pub(crate) unsafe fn text<'a>(self) -> Result<&'a str, Bug> {
        // SAFETY: by the same contract.
        std::str::from_utf8(unsafe { self.bytes() }?).map_err(|_| Bug::Text)
    }

    /// The text, `None` where it was left out.
    ///
    /// # Safety
    /// As [`Self::bytes`].
    pub(crate) unsafe fn given<'a>(self) -> Result<Option<&'a str>, Bug> {
        // SAFETY: by the same contract.
        Ok(Some(unsafe { self.text() }?).filter(|text| !text.is_empty()))
    }

    /// A path.
    ///
    /// # Safety
    /// As [`Self::bytes`].
    pub(crate) unsafe fn path(self) -> Result<PathBuf, Bug> {
        // SAFETY: by the same contract.
        Ok(PathBuf::from(unsafe { self.text() }?))
    }

    /// The name of a resource type.
    ///
    /// # Safety
    /// As [`Self::bytes`].
    pub(crate) unsafe fn resource_type(self) -> Result<ResourceType, Failure> {
        // SAFETY: by the same contract.
        ResourceType::parse(unsafe { self.text() }?)
            .ok_or_else(|| keepwell_store::Error::Argument("not a resource type of R4").into())
    }
}
