//! What another crate keeps in the database of a store: tables of its own, changed in the same transactions.
//!
//! Sync is built on this, on a device and on a server: what waits to be sent, who may see what, and how far another
//! store has read are true only if they commit together with the resources.
//!
//! Invariants: an extension hears of every version in the transaction that makes it, before its commit; its error
//! rolls the transaction back; a store that was opened with an extension is never opened without it.

use std::cell::RefCell;
use std::io::Read;

use keepwell_fhir::{Instant, ResourceType};
use keepwell_sqlcipher::{Connection, Migration};
use rusqlite::params;

use crate::apart::{Incoming, apart};
use crate::attachment::{self, Attachments};
use crate::body::Decoder;
use crate::change_feed::Operation;
use crate::error::{Error, Result};
use crate::head::{Head, version_content};
use crate::id_key::IdKey;
use crate::index::Identities;
use crate::interaction::valid_id;
use crate::prepare::{Identity, Prepared, as_written};
use crate::schema;
use crate::unit::Unit;

/// Tables of another crate in the database of a store ([`crate::StoreOptions::extensions`]).
///
/// It touches its own tables only; of the store's it may read `resource` and `change_log`.
pub trait Extension: Send + Sync {
    /// Its name: its tables begin with this and an underscore.
    fn name(&self) -> &'static str;

    /// The steps to its tables, numbered 1, 2, 3 and so on. A released step is history.
    fn migrations(&self) -> &'static [Migration];

    /// A version was made, in the transaction that is open on `connection`.
    ///
    /// # Errors
    /// Any: the transaction is rolled back, and its caller gets the error.
    fn changed(&self, connection: &Connection, changed: &Changed<'_>) -> Result<()>;

    /// How many edits would be lost with this store, for the count that is sealed outside of it; `None` if this
    /// extension does not know.
    ///
    /// # Errors
    /// Those of reading it.
    fn unsynced(&self, connection: &Connection) -> Result<Option<u64>> {
        let _ = connection;
        Ok(None)
    }
}

/// A version, as the extensions hear of it.
#[non_exhaustive]
pub struct Changed<'c> {
    /// The resource's row: a number that it keeps for ever.
    pub key: i64,
    /// Its type.
    pub resource_type: ResourceType,
    /// The version, as in meta.versionId.
    pub version: u64,
    /// When it was made.
    pub last_updated: Instant,
    /// What was done.
    pub operation: Operation,
    /// Its place in the change log.
    pub sequence: i64,
    /// The place of the first version of this transaction: versions with the same one commit together.
    pub first_sequence: i64,
    /// Whether a [`Transaction`] made it, not an interaction.
    pub is_foreign: bool,
    pub(crate) id: &'c IdKey,
    pub(crate) before: Option<&'c [u8]>,
    pub(crate) after: After<'c>,
    pub(crate) connection: &'c Connection,
    pub(crate) identities: &'c Identities,
    pub(crate) decoder: RefCell<&'c mut Decoder>,
}

/// The content after a change.
pub(crate) enum After<'c> {
    Nothing,
    Prepared(&'c Prepared),
}

