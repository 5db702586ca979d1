//! Sync with a plain FHIR server: the engine of `keepwell-plain`, the store and HTTP together.

mod client;
mod driver;
mod http;
mod record;
mod replica;
mod tokens;

pub use client::FhirClient;
pub use record::FhirServer;
pub(crate) use record::address_of;
pub use tokens::TokenProvider;
