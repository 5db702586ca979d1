//! The write interactions of FHIR REST inside one unit of work (R4 http.html).
//!
//! Sessions, Bundles and imports all come through here, so they cannot differ in what an interaction means.

use std::io::Read;

use keepwell_fhir::patch::PatchFormat;
use keepwell_fhir::{Instant, ResourceType};
use ring::rand::{SecureRandom, SystemRandom};

use crate::apart::Incoming;
use crate::attachment::Attachments;
use crate::change_feed::Operation;
use crate::condition;
use crate::error::{Error, Result};
use crate::head::{Head, version_content};
use crate::id_key::IdKey;
use crate::prepare::{Identity, Prepared, Rewrite};
use crate::unit::{Outcomes, Unit};

/// What must hold for a write to happen (R4 http.html#concurrency).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// If-Match: the current version is this one.
    Match(u64),
    /// If-None-Match: * — the resource does not exist.
    Absent,
}

/// What a write did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Written {
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: String,
    /// The version that is current now.
    pub version: u64,
    /// When that version was made.
    pub last_updated: Instant,
    /// What was done; `None` when the content was the current content already.
    pub operation: Option<Operation>,
}

impl Written {
    fn new(resource_type: ResourceType, id: &IdKey, outcomes: Outcomes) -> Self {
        let Outcomes { version, last_updated, operation } = outcomes;
        Self { resource_type, id: id.to_string(), version, last_updated, operation }
    }
}

/// A unit of work together with what writing bodies needs.
pub(crate) struct Interactions<'u, 'w> {
    pub(crate) unit: &'u mut Unit<'w>,
    pub(crate) attachments: &'u Attachments,
    pub(crate) rewrite: &'u Rewrite<'u>,
}

impl Interactions<'_, '_> {
    /// create: the server chooses the id.
    pub(crate) fn create(&mut self, resource_type: ResourceType, id: &IdKey, body: &[u8]) -> Result<Written> {
        let prepared = self.prepare(body, resource_type, Identity::Assigned(id), None)?;
        let outcomes = self.unit.put(None, &prepared)?;
        Ok(Written::new(resource_type, id, outcomes))
    }

    /// update, also as create with the client's id (R4 http.html#upsert).
    pub(crate) fn update(
        &mut self,
        resource_type: ResourceType,
        id: &str,
        body: &[u8],
        precondition: Precondition,
    ) -> Result<Written> {
        let key = valid_id(id)?;
        let head = self.unit.find(resource_type, &key)?;
        check(resource_type, head.as_ref(), precondition)?;
        let prepared = self.prepare(body, resource_type, Identity::Expected(id), head.as_ref())?;
        let outcomes = self.unit.put(head.as_ref(), &prepared)?;
        Ok(Written::new(resource_type, &key, outcomes))
    }

    /// conditional update on a resource that was found, or on a new id: the body may leave its id out.
    pub(crate) fn update_as(
        &mut self,
        resource_type: ResourceType,
        id: &IdKey,
        body: &[u8],
        precondition: Precondition,
    ) -> Result<Written> {
        let head = self.unit.find(resource_type, id)?;
        check(resource_type, head.as_ref(), precondition)?;
        let prepared = self.prepare(body, resource_type, Identity::OwnOr(id), head.as_ref())?;
        if prepared.id != *id {
            return Err(Error::WrongId);
        }
        let outcomes = self.unit.put(head.as_ref(), &prepared)?;
        Ok(Written::new(resource_type, id, outcomes))
    }

    /// patch: the result is validated like any body.
    pub(crate) fn patch(
        &mut self,
        resource_type: ResourceType,
        id: &str,
        format: PatchFormat,
        patch: &[u8],
        precondition: Precondition,
    ) -> Result<Written> {
        let key = valid_id(id)?;
        let head = self.unit.find(resource_type, &key)?.ok_or(Error::NotFound(resource_type))?;
        check(resource_type, Some(&head), precondition)?;
        let current = self.read(resource_type, &head)?;
        let patched = format.apply(&current, patch)?;
        let prepared = self.prepare(&patched, resource_type, Identity::Expected(id), Some(&head))?;
        let outcomes = self.unit.put(Some(&head), &prepared)?;
        Ok(Written::new(resource_type, &key, outcomes))
    }

