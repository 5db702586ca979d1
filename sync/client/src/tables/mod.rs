//! The sync tables: each method reads or writes rows and decides nothing. All SQL of this crate is here.

mod blob;
mod conflict;
mod edit;
mod fhir;
mod mutation;
mod resource;
mod scope;
mod setting;
mod stage;

pub(crate) use self::edit::BaseContent;
pub(crate) use self::resource::Entry;
pub(crate) use self::setting::{
    ADOPTED, DEVICE, FHIR, FHIR_STATE, KEY, LEASE, LIFE, MET, REFUSED, STATE, UPKEEP,
};

use keepwell_protocol::ResourceKey;
use keepwell_store::{Connection, Error, Result};

/// The sync tables of one database.
#[derive(Clone, Copy)]
pub(crate) struct Tables<'c> {
    connection: &'c Connection,
}

impl<'c> Tables<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self { connection }
    }
}

/// A resource as its rows name it.
pub(crate) fn name_of(key: &ResourceKey) -> String {
    key.to_string()
}

/// The resource that a row names.
pub(crate) fn key_of(name: &str) -> Result<ResourceKey> {
    let (kind, id) = name.split_once('/').ok_or(Error::Corrupt)?;
    let kind = keepwell_fhir::ResourceType::parse(kind).ok_or(Error::Corrupt)?;
    Ok(ResourceKey { kind, id: id.parse().map_err(|_| Error::Corrupt)? })
}

/// A number of the protocol from a column.
pub(crate) fn number<T: TryFrom<u64>>(column: i64) -> Result<T> {
    T::try_from(column.unsigned_abs()).map_err(|_| Error::Corrupt)
}

/// A number of the protocol for a column; they are below 2^53.
pub(crate) fn column(number: impl Into<u64>) -> i64 {
    number.into().cast_signed()
}

/// Rows in a column of SQL, where a number of rows is small enough for memory.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
