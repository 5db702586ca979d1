#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod background;
mod client;
mod conflicts;
mod control;
mod device_sync;
#[cfg(feature = "direct")]
mod direct;
mod driver;
mod enrolment;
mod error;
mod extension;
mod fhir;
mod http;
mod replica;
mod signal;
mod status;
mod tables;
mod transport;
mod upkeep;
mod wipe;

pub use background::Background;
pub use client::{Client, ClientOptions};
pub use conflicts::{Conflict, Resolution};
pub use control::{Cancel, Progress};
pub use device_sync::DeviceSync;
#[cfg(feature = "direct")]
pub use direct::DirectTransport;
pub use enrolment::Enrolled;
pub use error::{Error, Result};
pub use extension::SyncExtension;
pub use fhir::{FhirClient, FhirServer, TokenProvider};
pub use http::HttpTransport;
pub use replica::StoreReplica;
pub use signal::Signal;
pub use status::{LeaseState, Status};
pub use transport::{Exchange, Transport};

pub use keepwell_engine::{Policy, Report};
pub use keepwell_plain::{Problem, Search, SearchError, Writes};
pub use keepwell_tls::Offer;