    /// delete: of something deleted, or that never was, it is a success that changes nothing.
    pub(crate) fn delete(
        &mut self,
        resource_type: ResourceType,
        id: &str,
        precondition: Precondition,
    ) -> Result<Option<Written>> {
        let key = valid_id(id)?;
        let head = self.unit.find(resource_type, &key)?;
        check(resource_type, head.as_ref(), precondition)?;
        let Some(head) = head else { return Ok(None) };
        let outcomes = self.unit.delete(resource_type, &key, &head)?;
        Ok(Some(Written::new(resource_type, &key, outcomes)))
    }

    /// The one resource that a condition matches.
    pub(crate) fn find(&mut self, resource_type: ResourceType, condition: &str) -> Result<Option<IdKey>> {
        condition::find(self.unit, self.attachments, resource_type, condition)
    }

    /// If-None-Exist found a resource: it is answered as it stands.
    pub(crate) fn existing(&mut self, resource_type: ResourceType, id: &IdKey) -> Result<Written> {
        let head = self.unit.find(resource_type, id)?.ok_or(Error::NotFound(resource_type))?;
        let Head { version, last_updated, .. } = head;
        Ok(Written { resource_type, id: id.to_string(), version, last_updated, operation: None })
    }

    /// The id that a body brings along, or a new one.
    pub(crate) fn own_id(&mut self, body: &[u8]) -> Result<IdKey> {
        let now = self.unit.now();
        let walk = self.unit.preparer.walker().walk(body)?;
        walk.id.map_or_else(|| new_id(now), |span| valid_id(&span.text(body)))
    }

    /// A Binary whose content comes as a stream and goes to a file.
    pub(crate) fn create_binary(
        &mut self,
        binary: ResourceType,
        id: &IdKey,
        content_type: &str,
        content: &mut dyn Read,
    ) -> Result<Written> {
        let body = serde_json::json!({ "resourceType": "Binary", "contentType": content_type }).to_string();
        let (staged, token) = self.attachments.put_stream(content)?;
        let prepared = self.unit.preparer.prepare_binary(body.as_bytes(), id, staged, &token)?;
        let outcomes = self.unit.put(None, &prepared)?;
        Ok(Written::new(binary, id, outcomes))
    }

    fn prepare(
        &mut self,
        body: &[u8],
        resource_type: ResourceType,
        identity: Identity<'_>,
        head: Option<&Head>,
    ) -> Result<Prepared> {
        let body = Incoming::read_before(body, self.attachments, self.unit.connection, head)?;
        self.unit.preparer.prepare(&body, Some(resource_type), identity, self.attachments, self.rewrite)
    }

    /// The current version as a client reads it.
    pub(crate) fn read(&mut self, resource_type: ResourceType, head: &Head) -> Result<Vec<u8>> {
        let content = version_content(self.unit.connection, self.unit.decoder, head, head.version)?
            .ok_or(Error::Gone { resource_type, version: head.version })?;
        let mut body = Vec::with_capacity(content.len() + 96);
        keepwell_fhir::dress(&content, head.slot, head.version, head.last_updated, &mut body);
        self.attachments.expand(self.unit.connection, body)
    }
}

/// An id that nothing has yet.
pub(crate) fn new_id(now: Instant) -> Result<IdKey> {
    let mut random = [0; 10];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::Argument("the system gave no randomness"))?;
    Ok(IdKey::generate(now.ms(), random))
}

/// The stored form of an id that a caller gave.
pub(crate) fn valid_id(id: &str) -> Result<IdKey> {
    if keepwell_fhir::valid_id(id) { Ok(IdKey::new(id)) } else { Err(Error::InvalidId) }
}

fn check(resource_type: ResourceType, head: Option<&Head>, precondition: Precondition) -> Result<()> {
    match (precondition, head) {
        (Precondition::None, _) | (Precondition::Absent, None) => Ok(()),
        (Precondition::Absent, Some(head)) if head.body.is_none() => Ok(()),
        (Precondition::Absent, Some(_)) => Err(Error::Exists(resource_type)),
        (Precondition::Match(version), Some(head)) if head.version == version => Ok(()),
        (Precondition::Match(_), head) => {
            Err(Error::VersionConflict { resource_type, current: head.map_or(0, |head| head.version) })
        }
    }
}
