//! What the engine asks of a device's storage, beyond the tables of `keepwell-engine`.
//!
//! All calls of one [`Engine::handle`](crate::Engine::handle) stand in one transaction, which the caller opens before
//! and commits after it with a full sync, and only then follows the effects.

use keepwell_engine::Replica as Tables;
use keepwell_fhir::{Instant, ResourceType};
use keepwell_protocol::{Blob, Body, Hash, Id, ResourceKey};
use serde::{Deserialize, Serialize};

/// How it stands with a resource on the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// A list names it; it has not been read.
    Listed,
    /// It was read, or written.
    Here,
    /// The server said that it is deleted.
    Deleted,
    /// It disappeared. Readers do not see it; its versions stay, and nothing is told to the server.
    Unavailable,
}

/// What the server has of a resource, as far as this device has heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Its id there, if that is another one than here.
    pub server_id: Option<Id>,
    /// How it stands.
    pub standing: Standing,
    /// The version, as the server writes it; none if it has no versions.
    pub version: Option<String>,
    /// When that version was made, by the server's clock.
    pub at: Option<Instant>,
    /// The hash of the content, in the terms of this device.
    pub hash: Option<Hash>,
    /// It has to be read, since what is here may not be what is there.
    pub is_wanted: bool,
}

/// What a write does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// `POST`: the server chooses the id.
    Post,
    /// `PUT` where nothing is.
    Create,
    /// `PUT` over a version.
    Update,
    /// `DELETE`.
    Delete,
}

/// A write that may have left the device and has not been settled. Its content never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flight {
    /// What it does.
    pub intent: Intent,
    /// The content in the terms of this device; none for a deletion.
    pub sent: Option<Body>,
    /// The version that it goes over.
    pub version: Option<String>,
    /// The value by which a resource is found that was posted: random, in `urn:keepwell:m`.
    pub mark: Option<Id>,
}

/// What the device's storage offers inside one transaction.
pub trait Replica {
    /// What may fail. The transaction is rolled back then.
    type Error;
    /// Contents, bases, conflicts: as for a server of Keepwell.
    type Tables: Tables<Error = Self::Error>;

    /// Those tables.
    fn tables(&mut self) -> &mut Self::Tables;

    /// What the server has of a resource.
    ///
    /// # Errors
    /// Those of the storage; so for all methods.
    fn remote(&mut self, key: &ResourceKey) -> Result<Option<Remote>, Self::Error>;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_remote(&mut self, key: &ResourceKey, remote: &Remote) -> Result<(), Self::Error>;

    /// The id here of the resource with this id there, if it is another one.
    ///
    /// # Errors
    /// Those of the storage.
    fn local_id(&mut self, kind: ResourceType, server_id: &Id) -> Result<Option<Id>, Self::Error>;

    /// Whether any resource has another id there than here.
    ///
    /// # Errors
    /// Those of the storage.
    fn has_server_ids(&mut self) -> Result<bool, Self::Error>;

    /// Resources that are wanted, in any order, at most `limit`.
    ///
    /// # Errors
    /// Those of the storage.
    fn wanted(&mut self, limit: usize) -> Result<Vec<ResourceKey>, Self::Error>;

    /// The write of a resource that is under way.
    ///
    /// # Errors
    /// Those of the storage.
    fn flight(&mut self, key: &ResourceKey) -> Result<Option<Flight>, Self::Error>;

    /// Writes it, or removes it.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_flight(&mut self, key: &ResourceKey, flight: Option<&Flight>) -> Result<(), Self::Error>;

    /// The resources with a write under way: few.
    ///
    /// # Errors
    /// Those of the storage.
    fn flights(&mut self) -> Result<Vec<ResourceKey>, Self::Error>;

    /// Notes that a search found a resource in this round; how often it was missing begins anew.
    ///
    /// # Errors
    /// Those of the storage.
    fn add_member(&mut self, search: u32, key: &ResourceKey, round: u64) -> Result<(), Self::Error>;

    /// Members that were found last in a round below this one, at most `limit`.
    ///
    /// # Errors
    /// Those of the storage.
    fn members_below(
        &mut self,
        search: u32,
        round: u64,
        limit: usize,
    ) -> Result<Vec<ResourceKey>, Self::Error>;

    /// Notes that a member was not found in this round; how often in a row.
    ///
    /// # Errors
    /// Those of the storage.
    fn miss_member(&mut self, search: u32, key: &ResourceKey, round: u64) -> Result<u32, Self::Error>;

    /// Takes a member out; whether another search still has it.
    ///
    /// # Errors
    /// Those of the storage.
    fn remove_member(&mut self, search: u32, key: &ResourceKey) -> Result<bool, Self::Error>;

    /// The content of an attachment that a token in a content names; none if it is not here.
    ///
    /// # Errors
    /// Those of the storage.
    fn attachment(&mut self, blob: &Blob) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Keeps it, for contents that are about to name it.
    ///
    /// # Errors
    /// Those of the storage.
    fn keep_attachment(&mut self, blob: &Blob, content: &[u8]) -> Result<(), Self::Error>;

    /// The engine's own values; none in a new replica.
    ///
    /// # Errors
    /// Those of the storage.
    fn state(&mut self) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Keeps them.
    ///
    /// # Errors
    /// Those of the storage.
    fn set_state(&mut self, state: &[u8]) -> Result<(), Self::Error>;
}
