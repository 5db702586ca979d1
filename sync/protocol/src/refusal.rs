//! Refusals: what a server answers when it does not do what was asked.
//!
//! A refusal is one JSON object with its name in `error`. Whatever it is, the outbox of the device stays as it was.

use serde::{Deserialize, Serialize};

use crate::cursor::CursorError;
use crate::document::{Document, from_bytes, to_bytes};
use crate::error::Error;
use crate::hash::Hash;
use crate::number::Sequence;
use crate::version::{VERSION_MAX, VERSION_MIN};
use crate::wipe::WipeOrder;

/// Why a device has to fetch everything again. What it has stays readable, marked as stale, and its unsent edits
/// keep their bases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResyncReason {
    /// The cursor is older than the oldest tombstone.
    Floor,
    /// The server's history is another one.
    Epoch,
    /// The cursor is ahead of the server.
    Ahead,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}

impl From<CursorError> for ResyncReason {
    fn from(error: CursorError) -> Self {
        match error {
            CursorError::OtherEpoch => Self::Epoch,
            CursorError::Stale => Self::Floor,
            CursorError::Ahead => Self::Ahead,
        }
    }
}

/// Why a server did not do what was asked. [`Refusal::code`] is stable across releases.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request is not one of this protocol (400). A bug, here or there.
    #[error("the server does not understand the request")]
    BadRequest,
    /// The server does not know this device (401). Enrol.
    #[error("the server does not know this device")]
    UnknownDevice,
    /// The device was locked out (403). Keep the store locked.
    #[error("the device has been revoked")]
    Revoked,
    /// The store is to be destroyed (403), if the order is genuine.
    #[error("the server orders the store to be wiped")]
    Wipe(WipeOrder),
    /// The invitation is unknown, used or too old (403).
    #[error("the invitation is not valid")]
    Invitation,
    /// Not for this device, tenant or user (403).
    #[error("the server does not allow this")]
    Forbidden,
    /// There is no such thing, or none that this device may see (404).
    #[error("the server has no such thing")]
    NotFound,
    /// Mutations before these are missing (409). Send from there.
    #[error("the server expects another mutation first")]
    SequenceGap {
        /// The number to begin with.
        expected: Sequence,
    },
    /// A number came with other bytes than the first time (409): this database was restored. Take a new incarnation.
    #[error("a mutation number was used twice")]
    SequenceReused,
    /// A chunk begins elsewhere than the upload ends (409).
    #[error("the upload continues elsewhere")]
    UploadOffset {
        /// Where it continues.
        expected: u64,
    },
    /// The cursor is void (410). Fetch everything again.
    #[error("the server's history does not reach back to the cursor")]
    Resync(ResyncReason),
    /// The request is too large (413). Send less at once.
    #[error("the request is too large for the server")]
    TooLarge,
    /// The server cannot read this encoding or does not have the dictionary (415). Send it plain.
    #[error("the server cannot read the encoding of the request")]
    Encoding {
        /// The dictionaries that it has.
        dicts: Vec<Hash>,
    },
    /// The bytes of a blob are not those of its hash (422). Send it again from the start.
    #[error("the uploaded bytes have another hash")]
    HashMismatch,
    /// No version in common (426). Update the program.
    #[error("the server speaks other versions of the protocol")]
    Upgrade {
        /// Its oldest.
        min: u32,
        /// Its newest.
        max: u32,
    },
    /// Not now (429, 503).
    #[error("the server is busy")]
    Busy {
        /// How long to wait, if it says so.
        retry_after_s: Option<u32>,
    },
    /// Something else. Try again later.
    #[error("the server answered with status {status}")]
    Other {
        /// The HTTP status.
        status: u16,
    },
}

