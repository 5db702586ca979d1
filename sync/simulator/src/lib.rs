#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod content;
mod device;
mod fault;
mod network;
mod observer;
mod random;
mod run;
mod violation;
mod watched;
mod world;

pub use fault::Fault;
pub use run::{Plan, Played, STEPS};
pub use violation::Violation;
