#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod clinic;
mod command;

pub use clinic::Clinic;
pub use command::succeeds;

/// The example of the project's README, so that it is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct ProjectReadme;
