//! A server on loopback, with TLS, and those who talk to it: FHIR clients, devices, the operator, attackers.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod devices;
mod fhir;
mod limits;
mod operator;
mod raw;
mod stopping;
mod upkeep;
mod world;
