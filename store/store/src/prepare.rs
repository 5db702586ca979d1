//! From the caller's bytes to a row: walked, validated, taken apart for the index, stripped, compressed, hashed.
//!
//! Everything here is done without the database, so an import does it on one core while another writes.

use std::borrow::Cow;

use keepwell_fhir::{Reference, ResourceType, Severity, Slot, Span, Walk, Walker};
use keepwell_search::{Extractor, TermList, Terms, add_words};
use ring::digest;

use crate::apart::Incoming;
use crate::attachment::{Attachments, Staged, without_tokens};
use crate::body::{Encoder, RESOURCE_BYTES_MAX};
use crate::error::{Error, Result};
use crate::id_key::IdKey;
use crate::index::Known;

/// Which id a body must have or gets.
#[derive(Clone, Copy)]
pub(crate) enum Identity<'a> {
    /// This one, whatever the body says: a create.
    Assigned(&'a IdKey),
    /// This one, and the body must say so: an update.
    Expected(&'a str),
    /// The body's own, or this one where it has none: an import.
    OwnOr(&'a IdKey),
}

/// One version of a resource, ready to be written.
pub(crate) struct Prepared {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: IdKey,
    pub(crate) slot: Slot,
    /// The body without meta.versionId and meta.lastUpdated: what equal content is decided by.
    pub(crate) content: Vec<u8>,
    /// `content` as it is stored.
    pub(crate) body: Vec<u8>,
    pub(crate) hash: ContentHash,
    pub(crate) patient: Option<IdKey>,
    /// What the index finds this version by.
    pub(crate) terms: TermList,
    /// The edition of the parameters that `terms` were made by.
    pub(crate) edition: i64,
    /// Attachments that `content` refers to; their files are written.
    pub(crate) attachments: Vec<Staged>,
}

/// Gives the text that is stored instead of a reference, if any: `Type/id`, which JSON need not escape.
pub(crate) type Rewrite<'r> = dyn Fn(&str) -> Option<String> + 'r;

/// The [`Rewrite`] that leaves references as they are.
pub(crate) fn as_written(_: &str) -> Option<String> {
    None
}

/// The first half of a SHA-256.
pub(crate) type ContentHash = [u8; 16];

/// The hash that the change log keeps of a stripped body.
pub(crate) fn content_hash(content: &[u8]) -> ContentHash {
    digest::digest(&digest::SHA256, content).as_ref()[..16].try_into().expect("a SHA-256 has 32 bytes")
}

/// Prepares bodies; keeps the walker's, the extractor's and zstd's scratch space between calls. One a thread.
pub(crate) struct Preparer {
    walker: Walker,
    extractor: Extractor,
    edition: i64,
    terms: Terms,
    encoder: Encoder,
    /// Whether resources that break the rules of their type are stored all the same.
    accept_invalid: bool,
}

impl Preparer {
    /// A preparer that takes bodies apart by these parameters.
    pub(crate) fn new(known: &Known) -> Self {
        let extractor = Extractor::new(known.parameters.clone());
        let edition = known.edition;
        let (walker, terms, encoder) = (Walker::new(), Terms::new(), Encoder::new());
        Self { walker, extractor, edition, terms, encoder, accept_invalid: false }
    }

    /// The edition of its parameters.
    pub(crate) fn edition(&self) -> i64 {
        self.edition
    }

    /// A preparer that takes what is JSON with a resourceType, valid or not, where `accept_invalid` says so.
    pub(crate) fn accepting_invalid(known: &Known, accept_invalid: bool) -> Self {
        Self { accept_invalid, ..Self::new(known) }
    }

    /// Whether resources that break the rules of their type are taken from now on; returns what was.
    pub(crate) fn accept_invalid(&mut self, accept: bool) -> bool {
        std::mem::replace(&mut self.accept_invalid, accept)
    }

    /// Prepares one version.
    ///
    /// `rewrite` is asked for every reference, URN and link of the narrative, and gives the text to store instead.
    ///
    /// # Errors
    /// [`Error::Syntax`], [`Error::Invalid`], [`Error::WrongType`], [`Error::WrongId`], and whatever writing a large
    /// attachment reports.
    pub(crate) fn prepare(
        &mut self,
        incoming: &Incoming<'_>,
        expected: Option<ResourceType>,
        identity: Identity<'_>,
        attachments: &Attachments,
        rewrite: &Rewrite<'_>,
    ) -> Result<Prepared> {
        let bytes = incoming.bytes();
        let extracted = self.extractor.extract(bytes)?;
        let (walk, values) = (extracted.walk, extracted.values);
        let contained = extracted.contained.to_vec();
        if !self.accept_invalid && walk.issues.iter().any(|issue| issue.severity <= Severity::Error) {
            return Err(Error::Invalid(walk.issues.to_vec()));
        }
        if let Some(expected) = expected.filter(|&expected| expected != walk.resource_type) {
            return Err(Error::WrongType { expected, found: walk.resource_type });
        }
        let own = walk.id.map(|span| text(bytes, span));
        let id = match (identity, own) {
            (Identity::Expected(id), Some(own)) if own == id => IdKey::new(id),
            (Identity::Expected(_), _) => return Err(Error::WrongId),
            (Identity::OwnOr(_), Some(own)) => IdKey::new(own),
            (Identity::OwnOr(id), None) | (Identity::Assigned(id), _) => id.clone(),
        };
        let new_id = id.to_string();
        let set_id = (own != Some(new_id.as_str())).then_some(new_id.as_str());

        let mut edits: Vec<(Span, Cow<'_, [u8]>)> = Vec::new();
        for reference in walk.references {
            if let Some(new) = rewrite(&reference.span.text(bytes)) {
                edits.push((reference.span, Cow::Owned(string_content(&new))));
            }
        }
        for &span in walk.links {
            if let Some(new) = rewrite(&span.text(bytes)) {
                edits.push((span, Cow::Owned(new.into_bytes())));
            }
        }
        for span in narrative_links(bytes) {
            if let Some(new) = rewrite(&span.text(bytes)) {
                edits.push((span, Cow::Owned(new.into_bytes())));
            }
        }
        let is_as_written = edits.is_empty() && set_id.is_none();
        let (mut kept, mut elsewhere) = (Vec::new(), 0);
        for &span in walk.attachments {
            let (staged, token) = match incoming.at(span) {
                Some((staged, token)) => {
                    elsewhere += 1;
                    (staged, token.write())
                }
                None => attachments.put_base64(&bytes[span.range()])?,
            };
            kept.push(staged);
            edits.push((span, Cow::Owned(token)));
        }
        if elsewhere != incoming.elsewhere() {
            return Err(Error::Argument("an attachment stands where none can"));
        }
        edits.sort_by_key(|(span, _)| span.start);

        let mut content = Vec::with_capacity(bytes.len() + 64);
        let slot = keepwell_fhir::strip(bytes, &walk, set_id, &edits, &mut content);
        if content.len() > RESOURCE_BYTES_MAX {
            return Err(Error::Argument("the resource is larger than 64 MiB without its attachments"));
        }
        let patient = patient_key(bytes, &walk, &id);
        let resource_type = walk.resource_type;
        let hash = content_hash(&content);
        let terms = if is_as_written {
            keepwell_search::terms(resource_type, &id.to_string(), values, &mut self.terms);
            self.extractor.add_contained(bytes, &contained, &mut self.terms);
            add_words(bytes, &mut self.terms);
            self.terms.pack()
        } else {
            // What is stored says something else than what came: that is what has to be found.
            self.take_apart(&id, &content)?
        };
        let body = self.encoder.encode(&content);
        Ok(Prepared {
            resource_type,
            id,
            slot,
            content,
            body,
            hash,
            patient,
            terms,
            edition: self.edition,
            attachments: kept,
        })
    }

    /// Prepares a Binary whose data is an attachment already.
    pub(crate) fn prepare_binary(
        &mut self,
        bytes: &[u8],
        id: &IdKey,
        staged: Staged,
        token: &[u8],
    ) -> Result<Prepared> {
        let walk = self.walker.walk(bytes)?;
        if walk.issues.iter().any(|issue| issue.severity <= Severity::Error) {
            return Err(Error::Invalid(walk.issues.to_vec()));
        }
        let resource_type = walk.resource_type;
        let mut content = Vec::with_capacity(bytes.len() + token.len() + 64);
        let slot = keepwell_fhir::strip(bytes, &walk, Some(&id.to_string()), &[], &mut content);
        // The object ends with a brace, and it has members before it.
        content.pop();
        content.extend_from_slice(b",\"data\":\"");
        content.extend_from_slice(token);
        content.extend_from_slice(b"\"}");
        let terms = self.take_apart(id, &content)?;
        Ok(Prepared {
            resource_type,
            id: id.clone(),
            slot,
            body: self.encoder.encode(&content),
            hash: content_hash(&content),
            content,
            patient: None,
            terms,
            edition: self.edition,
            attachments: vec![staged],
        })
    }

    /// What the index finds a stored body by.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is no resource.
    pub(crate) fn take_apart(&mut self, id: &IdKey, content: &[u8]) -> Result<TermList> {
        let content = without_tokens(content);
        self.extractor.terms(&content, &id.to_string(), &mut self.terms).map_err(|_| Error::Corrupt)?;
        add_words(&content, &mut self.terms);
        Ok(self.terms.pack())
    }

    /// The conditional references of a body (`Type?query`), which only a transaction may hold.
    pub(crate) fn conditional_references(&mut self, bytes: &[u8]) -> Result<Vec<String>> {
        if !bytes.contains(&b'?') {
            return Ok(Vec::new());
        }
        let walk = self.walker.walk(bytes)?;
        let texts = walk.references.iter().map(|reference| reference.span.text(bytes));
        Ok(texts.filter(|text| text.contains('?')).map(|text| text.into_owned()).collect())
    }

    /// The relative references of a stored body: what must be in the same store.
    pub(crate) fn local_references(&mut self, content: &[u8]) -> Result<Vec<(ResourceType, IdKey)>> {
        let content = without_tokens(content);
        let walk = self.walker.walk(&content).map_err(|_| Error::Corrupt)?;
        let targets = walk.references.iter().filter_map(|reference| {
            match Reference::parse(&reference.span.text(&content)) {
                Reference::Relative { resource_type, id, .. } => Some((resource_type, IdKey::new(id))),
                _ => None,
            }
        });
        Ok(targets.collect())
    }

    /// The walker, for callers that only look.
    pub(crate) fn walker(&mut self) -> &mut Walker {
        &mut self.walker
    }
}

/// The URNs that attributes of a narrative hold: in XHTML inside JSON their quotes are escaped or single.
fn narrative_links(bytes: &[u8]) -> impl Iterator<Item = Span> + '_ {
    memchr::memmem::find_iter(bytes, b"urn:").filter_map(|start| {
        let opened = bytes[..start].ends_with(b"=\\\"") || bytes[..start].ends_with(b"='");
        let end = start + bytes[start..].iter().position(|byte| matches!(byte, b'\\' | b'\'' | b'"'))?;
        let span = Span { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? };
        opened.then_some(span)
    })
}

/// Whose compartment the resource is in; a Patient is in its own.
fn patient_key(bytes: &[u8], walk: &Walk<'_>, id: &IdKey) -> Option<IdKey> {
    if walk.resource_type.name() == "Patient" {
        return Some(id.clone());
    }
    walk.patient.map(|span| IdKey::new(text(bytes, span)))
}

/// Text as it stands between the quotes of a JSON string.
fn string_content(text: &str) -> Vec<u8> {
    let mut quoted = serde_json::to_vec(text).expect("text is JSON");
    quoted.pop();
    quoted.remove(0);
    quoted
}

/// An id or the like, which the walker has found to be plain ASCII.
fn text(bytes: &[u8], span: Span) -> &str {
    std::str::from_utf8(&bytes[span.range()]).unwrap_or_default()
}
