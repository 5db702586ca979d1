#![doc = include_str!("../README.md")]

mod authorizer;
mod cipher;
mod engine;
mod error;
#[expect(unsafe_code, reason = "SQLCipher takes its key through the C interface only")]
mod key;
mod maintenance;
mod migration;
mod open;
#[cfg(all(unix, feature = "power-loss"))]
#[expect(unsafe_code, reason = "SQLite's file interface is a table of C functions")]
pub mod power_loss;
mod pragma;
mod verify;
#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
mod wiping;

pub use rusqlite::{Connection, InterruptHandle};

pub use cipher::PAGE_SIZE_BYTES;
pub use engine::{Engine, check_engine};
pub use error::{OpenError, StorageError, classify};
pub use key::KEY_BYTES;
pub use maintenance::{checkpoint, checkpoint_in_passing, rekey, vacuum};
pub use migration::{MigrateError, Migration, migrate, migrate_extension, schema_version};
pub use open::{Options, create, open};
pub use pragma::{Durability, WAL_AUTOCHECKPOINT_PAGES, set_autocheckpoint, set_durability};
pub use verify::{DAMAGE_LIMIT, Damage, verify};
pub use wiping::WipingAllocator;
