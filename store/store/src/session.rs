//! A person at work: every interaction happens in a session, so the audit trail always knows who it was.

use std::io::{Read, Write};

use keepwell_fhir::bundle::{Bundle, BundleType};
use keepwell_fhir::patch::PatchFormat;
use keepwell_fhir::{Instant, ResourceType};
use keepwell_vault::Passcode;

use crate::audit::{Action, Actor, Outcome};
use crate::bundle::{self, Answer};
use crate::change_feed::Operation;
use crate::error::{Error, Result};
use crate::extension::{Transaction, View};
use crate::head::Head;
use crate::history::{self, HistoryPage, HistoryQuery, Level};
use crate::id_key::IdKey;
use crate::inner::{Open, OpenGuard, ReadEvent, Reader};
use crate::interaction::{Interactions, Precondition, Written, new_id};
use crate::prepare::as_written;
use crate::privileged::Privileged;
use crate::store::Store;
use crate::unit::Unit;
use crate::writer::EventHeader;

/// A resource as a client reads it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Resource {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: String,
    /// meta.versionId.
    pub version: u64,
    /// meta.lastUpdated.
    pub last_updated: Instant,
    /// The JSON, byte for byte as it was written, with meta.versionId and meta.lastUpdated of this version.
    pub body: Vec<u8>,
}

/// The body is a person's data: it is not printed by accident.
impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resource({} version {}, {} bytes)", self.resource_type, self.version, self.body.len())
    }
}

/// What one person does with an open store, from login to logout.
///
/// A lock ends every session: after it each call returns [`keepwell_vault::Error::Locked`], and the next person
/// begins a new one. Clones are the same session.
#[derive(Clone)]
pub struct Session {
    pub(crate) store: Store,
    pub(crate) actor: Actor,
    pub(crate) actor_key: i64,
    pub(crate) generation: u64,
    check_references: bool,
    is_attended: bool,
}

