#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod convert;
mod data_type;
mod extract;
mod json;
mod parameter;
mod parameters;
mod value;
mod values;

pub use convert::convert;
pub use data_type::DataType;
pub use extract::{Contained, Extracted, Extractor};
pub use parameter::{Base, Component, Parameter, ParameterKind, ParameterNumber};
pub use parameters::Parameters;
pub use value::Value;
pub use values::{Entry, ValueRange, Values};
