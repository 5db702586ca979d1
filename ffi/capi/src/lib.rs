#![doc = include_str!("../README.md")]
#![allow(unsafe_code, reason = "a C ABI reads and writes what foreign pointers name")]
#![deny(unsafe_op_in_unsafe_fn)]

mod audit;
mod backup;
mod boundary;
mod buffer;
mod error;
mod feed;
mod fhir_server;
mod handle;
mod input;
mod keychain;
mod logger;
mod output;
mod registry;
mod search;
mod session;
mod store;
mod sync;
mod transfer;
mod vault;

pub use audit::*;
pub use backup::*;
pub use buffer::*;
pub use error::*;
pub use feed::*;
pub use fhir_server::*;
pub use handle::*;
pub use input::*;
pub use keychain::*;
pub use logger::*;
pub use output::*;
pub use search::*;
pub use session::*;
pub use store::*;
pub use sync::*;
pub use transfer::*;
pub use vault::*;

/// Rises when a function or a type of this header changes its meaning or goes. New ones do not raise it.
pub const KEEPWELL_ABI_VERSION: u32 = 2;

/// The `KEEPWELL_ABI_VERSION` that the library was built with: a program compares it with that of its header.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_abi_version() -> u32 {
    KEEPWELL_ABI_VERSION
}

/// The version of the library, as "0.1.0", in static memory.
#[unsafe(no_mangle)]
pub extern "C" fn keepwell_version() -> *const std::ffi::c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
