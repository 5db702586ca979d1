#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod bundle;
pub mod bundle_writer;
mod civil;
mod compartment;
mod contained;
mod date;
mod decimal;
mod definitions;
mod envelope;
mod grammar;
mod id;
mod instant;
mod issues;
mod keys;
mod narrative;
mod outcome;
mod pass;
pub mod patch;
mod path;
mod primitive;
mod reference;
mod resource_type;
mod scanner;
pub mod schema;
mod seen;
mod span;
mod string;
mod subset;
mod syntax;
mod values;
mod visitor;
mod walker;
mod word;

pub use compartment::Compartment;
pub use date::{DateTime, Precision};
pub use decimal::Decimal;
pub use envelope::{Slot, dress, strip};
pub use id::{MAX_ID_BYTES, valid_id};
pub use instant::Instant;
pub use issues::MAX_ISSUES;
pub use outcome::{Issue, IssueType, Severity, operation_outcome};
pub use primitive::MAX_STRING_BYTES;
pub use reference::Reference;
pub use resource_type::{ResourceType, UnknownResourceType};
pub use scanner::MAX_NUMBER_BYTES;
pub use schema::ElementNumber;
pub use span::Span;
pub use subset::{Subset, SubsetError, subset};
pub use syntax::{SyntaxError, SyntaxErrorKind};
pub use visitor::Visitor;
pub use walker::{
    ATTACHMENT_INLINE_BYTES, IdentifierSpan, MAX_BYTES, MAX_DEPTH, MAX_RESOURCE_DEPTH, MetaSpans,
    ReferenceSpan, Walk, Walker,
};