impl Changed<'_> {
    /// The id of the resource.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// The row of a resource, as [`View::row_of`].
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::Corrupt`].
    pub fn row_of(&self, resource_type: ResourceType, id: &str) -> Result<Option<i64>> {
        self.identities.find(self.connection, resource_type, &valid_id(id)?)
    }

    /// The content of the version before, without meta.versionId and meta.lastUpdated, as it is stored: large
    /// attachments are tokens in it. `None` when there was none, or it was a deletion, or it is purged now.
    #[must_use]
    pub fn stored_before(&self) -> Option<&[u8]> {
        self.before
    }

    /// The content of this version without meta.versionId and meta.lastUpdated, large attachments apart, as
    /// [`View::current`]. `connection` is the one that the extension is told of this on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it cannot be decompressed.
    pub fn content(&self, connection: &Connection) -> Result<Option<Vec<u8>>> {
        let stored = match self.after {
            After::Nothing => return Ok(None),
            After::Prepared(prepared) if !prepared.content.is_empty() => prepared.content.clone(),
            After::Prepared(prepared) => self.decoder.borrow_mut().decode(&prepared.body)?,
        };
        apart(connection, stored).map(Some)
    }
}

/// A resource as it stands.
#[derive(Clone)]
#[non_exhaustive]
pub struct Current {
    /// Its row: a number that it keeps for ever.
    pub key: i64,
    /// The version, as in meta.versionId.
    pub version: u64,
    /// When that version was made.
    pub last_updated: Instant,
    /// The place of that version in the change log.
    pub sequence: i64,
    /// The JSON without meta.versionId and meta.lastUpdated, byte for byte but for large attachments, which are apart:
    /// `{"_blob":{"sha256":"…","size":1300000}}` stands for the text, as docs/sync-protocol.md says. `None` when it is
    /// deleted or purged.
    pub content: Option<Vec<u8>>,
}

/// The content is a person's data: it is not printed by accident.
impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Current(row {}, version {})", self.key, self.version)
    }
}

/// What is known of the content of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// Bytes of the content.
    pub size: u64,
    /// Whether the content is in this store.
    pub is_here: bool,
}

/// One state of a store: its resources and the tables of extensions.
pub struct View<'v> {
    pub(crate) connection: &'v Connection,
    pub(crate) identities: &'v Identities,
    pub(crate) decoder: &'v mut Decoder,
    pub(crate) attachments: &'v Attachments,
}

impl<'v> View<'v> {
    /// The database, for the tables of an extension.
    #[must_use]
    pub fn connection(&self) -> &'v Connection {
        self.connection
    }

    /// The row of a resource, deleted or not: `key` of the table `resource`, which is not to be searched by type and
    /// id; `None` when there never was one.
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::Corrupt`].
    pub fn row_of(&self, resource_type: ResourceType, id: &str) -> Result<Option<i64>> {
        self.identities.find(self.connection, resource_type, &valid_id(id)?)
    }

    fn head(&self, resource_type: ResourceType, id: &str) -> Result<Option<Head>> {
        Head::find(self.connection, self.identities, resource_type, &valid_id(id)?)
    }

    /// A resource as it stands, deleted or not; `None` when there never was one.
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::Corrupt`].
    pub fn current(&mut self, resource_type: ResourceType, id: &str) -> Result<Option<Current>> {
        let Some(head) = self.head(resource_type, id)? else { return Ok(None) };
        let content = self.content(&head, head.version)?;
        let Head { key, version, last_updated, change, .. } = head;
        Ok(Some(Current { key, version, last_updated, sequence: change, content }))
    }

    /// The content of one version, without meta.versionId and meta.lastUpdated; `None` for a deletion, a purged
    /// version and one that never was.
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::Corrupt`].
    pub fn version(
        &mut self,
        resource_type: ResourceType,
        id: &str,
        version: u64,
    ) -> Result<Option<Vec<u8>>> {
        let Some(head) = self.head(resource_type, id)? else { return Ok(None) };
        self.content(&head, version)
    }

    fn content(&mut self, head: &Head, version: u64) -> Result<Option<Vec<u8>>> {
        version_content(self.connection, self.decoder, head, version)?
            .map(|content| apart(self.connection, content))
            .transpose()
    }

    /// An attachment that a body refers to, by the SHA-256 of its content; `None` if none does.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn attachment(&self, hash: &[u8; 32]) -> Result<Option<Attachment>> {
        let row = attachment::row(self.connection, hash)?;
        Ok(row.map(|row| Attachment { size: row.size, is_here: !row.is_absent }))
    }

    /// Bytes of an attachment's content from `offset` on, at most `length`.
    ///
    /// # Errors
    /// [`Error::AttachmentAbsent`]; [`Error::Corrupt`], also when no body refers to it.
    pub fn attachment_bytes(&self, hash: &[u8; 32], offset: u64, length: usize) -> Result<Vec<u8>> {
        self.attachments.range(self.connection, hash, offset, length)
    }

    /// Attachments of current versions whose content is not here: hash and size, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn absent_attachments(&self, limit: usize) -> Result<Vec<([u8; 32], u64)>> {
        let mut statement = self.connection.prepare_cached(
            "-- View::absent_attachments
             SELECT hash, size FROM blob WHERE is_absent = 1 AND EXISTS (
                 SELECT 1 FROM blob_reference JOIN resource ON resource.key = blob_reference.resource
                 WHERE blob_reference.blob = blob.key AND blob_reference.version = resource.version)
             LIMIT ?1",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            statement.query_map([limit], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Type, id and current content of the resource in a row, as [`Self::current`].
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is no such row.
    pub fn row(&mut self, key: i64) -> Result<(ResourceType, String, Current)> {
        let (resource_type, id, head) = Head::of_row(self.connection, key)?.ok_or(Error::Corrupt)?;
        let content = self.content(&head, head.version)?;
        let Head { key, version, last_updated, change, .. } = head;
        let current = Current { key, version, last_updated, sequence: change, content };
        Ok((resource_type, id.to_string(), current))
    }

    /// The place of the newest version in the change log, 0 when there is none.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn last_sequence(&self) -> Result<i64> {
        let mut statement = self
            .connection
            .prepare_cached("-- View::last_sequence\nSELECT coalesce(max(sequence), 0) FROM change_log")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Which store this is, and which of its lives: both differ in what was restored from an archive, the second
    /// also after an older state was adopted ([`crate::Store::unlock_with`]).
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn life(&self) -> Result<([u8; 16], u64)> {
        let store = self.connection.query_row(
            "-- View::life\nSELECT value FROM setting WHERE name = 'store'",
            [],
            |row| row.get(0),
        )?;
        Ok((store, schema::epoch(self.connection)?))
    }
}

