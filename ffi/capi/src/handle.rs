//! The kinds of handles.
//!
//! A handle is a number, not an address: one that was freed, that is of another kind or that nobody gave out is told
//! from a good one, always. Zero is no handle.

/// A store: `keepwell_store_create`, `keepwell_store_open`; freed by
/// `keepwell_store_free`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepwellStore {
    /// Not for the caller.
    pub id: u64,
}

/// A person at work on an open store: `keepwell_session_begin`; freed by `keepwell_session_free`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepwellSession {
    /// Not for the caller.
    pub id: u64,
}

/// What follows a store or a search: `keepwell_observe`, `keepwell_observe_search`; freed by
/// `keepwell_feed_free`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepwellFeed {
    /// Not for the caller.
    pub id: u64,
}

/// Sync of a store: `keepwell_sync_open`; freed by `keepwell_sync_free`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepwellSync {
    /// Not for the caller.
    pub id: u64,
}

/// An error, with its texts: freed by `keepwell_error_free`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepwellError {
    /// Not for the caller. 0 where there is no error.
    pub id: u64,
}
