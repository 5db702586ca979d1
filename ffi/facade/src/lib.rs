#![doc = include_str!("../README.md")]
#![allow(
    unsafe_code,
    reason = "UniFFI's macros write the functions that foreign code calls; nothing else is unsafe"
)]

mod attachments;
mod audit;
mod backup;
mod boundary;
mod conflict;
mod error;
mod feed;
mod fhir_server;
mod keychain;
mod logger;
mod options;
mod pool;
mod progress;
mod records;
mod search;
mod session;
mod store;
mod sync;
mod vault;

pub use attachments::Attachments;
pub use audit::{Audit, AuditPage, VerifyReport};
pub use backup::BackupGuard;
pub use conflict::{Conflict, ConflictDetails, ConflictKind};
pub use error::{ErrorCode, KeepwellError, error_codes, rehearse_error};
pub use feed::{Change, ChangeFeed, ChangeListener, LiveChange, LiveKind, LiveQuery, Subscription};
pub use fhir_server::{FhirServer, FhirWrites, TokenProvider};
pub use keychain::{HostKeychain, KeychainFault};
pub use logger::{LogLevel, Logger, set_logger};
pub use options::{KeychainChoice, StoreOptions};
pub use progress::{ListenerFault, ProgressListener};
pub use records::{ImportOptions, ImportReport, Operation, PatchFormat, Refusal, StoreStats, Written};
pub use search::{PlanStep, SearchEntry, SearchMode, SearchPage};
pub use session::{HistoryPage, Session};
pub use store::{Store, StoreState, version};
pub use sync::{Sync, SyncReport, SyncStatus};
pub use vault::Vault;

uniffi::setup_scaffolding!("keepwell");
