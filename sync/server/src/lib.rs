#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod admin;
mod body;
mod config;
mod console;
mod error;
mod fhir;
mod identity;
mod listener;
mod log;
mod metrics;
mod operator;
mod private_file;
mod rotation;
mod routes;
mod server;
mod shared;
mod stalling;
mod sync;
mod tenant;
mod token;
mod waiting;

pub use keepwell_backend as backend;
pub use keepwell_backend_sqlcipher::ServerExtension;
pub use keepwell_tls::{Invitation, qr_code};

pub use config::{
    Config, KeychainChoice, LeaseTimes, Limits, LogLevel, OPERATOR_TOKEN_MIN, Unsafe, VARIABLES,
};
pub use console::Console;
pub use error::{Error, Result};
pub use identity::authority_pem;
pub use log::log_to;
pub use operator::{INVITATION_LIFETIME, Operator};
pub use rotation::{RotationFault, pin_set, prepare_key, switch_key};
pub use server::{Server, StopHandle, Welcome, prepare};
pub use token::{TokenUse, Tokens};
