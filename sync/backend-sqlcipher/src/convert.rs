//! Between what tables hold and what the rules speak of.

use keepwell_backend::{Error, Result};
use keepwell_protocol::{Hash, Id, Position, ResourceKey, Scope, Sequence, Version};
use keepwell_store::IdKey;
use keepwell_store::fhir::{Instant, ResourceType};
use rusqlite::Row;

/// An error of the database.
pub(crate) fn failed(error: rusqlite::Error) -> Error {
    broken(keepwell_store::Error::from(error))
}

/// An error of the store.
pub(crate) fn broken(error: keepwell_store::Error) -> Error {
    Error::Storage { code: error.code(), source: Box::new(error) }
}

/// Rows that this crate did not write.
pub(crate) fn corrupt() -> Error {
    broken(keepwell_store::Error::Corrupt)
}

/// An error of the rules, on its way through a transaction of the store.
pub(crate) struct Passing(pub(crate) Error);

impl From<keepwell_store::Error> for Passing {
    fn from(error: keepwell_store::Error) -> Self {
        Self(broken(error))
    }
}

pub(crate) fn number(value: u64) -> i64 {
    value.cast_signed()
}

pub(crate) fn position(value: i64) -> Result<Position> {
    Position::new(value.cast_unsigned()).ok_or_else(corrupt)
}

pub(crate) fn version(value: i64) -> Result<Version> {
    Version::new(value.cast_unsigned()).ok_or_else(corrupt)
}

pub(crate) fn sequence(value: i64) -> Result<Sequence> {
    Sequence::new(value.cast_unsigned()).ok_or_else(corrupt)
}

pub(crate) fn hash(bytes: [u8; 32]) -> Hash {
    Hash::from_bytes(bytes)
}

pub(crate) fn id(text: &str) -> Result<Id> {
    text.parse().map_err(|_| corrupt())
}

pub(crate) fn scope(text: &str) -> Result<Scope> {
    text.parse().map_err(|_| corrupt())
}

pub(crate) fn ids(json: &str) -> Result<Vec<Id>> {
    serde_json::from_str(json).map_err(|_| corrupt())
}

pub(crate) fn ids_json(ids: &[Id]) -> String {
    serde_json::to_string(ids).expect("a list of texts is JSON")
}

pub(crate) fn kind(code: i64) -> Result<ResourceType> {
    u8::try_from(code).ok().and_then(ResourceType::from_code).ok_or_else(corrupt)
}

/// A resource from the columns `type` and `id` of the store.
pub(crate) fn stored_key(row: &Row<'_>, at: usize) -> Result<ResourceKey> {
    let kind = kind(row.get(at).map_err(failed)?)?;
    let key: IdKey = row.get(at + 1).map_err(failed)?;
    Ok(ResourceKey { kind, id: id(&key.to_string())? })
}

/// A resource from our own columns `type` and `id`.
pub(crate) fn own_key(row: &Row<'_>, at: usize) -> Result<ResourceKey> {
    let kind = kind(row.get(at).map_err(failed)?)?;
    let text: String = row.get(at + 1).map_err(failed)?;
    Ok(ResourceKey { kind, id: id(&text)? })
}

pub(crate) fn instant(ms: i64) -> Instant {
    Instant::from_ms(ms)
}

/// All rows of a query, each made by `make`.
pub(crate) fn collect<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut make: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(params).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(make(row)?);
    }
    Ok(found)
}

/// The first row of a query.
pub(crate) fn first<T>(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
    make: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(params).map_err(failed)?;
    rows.next().map_err(failed)?.map(make).transpose()
}

/// Runs a statement that gives no rows.
pub(crate) fn run(
    connection: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<usize> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(failed)
}
