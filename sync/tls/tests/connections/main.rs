//! Attacks on the way between a device and its server, each against a real rustls server on a free port of loopback.

mod devices;
mod enrolment;
mod http;
mod key_log;
mod pin_changes;
mod pin_documents;
mod servers;
mod versions;
mod world;
