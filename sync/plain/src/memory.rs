//! A replica in memory, for tests and simulations. A copy of it is the device's database at that moment.

use std::collections::BTreeMap;
use std::convert::Infallible;

use keepwell_engine::{Base, Replica as _};
use keepwell_fhir::ResourceType;
use keepwell_protocol::{Blob, Body, Hash, Id, ResourceKey};

use crate::replica::{Flight, Remote, Replica};

/// Tables in memory. Nothing here fails, so a transaction is a copy that is taken back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryReplica {
    tables: keepwell_engine::MemoryReplica,
    remotes: BTreeMap<ResourceKey, Remote>,
    flights: BTreeMap<ResourceKey, Flight>,
    /// The round in which a search found a resource last, and how often it was missing since.
    members: BTreeMap<(u32, ResourceKey), (u64, u32)>,
    attachments: BTreeMap<Hash, Vec<u8>>,
    edits: u64,
    state: Option<Vec<u8>>,
}

impl MemoryReplica {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Saves a resource as a person does, and notes it for the engine; none to delete it.
    pub fn save(&mut self, key: &ResourceKey, body: Option<Body>) {
        let Ok(before) = self.tables.content(key);
        let Ok(base) = self.tables.base(key);
        if base.is_none() && before != body {
            self.edits += 1;
            let base = Base { content: before, order: self.edits, group: None, merge: None };
            let Ok(()) = self.tables.set_base(key, Some(&base));
        }
        self.tables.save(key, body);
    }

    /// Contents, bases and conflicts.
    #[must_use]
    pub fn shared(&self) -> &keepwell_engine::MemoryReplica {
        &self.tables
    }

    /// Loses the contents of all attachments, as a disk may.
    pub fn forget_attachments(&mut self) {
        self.attachments.clear();
    }

    /// All that is known of the server.
    pub fn remotes(&self) -> impl Iterator<Item = (&ResourceKey, &Remote)> {
        self.remotes.iter()
    }
}

impl Replica for MemoryReplica {
    type Error = Infallible;
    type Tables = keepwell_engine::MemoryReplica;

    fn tables(&mut self) -> &mut Self::Tables {
        &mut self.tables
    }

    fn remote(&mut self, key: &ResourceKey) -> Result<Option<Remote>, Infallible> {
        Ok(self.remotes.get(key).cloned())
    }

    fn set_remote(&mut self, key: &ResourceKey, remote: &Remote) -> Result<(), Infallible> {
        self.remotes.insert(key.clone(), remote.clone());
        Ok(())
    }

    fn local_id(&mut self, kind: ResourceType, server_id: &Id) -> Result<Option<Id>, Infallible> {
        let is_it = |(key, remote): &(&ResourceKey, &Remote)| {
            key.kind == kind && remote.server_id.as_ref() == Some(server_id)
        };
        Ok(self.remotes.iter().find(is_it).map(|(key, _)| key.id.clone()))
    }

    fn has_server_ids(&mut self) -> Result<bool, Infallible> {
        Ok(self.remotes.values().any(|remote| remote.server_id.is_some()))
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<ResourceKey>, Infallible> {
        let wanted = self.remotes.iter().filter(|(_, remote)| remote.is_wanted);
        Ok(wanted.take(limit).map(|(key, _)| key.clone()).collect())
    }

    fn flight(&mut self, key: &ResourceKey) -> Result<Option<Flight>, Infallible> {
        Ok(self.flights.get(key).cloned())
    }

    fn set_flight(&mut self, key: &ResourceKey, flight: Option<&Flight>) -> Result<(), Infallible> {
        match flight {
            Some(flight) => self.flights.insert(key.clone(), flight.clone()),
            None => self.flights.remove(key),
        };
        Ok(())
    }

    fn flights(&mut self) -> Result<Vec<ResourceKey>, Infallible> {
        Ok(self.flights.keys().cloned().collect())
    }

    fn add_member(&mut self, search: u32, key: &ResourceKey, round: u64) -> Result<(), Infallible> {
        self.members.insert((search, key.clone()), (round, 0));
        Ok(())
    }

    fn members_below(
        &mut self,
        search: u32,
        round: u64,
        limit: usize,
    ) -> Result<Vec<ResourceKey>, Infallible> {
        let below =
            self.members.iter().filter(|((of, _), (found, _))| *of == search && *found < round).take(limit);
        Ok(below.map(|((_, key), _)| key.clone()).collect())
    }

    fn miss_member(&mut self, search: u32, key: &ResourceKey, round: u64) -> Result<u32, Infallible> {
        let (found, missed) = self.members.entry((search, key.clone())).or_default();
        *found = round;
        *missed += 1;
        Ok(*missed)
    }

    fn remove_member(&mut self, search: u32, key: &ResourceKey) -> Result<bool, Infallible> {
        self.members.remove(&(search, key.clone()));
        Ok(self.members.keys().any(|(_, member)| member == key))
    }

    fn attachment(&mut self, blob: &Blob) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.attachments.get(&blob.sha256).cloned())
    }

    fn keep_attachment(&mut self, blob: &Blob, content: &[u8]) -> Result<(), Infallible> {
        self.attachments.insert(blob.sha256, content.to_vec());
        Ok(())
    }

    fn state(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.state.clone())
    }

    fn set_state(&mut self, state: &[u8]) -> Result<(), Infallible> {
        self.state = Some(state.to_vec());
        Ok(())
    }
}
