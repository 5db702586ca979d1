#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod apart;
mod archive;
mod attachment;
pub mod audit;
mod audit_access;
mod body;
mod bundle;
mod change_feed;
mod compression;
mod condition;
mod error;
mod export;
mod extension;
mod head;
mod history;
mod housekeeping;
mod id_key;
mod import;
mod index;
mod inner;
mod interaction;
mod prepare;
mod privileged;
mod schema;
mod search;
mod session;
mod stats;
mod store;
mod unit;
mod verify;
mod writer;

pub use archive::ArchiveError;
pub use audit::Actor;
pub use body::RESOURCE_BYTES_MAX;
pub use change_feed::{CHANGES_PAGE_MAX, Change, ChangeFeed, Operation, UNITS_WAITING_MAX};
pub use compression::Compression;
pub use error::{Error, Result};
pub use export::{ExportOptions, ExportProgress};
pub use extension::{Attachment, Changed, Current, Extension, Transaction, View};
pub use history::{HISTORY_PAGE_MAX, HistoryEntry, HistoryPage, HistoryQuery};
pub use id_key::IdKey;
pub use import::{
    COMMIT_BYTES_MAX, IMPORT_BATCH, ImportOptions, ImportProgress, ImportReport, ImportSource, OnError,
    REFUSALS_LISTED_MAX, Refusal,
};
pub use index::IndexProgress;
pub use inner::READS_WAITING_MAX;
pub use interaction::{Precondition, Written};
pub use privileged::Privileged;
pub use search::{
    CHECKED_MAX, INCLUDED_MAX, ITERATIONS_MAX, LASTN_MAX, LINK_AGE_MAX_MS, LINKS_FOLLOWED_MAX, LiveChange,
    LiveKind, LiveSearch, OwnParameter, PAGE_DEFAULT, PAGE_MAX, PlanStep, SearchEntry, SearchError,
    SearchPage,
};
pub use session::{Resource, Session};
pub use stats::Stats;
pub use store::{Store, StoreOptions};
pub use verify::{DEFECTS_MAX, Defect, DefectKind, VerifyOptions, VerifyProgress, VerifyReport};

pub use keepwell_fhir as fhir;
pub use keepwell_search as query;
pub use keepwell_sqlcipher::{Connection, Migration, WipingAllocator};
pub use keepwell_vault as vault;
