#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod block;
mod bytes;
mod commit;
mod cursor;
mod directory;
mod error;
mod filter;
mod gather;
mod lists;
mod merge;
mod merged;
mod postings;
mod range;
mod run;
mod scan;
mod segment;
mod snapshot;
mod state;
mod storage;
mod superseded;
mod union;
mod view;

pub use roaring::RoaringBitmap;

pub use commit::{COMMIT_BYTES_MAX, Commit, TERM_BYTES_MAX};
pub use directory::Estimate;
pub use error::{CommitError, Corrupt, Error, Expired};
pub use merge::{BULK_FAN_OUT, Choice, FAN_OUT, Merge};
pub use range::{Direction, TermRange};
pub use scan::Scan;
pub use snapshot::{Options, Snapshot};
pub use state::{PENDING_DOCUMENTS_MAX, PENDING_POSTINGS_MAX};
pub use storage::{BLOCK_BYTES_MAX, BlockId, BlockStorage, IndexStorage, MemoryStorage, SegmentId};
pub use view::View;

/// A document: the number of one version of one resource. Documents start at 1 and rise.
pub type Doc = u32;
