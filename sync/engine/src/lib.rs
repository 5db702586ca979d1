#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod blobs;
mod defect;
mod edited;
mod effect;
mod engine;
mod error;
mod event;
mod join;
mod members;
mod memory;
mod outbox;
mod pause;
mod policy;
mod pull;
mod replica;
mod report;
mod rows;
mod scopes;
mod settle;
mod state;
mod tokens;
mod turn;

#[cfg(feature = "defects")]
pub use defect::Defect;
pub use edited::{Edited, Waiting, edited, waiting};
pub use effect::{Effect, Request, Ticket};
pub use engine::{Engine, Settings};
pub use error::Stop;
pub use event::{Answer, Event, Failure, Now, Traffic};
pub use join::{Joined, join};
pub use memory::MemoryReplica;
pub use pause::Pause;
pub use policy::Policy;
pub use replica::{Base, BlobState, ConflictRecord, ConflictState, Dirty, HeldScope, Known, Replica};
pub use report::{Progress, Report};
pub use rows::merge_rule;
pub use tokens::Texts;
