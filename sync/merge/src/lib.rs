#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod align;
mod conflict;
mod contained;
mod error;
mod json;
mod key;
mod list;
mod merger;
mod narrative;
mod object;
mod outcome;
mod pass;
mod resource;
mod rules;
mod sides;

pub use conflict::{Choice, Conflict, Offer, Part, Reason, Resolution};
pub use error::{MergeError, ResolveError};
pub use merger::Merger;
pub use outcome::{Action, Conflicted, Decision, Merged, Outcome};
pub use rules::RULES_VERSION;
pub use sides::{Side, Sides};
