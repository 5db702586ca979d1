#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod edited;
mod effect;
mod engine;
mod error;
mod event;
mod policy;
mod replica;
mod report;

pub use edited::{Edited, Waiting, edited, waiting};
pub use effect::{Effect, Request, Ticket};
pub use engine::{Engine, Settings};
pub use error::Stop;
pub use event::{Answer, Event, Failure, Now, Traffic};
pub use policy::Policy;
pub use replica::{Base, BlobState, ConflictRecord, ConflictState, Dirty, HeldScope, Known, Replica};
pub use report::{Progress, Report};
