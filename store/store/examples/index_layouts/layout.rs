//! What a layout must do to be measured.

use std::error::Error;
use std::path::Path;

use keepwell_search::Facet;
use keepwell_sqlcipher::{Connection, Durability, Migration, Options, create, migrate, set_durability};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The terms of documents that are committed together.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) first: u32,
    /// For each document its terms, as bytes and where each ends.
    pub(crate) documents: Vec<(Vec<u8>, Vec<usize>)>,
}

impl Batch {
    pub(crate) fn documents(&self) -> impl Iterator<Item = (u32, impl Iterator<Item = &[u8]>)> {
        (self.first..).zip(&self.documents).map(|(doc, (bytes, ends))| {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            (doc, starts.zip(ends).map(|(start, end)| &bytes[start..*end]))
        })
    }
}

/// A question in terms of the index.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// All documents of a term.
    Exact(Vec<u8>),
    /// All documents of the terms that begin so.
    Prefix(Vec<u8>),
    /// The first 20 documents from this term on, in the order of the terms of the parameter.
    First20(Vec<u8>),
    /// All documents that have both terms.
    Both(Vec<u8>, Vec<u8>),
    /// How many documents have both terms.
    CountBoth(Vec<u8>, Vec<u8>),
}

/// A way to keep terms and documents in an encrypted database.
pub(crate) trait Layout {
    /// Adds documents that come after all others, in one transaction, and does what it does now and then.
    fn commit(&mut self, batch: &Batch) -> Outcome<()>;
    /// Does what is done when no more is coming.
    fn settle(&mut self) -> Outcome<()> {
        Ok(())
    }
    /// How many documents answer; they have all been read.
    fn ask(&mut self, question: &Question) -> Outcome<u64>;
    fn connection(&self) -> &Connection;
}

/// A database with the store's settings and one schema; commits wait for the log, as those of an import do.
pub(crate) fn database(path: &Path, cache_kib: u32, sql: &'static str) -> Outcome<Connection> {
    let options = Options { cache_kib, memory_security: false, ..Options::default() };
    let mut connection = create(path, &[7; 32], &options)?;
    migrate(&mut connection, &[Migration { number: 1, name: "layout", sql }])?;
    set_durability(&connection, Durability::Full)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Parameter and facet as one number, and the value.
pub(crate) fn split(term: &[u8]) -> (i64, &[u8]) {
    (i64::from(term[0]) << 16 | i64::from(term[1]) << 8 | i64::from(term[2]), &term[3..])
}

/// Whether the terms of the facet are ranged over, so that their order matters.
pub(crate) fn is_ordered(term: &[u8]) -> bool {
    [
        Facet::Date,
        Facet::Late,
        Facet::Number,
        Facet::Span,
        Facet::Quantity,
        Facet::QuantitySpan,
        Facet::Position,
    ]
    .iter()
    .any(|facet| *facet as u8 == term[2])
}

/// Whether the terms of the facet are texts, of which the beginning may be asked for.
pub(crate) fn is_text(term: &[u8]) -> bool {
    [Facet::String, Facet::Display].iter().any(|facet| *facet as u8 == term[2])
}

/// A value as 64 bits, for terms that are only compared for equality.
pub(crate) fn hashed(value: &[u8]) -> i64 {
    let hash = value.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    ((hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd)).cast_signed()
}
