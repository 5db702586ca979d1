//! Limits: the largest of everything that travels.
//!
//! Promise: no message makes a receiver hold more than these, whatever the sender does. Bytes are counted before
//! compression.

/// Mutations in one push.
pub const MUTATIONS_MAX: usize = 200;

/// Bytes of the mutations of one push, beyond which only a group that was begun is finished.
pub const PUSH_BYTES: usize = 256 << 10;

/// One line of any message, without its line feed; so also the largest resource that travels, its envelope included.
pub const LINE_BYTES_MAX: usize = 4 << 20;

/// A push as a whole: one mutation of the largest size, or a group.
pub const PUSH_BYTES_MAX: usize = LINE_BYTES_MAX + PUSH_BYTES;

/// Rows of a page, when the request does not say.
pub const PULL_ROWS: u32 = 5_000;

/// Rows of a page, at most; outcomes of the device's own mutations come on top.
pub const PULL_ROWS_MAX: u32 = 10_000;

/// Bytes of the rows of a page, when the request does not say.
pub const PULL_BYTES: u32 = PULL_BYTES_MAX;

/// Bytes of the rows of a page, at most, but for the last row, which is always sent whole.
pub const PULL_BYTES_MAX: u32 = 8 << 20;

/// A page as a whole: its head, its outcomes and its rows.
pub const PAGE_BYTES_MAX: usize = 5 * LINE_BYTES_MAX;

/// Outcomes in a page or an answer to a push. A device that has more unsettled mutations waits.
pub const OUTCOMES_MAX: usize = 1_000;

/// Bytes of the outcomes in a page, beyond which the others wait for the next one.
pub const OUTCOMES_BYTES: usize = LINE_BYTES_MAX;

/// Scopes that a subject holds.
pub const SCOPES_MAX: usize = 10_000;

/// Scopes that one pull names with positions of their own; others wait.
pub const HYDRATING_MAX: usize = 2_000;

/// A request for a page, with all of these.
pub const PULL_REQUEST_BYTES_MAX: usize = 256 << 10;

/// How long a pull may wait for news, in milliseconds.
pub const WAIT_MS_MAX: u32 = 30_000;

/// Losing edits in one park.
pub const PARK_RECORDS_MAX: usize = 100;

/// A park as a whole: one record has up to two bodies in its line.
pub const PARK_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;

/// Ranges in one request for digests.
pub const RANGES_MAX: usize = 256;

/// A range with no more members than this is answered with the members.
pub const RANGE_ROWS_MAX: usize = 64;

/// A message that is a single line, except for those with a limit of their own.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// The answer to a request for digests.
pub const DIGEST_BYTES_MAX: usize = LINE_BYTES_MAX;

/// The answer to an enrolment: certificates come in it.
pub const ENROL_BYTES_MAX: usize = 256 << 10;

/// Scopes named in one hint. A hint of more changes names none.
pub const HINT_SCOPES_MAX: usize = 100;

/// A dictionary.
pub const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// What a decompressor may look back: the memory it needs. Also the largest window that a sender may use.
pub const WINDOW_BYTES_MAX: usize = 8 << 20;

/// Attachments longer than this travel apart, in bytes of their base64 text.
pub const BLOB_BYTES_MIN: usize = keepwell_fhir::ATTACHMENT_INLINE_BYTES;

/// The largest attachment.
pub const BLOB_BYTES_MAX: u64 = 1 << 30;

/// A chunk of an upload, but for the last.
pub const CHUNK_BYTES_MIN: usize = 256 << 10;

/// A chunk of an upload, at most.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A reason or a label that a person typed.
pub const NOTE_BYTES_MAX: usize = 1_024;

/// A word or a fingerprint.
pub const WORD_BYTES_MAX: usize = 64;

/// Kinds of servers that were refused, in one report.
pub const REFUSED_SERVERS_MAX: usize = 32;

/// Paths that a merge or a conflict names.
pub const PATHS_MAX: usize = 256;
