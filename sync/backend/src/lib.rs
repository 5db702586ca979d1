#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access;
mod archive;
mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
mod content;
mod defect;
mod device;
mod error;
mod feed;
mod memory;
mod provenance;
mod pull;
mod push;
mod rules;
mod tenant;

pub use access::{Access, Held, NEWS_POSITIONS_MAX, News};
pub use archive::{ARCHIVE_PAGE_MAX, Archived, Closed};
pub use backend::{Backend, Observer, Pushed, Redeem, Retention};
pub use content::{Content, DIRECTORY, LIBRARY, SCOPES_OF_RESOURCE_MAX};
pub use defect::Defect;
pub use device::{Device, DeviceState, Enrolled, LeasePolicy, Redeemed, SEEN_MS};
pub use error::{Error, Result};
pub use feed::{Change, NewContent, changed, changed_elsewhere};
pub use memory::{MemoryBackend, Snapshot};
pub use provenance::provenance_of;
pub use pull::NEXT_MS;
pub use rules::{UPLOAD_AGE_MS, UPLOADS_MAX};
pub use tenant::{
    Act, Before, Decided, Disclosure, FeedRow, FeedState, Head, Origin, Source, Storage, Tenant, UploadRow,
};