impl Session {
    pub(crate) fn new(store: Store, actor: Actor, actor_key: i64, generation: u64) -> Self {
        Self { store, actor, actor_key, generation, check_references: false, is_attended: true }
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The store that the session is on.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether writes are refused when a literal reference to this store leads nowhere. Off at first.
    pub fn set_check_references(&mut self, check: bool) {
        self.check_references = check;
    }

    /// Whether a person is at work in it, so that each call puts off the idle lock. True at first; false is for what goes
    /// on by itself, such as sync in the background.
    pub fn set_attended(&mut self, attended: bool) {
        self.is_attended = attended;
    }

    /// create (POST): the store chooses the id.
    ///
    /// # Errors
    /// [`Error::Syntax`], [`Error::Invalid`], [`Error::WrongType`].
    pub fn create(&self, resource_type: ResourceType, body: &[u8]) -> Result<Written> {
        self.write(Action::Create, None, |work| {
            let id = new_id(work.unit.now())?;
            work.create(resource_type, &id, body)
        })
    }

    /// Conditional create (If-None-Exist): nothing is written when `condition` finds a resource.
    ///
    /// # Errors
    /// As [`Self::create`], [`Error::MultipleMatches`], [`Error::UnsupportedCondition`].
    pub fn create_if_none_exist(
        &self,
        resource_type: ResourceType,
        body: &[u8],
        condition: &str,
    ) -> Result<Written> {
        self.write(Action::Create, Some(condition), |work| match work.find(resource_type, condition)? {
            Some(found) => work.existing(resource_type, &found),
            None => {
                let id = new_id(work.unit.now())?;
                work.create(resource_type, &id, body)
            }
        })
    }

    /// update (PUT): replaces the resource, or creates it under the caller's id.
    ///
    /// # Errors
    /// As [`Self::create`], [`Error::WrongId`], [`Error::InvalidId`], [`Error::VersionConflict`], [`Error::Exists`].
    pub fn update(
        &self,
        resource_type: ResourceType,
        id: &str,
        body: &[u8],
        precondition: Precondition,
    ) -> Result<Written> {
        self.write(Action::Update, None, |work| work.update(resource_type, id, body, precondition))
    }

    /// Conditional update: of the one resource that `condition` finds, or a create when it finds none.
    ///
    /// # Errors
    /// As [`Self::update`], [`Error::MultipleMatches`], [`Error::UnsupportedCondition`].
    pub fn update_if(
        &self,
        resource_type: ResourceType,
        condition: &str,
        body: &[u8],
        precondition: Precondition,
    ) -> Result<Written> {
        self.write(Action::Update, Some(condition), |work| {
            let id = match work.find(resource_type, condition)? {
                Some(found) => found,
                None => work.own_id(body)?,
            };
            work.update_as(resource_type, &id, body, precondition)
        })
    }

    /// patch: JSON Patch, JSON Merge Patch or FHIRPath Patch.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Gone`], [`Error::Patch`], [`Error::Invalid`], [`Error::VersionConflict`].
    pub fn patch(
        &self,
        resource_type: ResourceType,
        id: &str,
        format: PatchFormat,
        patch: &[u8],
        precondition: Precondition,
    ) -> Result<Written> {
        self.write(Action::Patch, None, |work| work.patch(resource_type, id, format, patch, precondition))
    }

    /// Conditional patch of the one resource that `condition` finds.
    ///
    /// # Errors
    /// As [`Self::patch`], [`Error::NoMatch`], [`Error::MultipleMatches`], [`Error::UnsupportedCondition`].
    pub fn patch_if(
        &self,
        resource_type: ResourceType,
        condition: &str,
        format: PatchFormat,
        patch: &[u8],
        precondition: Precondition,
    ) -> Result<Written> {
        self.write(Action::Patch, Some(condition), |work| {
            let id = work.find(resource_type, condition)?.ok_or(Error::NoMatch(resource_type))?.to_string();
            work.patch(resource_type, &id, format, patch, precondition)
        })
    }

    /// delete: the next version is a tombstone, history stays. `None` when there never was such a resource.
    ///
    /// # Errors
    /// [`Error::InvalidId`], [`Error::VersionConflict`].
    pub fn delete(
        &self,
        resource_type: ResourceType,
        id: &str,
        precondition: Precondition,
    ) -> Result<Option<Written>> {
        self.write(Action::Delete, None, |work| work.delete(resource_type, id, precondition))
    }

    /// Conditional delete of the one resource that `condition` finds, if any.
    ///
    /// # Errors
    /// [`Error::MultipleMatches`], [`Error::UnsupportedCondition`].
    pub fn delete_if(&self, resource_type: ResourceType, condition: &str) -> Result<Option<Written>> {
        self.write(Action::Delete, Some(condition), |work| match work.find(resource_type, condition)? {
            Some(found) => work.delete(resource_type, &found.to_string(), Precondition::None),
            None => Ok(None),
        })
    }

    /// Creates a Binary from a stream, which is never whole in memory.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a content type that is not a code; [`Error::Io`] when the stream fails.
    pub fn create_binary(&self, content_type: &str, content: &mut dyn Read) -> Result<Written> {
        let binary = ResourceType::parse("Binary").expect("Binary is a type of R4");
        self.write(Action::Create, None, |work| {
            let id = new_id(work.unit.now())?;
            work.create_binary(binary, &id, content_type, content)
        })
    }

    /// A transaction Bundle, all or nothing, or a batch Bundle; returns the response Bundle.
    ///
    /// # Errors
    /// [`Error::Bundle`]; for a transaction [`Error::Entry`] with the entry that failed.
    pub fn bundle(&self, body: &[u8]) -> Result<Vec<u8>> {
        let bundle = Bundle::parse(body)?;
        match bundle.kind {
            BundleType::Transaction => self.write(Action::Transaction, None, |work| {
                let answers = bundle::transaction(work.unit, work.attachments, &bundle)?;
                Ok(bundle::response(BundleType::TransactionResponse, work.unit.now(), &answers))
            }),
            BundleType::Batch => {
                let mut answers = Vec::with_capacity(bundle.entries.len());
                for entry in &bundle.entries {
                    let done = self.write(Action::Batch, None, |work| {
                        bundle::batch_entry(work.unit, work.attachments, entry)
                    });
                    answers.push(match done {
                        Ok(answer) => answer,
                        Err(error @ (Error::Vault(_) | Error::Storage(_))) => return Err(error),
                        Err(error) => Answer::failed(&error),
                    });
                }
                let now = Instant::from_ms(self.store.inner.now_ms());
                Ok(bundle::response(BundleType::BatchResponse, now, &answers))
            }
            _ => Err(Error::Unsupported("a Bundle that is neither transaction nor batch")),
        }
    }

    /// read: the current version.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Gone`].
    pub fn read(&self, resource_type: ResourceType, id: &str) -> Result<Resource> {
        self.read_version(Action::Read, resource_type, id, None)
    }

    /// vread: one version, current or old.
    ///
    /// # Errors
    /// As [`Self::read`]; [`Error::Gone`] for a version that is a deletion.
    pub fn vread(&self, resource_type: ResourceType, id: &str, version: u64) -> Result<Resource> {
        self.read_version(Action::Vread, resource_type, id, Some(version))
    }

    /// history-instance: also of a deleted resource.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Argument`].
    pub fn history(
        &self,
        resource_type: ResourceType,
        id: &str,
        query: &HistoryQuery,
    ) -> Result<HistoryPage> {
        self.read_history(Level::Instance(resource_type, &IdKey::new(id)), query)
    }

    /// history-type.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub fn history_type(&self, resource_type: ResourceType, query: &HistoryQuery) -> Result<HistoryPage> {
        self.read_history(Level::Type(resource_type), query)
    }

