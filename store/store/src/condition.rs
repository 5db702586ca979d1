//! Conditions of conditional interactions: `identifier=system|value` and `_id=x`, joined by `&`.
//!
//! They are looked up by hash and then compared with the resource itself, so a match is a match
//! (R4 http.html#ccreate, #cond-update, #cdelete).

use std::borrow::Cow;

use keepwell_fhir::{ResourceType, Span};
use rusqlite::{Connection, OptionalExtension};

use crate::attachment;
use crate::body::Decoder;
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::prepare::{Preparer, identifier_hash};

/// Parameters of one condition at the most.
const PARAMETERS_MAX: usize = 16;

/// A parsed condition.
pub(crate) struct Condition {
    resource_type: ResourceType,
    id: Option<String>,
    identifiers: Vec<Token>,
}

struct Token {
    /// `None`: any system; `Some("")`: no system.
    system: Option<String>,
    value: String,
}

impl Condition {
    /// Reads the query part of `Type?query`, percent-encoding included.
    ///
    /// # Errors
    /// [`Error::UnsupportedCondition`] for any other parameter, a modifier, a list of values or an empty condition.
    pub(crate) fn parse(resource_type: ResourceType, query: &str) -> Result<Self> {
        let mut condition = Self { resource_type, id: None, identifiers: Vec::new() };
        let parameters: Vec<_> =
            query.trim_start_matches('?').split('&').filter(|part| !part.is_empty()).collect();
        if parameters.is_empty() || parameters.len() > PARAMETERS_MAX {
            return Err(Error::UnsupportedCondition);
        }
        for parameter in parameters {
            let (name, value) = parameter.split_once('=').ok_or(Error::UnsupportedCondition)?;
            let value = percent_decode(value).ok_or(Error::UnsupportedCondition)?;
            match name {
                "_id" if condition.id.is_none() && !value.contains(',') => {
                    condition.id = Some(value.into_owned())
                }
                "identifier" => condition.identifiers.push(Token::parse(&value)?),
                _ => return Err(Error::UnsupportedCondition),
            }
        }
        Ok(condition)
    }

    /// The one resource that matches, `None` where there is none.
    ///
    /// # Errors
    /// [`Error::MultipleMatches`].
    pub(crate) fn find(
        &self,
        connection: &Connection,
        preparer: &mut Preparer,
        decoder: &mut Decoder,
    ) -> Result<Option<IdKey>> {
        let mut found = None;
        for id in self.candidates(connection)? {
            if self.matches(connection, preparer, decoder, &id)? && found.replace(id).is_some() {
                return Err(Error::MultipleMatches(self.resource_type));
            }
        }
        Ok(found)
    }

    fn candidates(&self, connection: &Connection) -> Result<Vec<IdKey>> {
        if let Some(id) = &self.id {
            return Ok(vec![IdKey::new(id)]);
        }
        let token = self.identifiers.first().ok_or(Error::UnsupportedCondition)?;
        let system = token.system.as_deref().filter(|system| !system.is_empty());
        let hash = identifier_hash(self.resource_type, system, &token.value);
        let mut statement = connection.prepare_cached(
            "-- Condition::candidates
             SELECT r.id FROM identifier i JOIN resource r ON r.key = i.resource WHERE i.hash = ?1 AND r.type = ?2",
        )?;
        let ids = statement.query_map([hash, i64::from(self.resource_type.code())], |row| row.get(0))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    fn matches(
        &self,
        connection: &Connection,
        preparer: &mut Preparer,
        decoder: &mut Decoder,
        id: &IdKey,
    ) -> Result<bool> {
        let mut statement = connection
            .prepare_cached("-- Condition::matches\nSELECT body FROM resource WHERE type = ?1 AND id = ?2")?;
        let body: Option<Vec<u8>> =
            statement.query_row((self.resource_type.code(), id), |row| row.get(0)).optional()?.flatten();
        let Some(body) = body else { return Ok(false) };
        if self.identifiers.is_empty() {
            return Ok(true);
        }
        let content = decoder.decode(&body)?;
        let content = attachment::without_tokens(&content);
        let walk = preparer.walker().walk(&content).map_err(|_| Error::Corrupt)?;
        let have: Vec<(Option<Cow<'_, str>>, Cow<'_, str>)> = walk
            .identifiers
            .iter()
            .filter_map(|identifier| {
                let text = |span: Span| span.text(&content);
                Some((identifier.system.map(text), identifier.value.map(text)?))
            })
            .collect();
        Ok(self
            .identifiers
            .iter()
            .all(|token| have.iter().any(|(system, value)| token.is(system.as_deref(), value))))
    }
}

impl Token {
    fn parse(text: &str) -> Result<Self> {
        if text.contains(',') || text.contains('\\') {
            return Err(Error::UnsupportedCondition);
        }
        let (system, value) = match text.split_once('|') {
            Some((system, value)) => (Some(system.to_owned()), value),
            None => (None, text),
        };
        if value.is_empty() {
            Err(Error::UnsupportedCondition)
        } else {
            Ok(Self { system, value: value.to_owned() })
        }
    }

    fn is(&self, system: Option<&str>, value: &str) -> bool {
        self.value == value
            && match self.system.as_deref() {
                None => true,
                Some("") => system.is_none(),
                wanted => wanted == system,
            }
    }
}

/// Percent-decoding of a query value (RFC 3986; `+` is a space as browsers send it); `None` when malformed.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let mut out = [0];
                hex::decode_to_slice(digits, &mut out).ok()?;
                decoded.push(out[0]);
            }
            b'+' => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_or_refused() {
        let patient = ResourceType::parse("Patient").unwrap();
        for (query, accepted) in [
            ("identifier=http://x|1", true),
            ("?identifier=http%3A%2F%2Fx%7C1&_id=a", true),
            ("identifier=1", true),
            ("identifier=|1", true),
            ("identifier=http://x|", false),
            ("identifier=a,b", false),
            ("identifier:of-type=a", false),
            ("name=Smith", false),
            ("identifier=%zz", false),
            ("", false),
            ("_id=a&_id=b", false),
        ] {
            assert_eq!(Condition::parse(patient, query).is_ok(), accepted, "{query}");
        }
    }
}
