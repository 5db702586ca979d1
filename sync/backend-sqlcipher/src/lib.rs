#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access;
mod blobs;
mod bridge;
mod convert;
mod extension;
mod feed;
mod people;
mod streams;
mod tenant;

pub use bridge::SqlcipherBackend;
pub use extension::ServerExtension;

pub use keepwell_backend as backend;
pub use keepwell_store as store;