    /// history-system.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub fn history_system(&self, query: &HistoryQuery) -> Result<HistoryPage> {
        self.read_history(Level::System, query)
    }

    /// Copies the `index`-th large attachment of a resource to `out` as its decoded content, chunk by chunk.
    ///
    /// # Errors
    /// [`Error::NotFound`] also when the resource has fewer large attachments; [`Error::Corrupt`].
    pub fn read_attachment(
        &self,
        resource_type: ResourceType,
        id: &str,
        index: usize,
        out: &mut dyn Write,
    ) -> Result<u64> {
        let open = self.enter()?;
        let mut reader = self.store.inner.reader(&open)?;
        let Reader { connection, decoder, .. } = &mut *reader;
        let (snapshot, state) = open.index.read(connection)?;
        let head = Head::find(&snapshot, &state.identities, resource_type, &IdKey::new(id))?;
        let done = (|| {
            let head = head.as_ref().ok_or(Error::NotFound(resource_type))?;
            let body = head.body.as_ref().ok_or(Error::Gone { resource_type, version: head.version })?;
            let content = decoder.decode(body)?;
            let hashes = crate::attachment::tokens(&content)?;
            let hash = hashes.get(index).ok_or(Error::NotFound(resource_type))?;
            open.attachments.copy(&snapshot, hash, out)
        })();
        drop(snapshot);
        let event =
            ReadEvent::of(Action::AttachmentRead, head.as_ref(), head.as_ref().map(|head| head.version));
        self.note(&open, event, &done)?;
        done
    }

    /// Proves again who is there, for acts that destroy or carry away data.
    ///
    /// # Errors
    /// [`keepwell_vault::Error::WrongPasscode`] and the like when a passcode is set.
    pub fn elevate(&self, passcode: Option<&Passcode>) -> Result<Privileged<'_>> {
        let open = self.enter()?;
        if let Err(error) = self.store.inner.vault().unlock(passcode) {
            self.store.inner.record(
                &open,
                self.actor_key,
                Action::AccessDenied,
                Outcome::MinorFailure,
                None,
            )?;
            return Err(error.into());
        }
        Ok(Privileged::new(self))
    }

    /// Ends the session and records it.
    ///
    /// # Errors
    /// Those of the audit trail.
    pub fn close(self) -> Result<()> {
        let open = self.enter()?;
        self.store.inner.record(&open, self.actor_key, Action::Logout, Outcome::Success, None)
    }

    fn read_version(
        &self,
        action: Action,
        resource_type: ResourceType,
        id: &str,
        version: Option<u64>,
    ) -> Result<Resource> {
        let open = self.enter()?;
        let mut reader = self.store.inner.reader(&open)?;
        let Reader { connection, decoder, .. } = &mut *reader;
        let (snapshot, state) = open.index.read(connection)?;
        let head = Head::find(&snapshot, &state.identities, resource_type, &IdKey::new(id))?;
        let done = (|| {
            let head = head.as_ref().ok_or(Error::NotFound(resource_type))?;
            let version = version.unwrap_or(head.version);
            if !(1..=head.version).contains(&version) {
                return Err(Error::NotFound(resource_type));
            }
            let found = history::version_body(&snapshot, decoder, &open.attachments, head, version)?;
            let (body, last_updated) = found.ok_or(Error::Gone { resource_type, version })?;
            Ok(Resource { resource_type, id: id.to_owned(), version, last_updated, body })
        })();
        drop(snapshot);
        let read = done.as_ref().ok().map(|resource| resource.version);
        self.note(&open, ReadEvent::of(action, head.as_ref(), read), &done)?;
        done
    }

    fn read_history(&self, level: Level<'_>, query: &HistoryQuery) -> Result<HistoryPage> {
        let open = self.enter()?;
        let mut reader = self.store.inner.reader(&open)?;
        let Reader { connection, decoder, .. } = &mut *reader;
        let (snapshot, state) = open.index.read(connection)?;
        let ids = &state.identities;
        let done = history::page(&snapshot, ids, decoder, &open.attachments, level, query);
        let head = match level {
            Level::Instance(resource_type, id) => Head::find(&snapshot, ids, resource_type, id)?,
            Level::Type(_) | Level::System => None,
        };
        drop(snapshot);
        let mut event = ReadEvent::of(Action::History, head.as_ref(), None);
        if let Level::Type(resource_type) = level {
            event.detail = Some(format!("{{\"query\":\"{resource_type}/_history\"}}"));
        }
        self.note(&open, event, &done)?;
        done
    }

    /// Queues the audit record of a read; in strict mode it is written before this returns.
    pub(crate) fn note<T>(&self, open: &Open, event: ReadEvent, done: &Result<T>) -> Result<()> {
        let outcome = match done {
            Ok(_) => Outcome::Success,
            Err(error) if error.code() < 500 => Outcome::MinorFailure,
            Err(_) => Outcome::SeriousFailure,
        };
        self.store.inner.note(open, self.actor_key, outcome, event)
    }

    /// Whether a lock has ended this session.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.enter().is_err()
    }

    pub(crate) fn enter(&self) -> Result<OpenGuard<'_>> {
        let generation = Some(self.generation);
        if self.is_attended {
            self.store.inner.enter(generation)
        } else {
            self.store.inner.enter_unattended(generation)
        }
    }

    /// Runs `work` as one transaction over resources and the tables of extensions, with one event of the audit trail
    /// that has `detail`, a JSON object. It is committed, and on disk, when this returns `Ok`, and rolled back
    /// otherwise.
    ///
    /// # Errors
    /// What `work` returns, or [`Error`] when the transaction could not begin or commit.
    pub fn transaction<T, E: From<Error>>(
        &self,
        action: Action,
        detail: Option<&str>,
        work: impl FnOnce(&mut Transaction<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(&EventHeader { actor: self.actor_key, action, detail, is_always: true }, work)
    }

    /// As [`Self::transaction`], but without an event, and without waiting for the disk, if `work` changed no row: for
    /// work that shows nobody anything.
    ///
    /// # Errors
    /// As [`Self::transaction`].
    pub fn transaction_if_changed<T, E: From<Error>>(
        &self,
        action: Action,
        detail: Option<&str>,
        work: impl FnOnce(&mut Transaction<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(&EventHeader { actor: self.actor_key, action, detail, is_always: false }, work)
    }

    fn transact<T, E: From<Error>>(
        &self,
        header: &EventHeader<'_>,
        work: impl FnOnce(&mut Transaction<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let open = self.enter()?;
        let staging = open.attachments.stage();
        let mut refusal = None;
        let mut has_purged = false;
        let done = self.store.inner.write(&open, header, |unit: &mut Unit<'_>| {
            unit.is_foreign = true;
            let result = work(&mut Transaction { unit, attachments: &open.attachments });
            has_purged = unit.changes.iter().any(|change| change.operation == Operation::Purge);
            result.map_err(|error| {
                refusal = Some(error);
                Error::Argument("the transaction was given up")
            })
        });
        if let Some(error) = refusal {
            return Err(error);
        }
        let done = done?;
        // What the transaction left without a reference may go now.
        drop(staging);
        if has_purged {
            self.store.inner.forget_purged(&open)?;
        }
        Ok(done)
    }

    /// Runs `work` over one state of the store, with one event of the audit trail that has `detail`, a JSON object.
    ///
    /// # Errors
    /// What `work` returns, or [`Error`] when the state could not be read.
    pub fn view<T, E: From<Error>>(
        &self,
        action: Action,
        detail: Option<&str>,
        work: impl FnOnce(&mut View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let detail = detail.map(str::to_owned);
        self.look_at(action, |view| work(view).map(|found| (found, Some(detail.clone()))), detail.clone())
    }

    /// Runs `work` over one state of the store, which says itself what of it was shown: a JSON object for the event of
    /// the audit trail. If it was nothing there is no event; if `work` fails there is.
    ///
    /// # Errors
    /// What `work` returns, or [`Error`] when the state could not be read.
    pub fn view_noting<T, E: From<Error>>(
        &self,
        action: Action,
        work: impl FnOnce(&mut View<'_>) -> Result<(T, Option<String>), E>,
    ) -> Result<T, E> {
        self.look_at(action, |view| work(view).map(|(found, shown)| (found, shown.map(Some))), None)
    }

    fn look_at<T, E: From<Error>>(
        &self,
        action: Action,
        work: impl FnOnce(&mut View<'_>) -> Result<(T, Option<Option<String>>), E>,
        if_failed: Option<String>,
    ) -> Result<T, E> {
        let open = self.enter()?;
        let mut reader = self.store.inner.reader(&open)?;
        let Reader { connection, decoder, .. } = &mut *reader;
        let (snapshot, state) = open.index.read(connection)?;
        let identities = &state.identities;
        let done =
            work(&mut View { connection: &snapshot, identities, decoder, attachments: &open.attachments });
        drop(snapshot);
        let (done, noted, outcome) = match done {
            Ok((found, shown)) => (Ok(found), shown, Outcome::Success),
            Err(error) => (Err(error), Some(if_failed), Outcome::MinorFailure),
        };
        if let Some(detail) = noted {
            let mut event = ReadEvent::of(action, None, None);
            event.detail = detail;
            self.store.inner.note(&open, self.actor_key, outcome, event)?;
        }
        done
    }

    /// One unit of work with its audit event, then the observers.
    pub(crate) fn write<T>(
        &self,
        action: Action,
        condition: Option<&str>,
        work: impl FnOnce(&mut Interactions<'_, '_>) -> Result<T>,
    ) -> Result<T> {
        let detail = condition.map(|query| serde_json::json!({ "query": query }).to_string());
        let header =
            EventHeader { actor: self.actor_key, action, detail: detail.as_deref(), is_always: true };
        let open = self.enter()?;
        let _staging = open.attachments.stage();
        self.store.inner.write(&open, &header, |unit: &mut Unit<'_>| {
            let mut interactions =
                Interactions { unit, attachments: &open.attachments, rewrite: &as_written };
            let done = work(&mut interactions)?;
            if self.check_references {
                interactions.unit.check_references()?;
            }
            Ok(done)
        })
    }
}
