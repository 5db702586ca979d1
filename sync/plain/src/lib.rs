#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bundle;
mod capability;
mod content;
mod defect;
mod engine;
mod error;
mod exchange;
mod memory;
mod plan;
mod probe;
mod replica;
mod search;
mod state;
mod turn;
mod walk;
mod writes;

pub use capability::Capability;
#[cfg(feature = "defects")]
pub use defect::Defect;
pub use engine::{Engine, Settings, Writes};
pub use error::{Problem, SearchError};
pub use exchange::{Answer, Ask, Event, Method, Reply, Request, Ticket};
pub use memory::MemoryReplica;
pub use replica::{Flight, Intent, Remote, Replica, Standing};
pub use search::Search;