/// A transaction over resources and the tables of extensions ([`crate::Session::transaction`]).
pub struct Transaction<'t, 'w> {
    pub(crate) unit: &'t mut Unit<'w>,
    pub(crate) attachments: &'t Attachments,
}

impl Transaction<'_, '_> {
    /// The state as this transaction sees it.
    pub fn view(&mut self) -> View<'_> {
        let Unit { connection, index, decoder, .. } = &mut *self.unit;
        View { connection, identities: index.identities(), decoder, attachments: self.attachments }
    }

    /// The database, for the tables of an extension.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.unit.connection
    }

    /// The row of a resource, as [`View::row_of`].
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::Corrupt`].
    pub fn row_of(&self, resource_type: ResourceType, id: &str) -> Result<Option<i64>> {
        self.unit.index.identities().find(self.unit.connection, resource_type, &valid_id(id)?)
    }

    /// The time that the versions of this transaction get.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.unit.now()
    }

    /// Writes a version, the first or a further one; returns its number. Where `content` is the current content
    /// nothing is written. The content has its id, and its large attachments may be apart as in [`View::current`]: their
    /// content is here, or comes by [`Self::add_attachment`]. `is_valid` says that another store has validated it already.
    ///
    /// # Errors
    /// As [`crate::Session::update`]. After one with a code below 200 the transaction is as it was, and goes on.
    pub fn put(
        &mut self,
        resource_type: ResourceType,
        id: &str,
        content: &[u8],
        is_valid: bool,
    ) -> Result<u64> {
        let key = valid_id(id)?;
        let head = self.unit.find(resource_type, &key)?;
        let content = Incoming::synced(content, self.attachments, self.unit.connection)?;
        let strict = self.unit.preparer.accept_invalid(is_valid);
        let prepared = self.unit.preparer.prepare(
            &content,
            Some(resource_type),
            Identity::Expected(id),
            self.attachments,
            &as_written,
        );
        self.unit.preparer.accept_invalid(strict);
        Ok(self.unit.put(head.as_ref(), &prepared?)?.version)
    }

    /// Keeps the content of an attachment, for bodies that refer to it or are about to in this transaction. Whether it
    /// has this hash; if not, nothing is kept.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add_attachment(&self, hash: &[u8; 32], content: &mut dyn Read) -> Result<bool> {
        let Some(staged) = self.attachments.put_expected(hash, content)? else { return Ok(false) };
        self.unit
            .connection
            .prepare_cached(
                "-- Transaction::add_attachment
                 UPDATE blob SET file = ?2, size = ?3, is_absent = 0 WHERE hash = ?1 AND is_absent = 1",
            )?
            .execute(params![staged.hash, staged.file, staged.size.cast_signed()])?;
        Ok(true)
    }

    /// Writes the version that is a tombstone; returns its number, `None` when there never was such a resource.
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn delete(&mut self, resource_type: ResourceType, id: &str) -> Result<Option<u64>> {
        let key = valid_id(id)?;
        let Some(head) = self.unit.find(resource_type, &key)? else { return Ok(None) };
        Ok(Some(self.unit.delete(resource_type, &key, &head)?.version))
    }

    /// Removes content and history for good; what stays says only that there was something. Nothing happens where
    /// that has been done, or there never was such a resource.
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn purge(&mut self, resource_type: ResourceType, id: &str) -> Result<()> {
        let key = valid_id(id)?;
        let Some(head) = self.unit.find(resource_type, &key)? else { return Ok(()) };
        if self.unit.is_purged(&head)? {
            return Ok(());
        }
        self.unit.purge(resource_type, &key, &head)?;
        Ok(())
    }
}
