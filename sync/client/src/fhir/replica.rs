//! The tables of sync with a plain server, beside those of the engine.

use keepwell_fhir::ResourceType;
use keepwell_plain::{Flight, Remote, Replica};
use keepwell_protocol::{Blob, Id, ResourceKey};

use crate::error::{Error, Result};
use crate::replica::StoreReplica;
use crate::tables::{FHIR_STATE, Tables};

impl Replica for StoreReplica<'_, '_, '_> {
    type Error = Error;
    type Tables = Self;

    fn tables(&mut self) -> &mut Self {
        self
    }

    fn remote(&mut self, key: &ResourceKey) -> Result<Option<Remote>> {
        Ok(rows(self).fhir_remote(key)?)
    }

    fn set_remote(&mut self, key: &ResourceKey, remote: &Remote) -> Result<()> {
        Ok(rows(self).set_fhir_remote(key, remote)?)
    }

    fn local_id(&mut self, kind: ResourceType, server_id: &Id) -> Result<Option<Id>> {
        Ok(rows(self).fhir_local_id(kind, server_id)?)
    }

    fn has_server_ids(&mut self) -> Result<bool> {
        Ok(rows(self).has_fhir_server_ids()?)
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<ResourceKey>> {
        Ok(rows(self).fhir_wanted(limit)?)
    }

    fn flight(&mut self, key: &ResourceKey) -> Result<Option<Flight>> {
        Ok(rows(self).fhir_flight(key)?)
    }

    fn set_flight(&mut self, key: &ResourceKey, flight: Option<&Flight>) -> Result<()> {
        Ok(rows(self).set_fhir_flight(key, flight)?)
    }

    fn flights(&mut self) -> Result<Vec<ResourceKey>> {
        Ok(rows(self).fhir_flights()?)
    }

    fn add_member(&mut self, search: u32, key: &ResourceKey, round: u64) -> Result<()> {
        Ok(rows(self).add_fhir_member(search, key, round)?)
    }

    fn members_below(&mut self, search: u32, round: u64, limit: usize) -> Result<Vec<ResourceKey>> {
        Ok(rows(self).fhir_members_below(search, round, limit)?)
    }

    fn miss_member(&mut self, search: u32, key: &ResourceKey, round: u64) -> Result<u32> {
        Ok(rows(self).miss_fhir_member(search, key, round)?)
    }

    fn remove_member(&mut self, search: u32, key: &ResourceKey) -> Result<bool> {
        Ok(rows(self).remove_fhir_member(search, key)?)
    }

    fn attachment(&mut self, blob: &Blob) -> Result<Option<Vec<u8>>> {
        self.attachment_content(blob)
    }

    fn keep_attachment(&mut self, blob: &Blob, content: &[u8]) -> Result<()> {
        self.add_attachment(blob, content)
    }

    fn state(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(rows(self).setting(FHIR_STATE)?)
    }

    fn set_state(&mut self, state: &[u8]) -> Result<()> {
        Ok(rows(self).set_setting(FHIR_STATE, state)?)
    }
}

/// All rows of sync.
fn rows<'r>(replica: &'r StoreReplica<'_, '_, '_>) -> Tables<'r> {
    StoreReplica::tables(replica)
}