impl Refusal {
    /// The stable number of this refusal (docs/error-codes.md).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest => 430,
            Self::UnknownDevice => 431,
            Self::Revoked => 432,
            Self::Wipe(_) => 433,
            Self::Invitation => 434,
            Self::Forbidden => 435,
            Self::NotFound => 436,
            Self::SequenceGap { .. } => 437,
            Self::SequenceReused => 438,
            Self::UploadOffset { .. } => 439,
            Self::Resync(_) => 440,
            Self::TooLarge => 441,
            Self::Encoding { .. } => 442,
            Self::HashMismatch => 443,
            Self::Upgrade { .. } => 444,
            Self::Busy { .. } => 445,
            Self::Other { .. } => 446,
        }
    }

    /// The HTTP status that it travels with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::UnknownDevice => 401,
            Self::Revoked | Self::Wipe(_) | Self::Invitation | Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::SequenceGap { .. } | Self::SequenceReused | Self::UploadOffset { .. } => 409,
            Self::Resync(_) => 410,
            Self::TooLarge => 413,
            Self::Encoding { .. } => 415,
            Self::HashMismatch => 422,
            Self::Upgrade { .. } => 426,
            Self::Busy { .. } => 503,
            Self::Other { status } => *status,
        }
    }

    /// The body that a server sends.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&self.to_line())
    }

    /// What an answer with an error status says. A body that is none of a refusal (of a proxy, of a later version)
    /// is judged by the status; `retry_after_s` is the header `Retry-After`.
    #[must_use]
    pub fn from_response(status: u16, retry_after_s: Option<u32>, body: &[u8]) -> Self {
        let named = from_bytes::<Line>(body).ok().and_then(Self::from_line);
        match (named.unwrap_or(Self::Other { status }), status) {
            (Self::Busy { retry_after_s: None } | Self::Other { .. }, 429 | 503) => {
                Self::Busy { retry_after_s }
            }
            (Self::Other { .. }, 413) => Self::TooLarge,
            (Self::Other { .. }, _) => Self::Other { status },
            (named, _) => named,
        }
    }

    fn to_line(&self) -> Line {
        let mut line = Line { error: self.name().to_owned(), ..Line::default() };
        match self {
            Self::Wipe(order) => line.wipe = Some(order.clone()),
            Self::SequenceGap { expected } => line.expected = Some(expected.get()),
            Self::UploadOffset { expected } => line.expected = Some(*expected),
            Self::Resync(reason) => line.resync = Some(*reason),
            Self::Encoding { dicts } => line.dicts.clone_from(dicts),
            Self::Upgrade { min, max } => (line.min, line.max) = (Some(*min), Some(*max)),
            Self::Busy { retry_after_s } => line.retry_after_s = *retry_after_s,
            _ => {}
        }
        line
    }

    fn from_line(line: Line) -> Option<Self> {
        Some(match line.error.as_str() {
            "bad_request" => Self::BadRequest,
            "unknown_device" => Self::UnknownDevice,
            "revoked" => Self::Revoked,
            "wipe" => Self::Wipe(line.wipe?),
            "invitation" => Self::Invitation,
            "forbidden" => Self::Forbidden,
            "not_found" => Self::NotFound,
            "seq_gap" => Self::SequenceGap { expected: Sequence::new(line.expected?)? },
            "seq_reused" => Self::SequenceReused,
            "upload_offset" => Self::UploadOffset { expected: line.expected? },
            "resync" => Self::Resync(line.resync.unwrap_or(ResyncReason::Other)),
            "too_large" => Self::TooLarge,
            "encoding" => Self::Encoding { dicts: line.dicts },
            "hash_mismatch" => Self::HashMismatch,
            "upgrade" => Self::Upgrade { min: line.min?, max: line.max? },
            "busy" => Self::Busy { retry_after_s: line.retry_after_s },
            _ => return None,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::UnknownDevice => "unknown_device",
            Self::Revoked => "revoked",
            Self::Wipe(_) => "wipe",
            Self::Invitation => "invitation",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::SequenceGap { .. } => "seq_gap",
            Self::SequenceReused => "seq_reused",
            Self::UploadOffset { .. } => "upload_offset",
            Self::Resync(_) => "resync",
            Self::TooLarge => "too_large",
            Self::Encoding { .. } => "encoding",
            Self::HashMismatch => "hash_mismatch",
            Self::Upgrade { .. } => "upgrade",
            Self::Busy { .. } => "busy",
            Self::Other { .. } => "other",
        }
    }
}

/// What a server answers to a request that it cannot read.
impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        match error {
            Error::TooLarge(_) => Self::TooLarge,
            Error::UnknownEncoding | Error::UnknownDictionary => Self::Encoding { dicts: Vec::new() },
            Error::Cursor(error) => Self::Resync((*error).into()),
            Error::NoCommonVersion { .. } => Self::Upgrade { min: VERSION_MIN, max: VERSION_MAX },
            _ => Self::BadRequest,
        }
    }
}

/// A refusal as it is written.
#[derive(Default, Serialize, Deserialize)]
struct Line {
    error: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resync: Option<ResyncReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dicts: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wipe: Option<WipeOrder>,
}

impl Document for Line {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_refusal_of_ours_is_judged_by_its_status() {
        let wait = Some(7);
        for (status, body, expected) in [
            (502, &b"<html>Bad gateway</html>"[..], Refusal::Other { status: 502 }),
            (503, b"", Refusal::Busy { retry_after_s: wait }),
            (429, b"{\"error\":\"busy\"}", Refusal::Busy { retry_after_s: wait }),
            (503, b"{\"error\":\"busy\",\"retry_after_s\":9}", Refusal::Busy { retry_after_s: Some(9) }),
            (413, b"", Refusal::TooLarge),
            (400, b"{\"error\":\"of a later version\"}", Refusal::Other { status: 400 }),
            (403, b"{\"error\":\"wipe\"}", Refusal::Other { status: 403 }),
            (409, b"{\"error\":\"seq_gap\"}", Refusal::Other { status: 409 }),
            (410, b"{\"error\":\"resync\",\"resync\":\"later\"}", Refusal::Resync(ResyncReason::Other)),
            (401, b"{\"error\":\"unknown_device\",\"later\":[]}", Refusal::UnknownDevice),
        ] {
            assert_eq!(Refusal::from_response(status, wait, body), expected);
        }
    }
}
