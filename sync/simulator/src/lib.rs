#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod content;
mod device;
mod fault;
mod files;
mod home;
mod kept;
mod leases;
mod limits;
mod links;
mod network;
mod observer;
mod random;
mod run;
mod seldom;
mod server;
mod space;
mod store_defect;
mod stored;
mod versions;
mod violation;
mod watched;
mod world;

pub use fault::Fault;
pub use run::{Plan, Played, STEPS, STORE_STEPS};
pub use store_defect::StoreDefect;
pub use violation::Violation;
