//! The documents of a search: bodies by their change, and what they can be found by.
//!
//! An index leads from terms to documents. The way back is the body itself: taking it apart costs microseconds, and
//! nothing of it has to be kept.

use std::borrow::Cow;
use std::cell::RefCell;

use keepwell_fhir::{Instant, ResourceType};
use keepwell_search::{Extractor, Parameters, Resource, Terms, add_words};
use rusqlite::Connection;

use super::record::Record;
use crate::attachment::{Attachments, without_tokens};
use crate::body::Decoder;
use crate::error::{Error, Result};

/// What taking a body apart needs; kept between searches, since it keeps its memory.
pub(crate) struct Tools {
    edition: i64,
    decoder: Decoder,
    extractor: Extractor,
}

/// Reads documents through one connection. One may be looked at while another is.
pub(crate) struct Documents<'d> {
    pub(crate) connection: &'d Connection,
    pub(crate) attachments: &'d Attachments,
    pub(crate) parameters: Parameters,
    edition: i64,
    tools: RefCell<Vec<Tools>>,
}

impl<'d> Documents<'d> {
    /// Documents by the parameters of an edition. `tools` may be left from an earlier search.
    pub(crate) fn new(
        connection: &'d Connection,
        attachments: &'d Attachments,
        known: &crate::index::Known,
        mut tools: Vec<Tools>,
    ) -> Self {
        tools.retain(|tools| tools.edition == known.edition);
        let (parameters, edition) = (known.parameters.clone(), known.edition);
        Self { connection, attachments, parameters, edition, tools: RefCell::new(tools) }
    }

    /// The tools, for the next search.
    pub(crate) fn into_tools(self) -> Vec<Tools> {
        self.tools.into_inner()
    }

    fn with_tools<T>(&self, work: impl FnOnce(&mut Tools) -> T) -> T {
        let tools = self.tools.borrow_mut().pop();
        let mut tools = tools.unwrap_or_else(|| Tools {
            edition: self.edition,
            decoder: Decoder::new(),
            extractor: Extractor::new(self.parameters.clone()),
        });
        let done = work(&mut tools);
        self.tools.borrow_mut().push(tools);
        done
    }

    /// The terms of a document, but for its words.
    pub(crate) fn terms(&self, doc: u32) -> Result<Terms> {
        self.take_apart(doc, |_, _| ())
    }

    /// The terms of a document and of all its words.
    pub(crate) fn terms_and_words(&self, doc: u32) -> Result<Terms> {
        self.take_apart(doc, add_words)
    }

    fn take_apart(&self, doc: u32, add: impl FnOnce(&[u8], &mut Terms)) -> Result<Terms> {
        let record = Record::find(self.connection, doc)?;
        self.with_tools(|tools| {
            let content = record.content(self.connection, &mut tools.decoder)?;
            let json = without_tokens(&content);
            let mut terms = Terms::new();
            tools.extractor.terms(&json, &record.id.to_string(), &mut terms).map_err(|_| Error::Corrupt)?;
            add(&json, &mut terms);
            Ok(terms)
        })
    }

    /// Hands a document, taken apart, to `look`.
    pub(crate) fn look<T>(&self, record: &Record, look: impl FnOnce(&Resource<'_>) -> T) -> Result<T> {
        let (id, last_updated_ms) = (record.id.to_string(), record.last_updated(self.connection)?.ms());
        self.with_tools(|tools| {
            let content = record.content(self.connection, &mut tools.decoder)?;
            let json = without_tokens(&content);
            let extracted = tools.extractor.extract(&json).map_err(|_| Error::Corrupt)?;
            let (resource_type, values) = (record.resource_type, extracted.values);
            Ok(look(&Resource {
                resource_type,
                id: &id,
                last_updated_ms,
                values,
                json: &json,
                container: None,
            }))
        })
    }

    /// The body of a document as stored, attachments left empty.
    pub(crate) fn content(&self, record: &Record) -> Result<Vec<u8>> {
        self.with_tools(|tools| {
            let content = record.content(self.connection, &mut tools.decoder)?;
            Ok(match without_tokens(&content) {
                Cow::Borrowed(_) => content,
                Cow::Owned(without) => without,
            })
        })
    }

    /// The body of a document as a client reads it, and when it was made.
    pub(crate) fn body(&self, record: &Record) -> Result<(Vec<u8>, Instant)> {
        self.with_tools(|tools| record.body(self.connection, &mut tools.decoder, self.attachments))
    }

    /// Whose version a document is.
    pub(crate) fn identity(&self, doc: u32) -> Result<(ResourceType, String)> {
        let (kind, id) = Record::identity(self.connection, doc)?;
        Ok((kind, id.to_string()))
    }
}
