#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access;
mod archive;
mod backend;
mod device;
mod error;

pub use access::{Access, Held, NEWS_SCOPES_MAX, News};
pub use archive::{ARCHIVE_PAGE_MAX, Archived};
pub use backend::{Backend, Observer, Pushed, Redeem, Retention};
pub use device::{Device, DeviceState, Enrolled, LeasePolicy, Redeemed, SEEN_MS};
pub use error::{Error, Result};
