//! A person at work: the interactions of FHIR REST.
//!
//! Reading, writing and searching are over in the time of a disk access and return on the calling thread: an app calls
//! them from a background thread, and several in one go. What may take longer is async.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keepwell_store::query::Handling;
use keepwell_store::{Error, ExportOptions, HistoryQuery, ImportSource, Precondition};

use crate::attachments::Attachments;
use crate::audit::Audit;
use crate::boundary::{Result, call, wait};
use crate::error::{KeepwellError, Misuse};
use crate::feed::LiveQuery;
use crate::options::{needed, range};
use crate::progress::{Come, ProgressListener, Teller};
use crate::records::{ImportOptions, ImportReport, PatchFormat, StoreStats, Written, count, kind, text};
use crate::search::{PlanStep, SearchPage};
use crate::vault::elevated;

/// A page of a history.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct HistoryPage {
    /// A Bundle of type history, the newest first.
    pub bundle: String,
    /// What `before` is to be for the next page; nothing at the end.
    pub next: Option<i64>,
}

/// A person at work: everything is done in somebody's name. A lock of the store ends it.
#[derive(uniffi::Object)]
pub struct Session {
    session: keepwell_store::Session,
    has_ended: AtomicBool,
    /// Ends the imports that are under way.
    cancel: Mutex<Arc<AtomicBool>>,
}

impl Session {
    pub(crate) fn new(session: keepwell_store::Session) -> Self {
        Self { session, has_ended: AtomicBool::new(false), cancel: Mutex::default() }
    }

    /// The session, as long as it lasts.
    pub(crate) fn session(&self) -> Result<keepwell_store::Session, Misuse> {
        self.current().cloned()
    }

    fn current(&self) -> Result<&keepwell_store::Session, Misuse> {
        if self.has_ended.load(Ordering::Acquire) { Err(Misuse::Handle) } else { Ok(&self.session) }
    }

    fn cancellable(&self, options: ImportOptions) -> keepwell_store::ImportOptions {
        let cancel = self.cancel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        keepwell_store::ImportOptions { cancel: Some(cancel), ..options.into() }
    }

    /// Runs a quick call.
    fn on<T>(&self, work: impl FnOnce(&keepwell_store::Session) -> Result<T, Error>) -> Result<T> {
        call(|| Ok::<_, KeepwellError>(work(self.current()?)?))
    }

    /// Runs a call that may take longer.
    async fn long<T: Send + 'static>(
        &self,
        work: impl FnOnce(&keepwell_store::Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T> {
        let session = call(|| self.session())?;
        wait(move || work(&session)).await
    }
}

#[uniffi::export]
impl Session {
    /// create: the store chooses the id. With `if_none_exist` nothing is written where that search finds a resource.
    ///
    /// # Errors
    /// 108, 109 with the places in the outcome, 110.
    #[uniffi::method(default(if_none_exist = None))]
    pub fn create(
        &self,
        resource_type: String,
        body: String,
        if_none_exist: Option<String>,
    ) -> Result<Written> {
        self.on(|session| {
            let kind = kind(&resource_type)?;
            let done = match if_none_exist {
                Some(condition) => session.create_if_none_exist(kind, body.as_bytes(), &condition)?,
                None => session.create(kind, body.as_bytes())?,
            };
            Ok(done.into())
        })
    }

    /// update: replaces the resource, or creates it under this id. `if_match` is the version that must be current;
    /// `if_absent` asks that there is none.
    ///
    /// # Errors
    /// 103 and 104 about the version; otherwise as [`Self::create`].
    #[uniffi::method(default(if_match = None, if_absent = false))]
    pub fn update(
        &self,
        resource_type: String,
        id: String,
        body: String,
        if_match: Option<i64>,
        if_absent: bool,
    ) -> Result<Written> {
        self.on(|session| {
            let precondition = if if_absent { Precondition::Absent } else { matching(if_match)? };
            Ok(session.update(kind(&resource_type)?, &id, body.as_bytes(), precondition)?.into())
        })
    }

    /// patch
    ///
    /// # Errors
    /// 113; otherwise as [`Self::update`].
    #[uniffi::method(default(if_match = None))]
    pub fn patch(
        &self,
        resource_type: String,
        id: String,
        format: PatchFormat,
        patch: String,
        if_match: Option<i64>,
    ) -> Result<Written> {
        self.on(|session| {
            let (kind, precondition) = (kind(&resource_type)?, matching(if_match)?);
            Ok(session.patch(kind, &id, format.into(), patch.as_bytes(), precondition)?.into())
        })
    }

    /// delete: the next version is a deletion, history stays. Nothing where there never was such a resource.
    ///
    /// # Errors
    /// 103
    #[uniffi::method(default(if_match = None))]
    pub fn delete(
        &self,
        resource_type: String,
        id: String,
        if_match: Option<i64>,
    ) -> Result<Option<Written>> {
        self.on(|session| {
            Ok(session.delete(kind(&resource_type)?, &id, matching(if_match)?)?.map(Into::into))
        })
    }

    /// read: the JSON, byte for byte as it was written but for `meta.versionId` and `meta.lastUpdated`.
    ///
    /// # Errors
    /// 101, 102
    pub fn read(&self, resource_type: String, id: String) -> Result<String> {
        self.on(|session| text(session.read(kind(&resource_type)?, &id)?.body))
    }

    /// vread: one version.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn vread(&self, resource_type: String, id: String, version: i64) -> Result<String> {
        self.on(|session| text(session.vread(kind(&resource_type)?, &id, range(version)?)?.body))
    }

    /// history of a resource, of a type without `id`, of the store without both.
    ///
    /// # Errors
    /// 101
    #[uniffi::method(default(resource_type = None, id = None, count = 100, before = None))]
    pub fn history(
        &self,
        resource_type: Option<String>,
        id: Option<String>,
        count: i32,
        before: Option<i64>,
    ) -> Result<HistoryPage> {
        self.on(|session| {
            let query = HistoryQuery { count: Some(range(count)?), before, ..HistoryQuery::default() };
            let page = match (resource_type, id) {
                (Some(name), Some(id)) => session.history(kind(&name)?, &id, &query)?,
                (Some(name), None) => session.history_type(kind(&name)?, &query)?,
                _ => session.history_system(&query)?,
            };
            Ok(HistoryPage { bundle: text(page.to_bundle())?, next: page.next })
        })
    }

    /// A transaction Bundle, all or nothing, or a batch Bundle; gives the response Bundle.
    ///
    /// # Errors
    /// 114; for a transaction the error of the entry that failed.
    pub async fn bundle(&self, body: String) -> Result<String> {
        self.long(move |session| text(session.bundle(body.as_bytes())?)).await
    }

    /// search, as `GET` on a FHIR server: `Observation?patient=p1&_sort=-date`. `lenient`: what is not known is left
    /// out and named in the outcome, instead of an error.
    ///
    /// # Errors
    /// 3xx
    #[uniffi::method(default(lenient = false))]
    pub fn search(&self, url: String, lenient: bool) -> Result<SearchPage> {
        self.on(|session| SearchPage::new(session.search_with(&url, handling(lenient))?))
    }

    /// As [`Self::search`], as a Bundle of type searchset.
    ///
    /// # Errors
    /// 3xx
    #[uniffi::method(default(lenient = false))]
    pub fn search_bundle(&self, url: String, lenient: bool) -> Result<String> {
        self.on(|session| text(session.search_with(&url, handling(lenient))?.to_bundle()))
    }

    /// How a search would be answered, step by step.
    ///
    /// # Errors
    /// 3xx
    pub fn explain_search(&self, url: String) -> Result<Vec<PlanStep>> {
        self.on(|session| Ok(session.explain_search(&url)?.into_iter().map(Into::into).collect()))
    }

    /// Registers a SearchParameter resource; what is stored already is indexed in the background.
    ///
    /// # Errors
    /// 326 names the part that cannot be used.
    pub fn add_search_parameter(&self, definition: String) -> Result<()> {
        self.on(|session| session.add_search_parameter(definition.as_bytes()).map(drop))
    }

    /// Follows what a search finds; what it finds now is told first, as added.
    ///
    /// # Errors
    /// 3xx
    pub fn live(&self, url: String) -> Result<Arc<LiveQuery>> {
        self.on(|session| Ok(Arc::new(LiveQuery::new(session.observe_search(&url)?))))
    }

    /// Files, photos and other content that is kept apart from its resource.
    ///
    /// # Errors
    /// 912 when the session was ended.
    pub fn attachments(&self) -> Result<Arc<Attachments>> {
        self.on(|session| Ok(Arc::new(Attachments::new(session.clone()))))
    }

    /// The audit trail, and the health of the store.
    ///
    /// # Errors
    /// 912 when the session was ended.
    pub fn audit(&self) -> Result<Arc<Audit>> {
        self.on(|session| Ok(Arc::new(Audit::new(session.clone()))))
    }

    /// Imports a file of Bundles or NDJSON, as it is or compressed with gzip or zstd. One that was interrupted goes on
    /// where it was.
    ///
    /// # Errors
    /// That of the first record that cannot be stored, unless such are to be skipped; 119 when it was cancelled; 521
    /// about the file.
    #[uniffi::method(default(progress = None))]
    pub async fn import_file(
        &self,
        path: String,
        options: ImportOptions,
        progress: Option<Arc<dyn ProgressListener>>,
    ) -> Result<ImportReport> {
        let options = self.cancellable(options);
        self.long(move |session| import(session, ImportSource::file(Path::new(&path)), &options, progress))
            .await
    }

    /// As [`Self::import_file`], of what is in memory. `name` is that of the source, for going on after an
    /// interruption.
    ///
    /// # Errors
    /// As [`Self::import_file`].
    #[uniffi::method(default(progress = None))]
    pub async fn import_text(
        &self,
        name: String,
        data: String,
        options: ImportOptions,
        progress: Option<Arc<dyn ProgressListener>>,
    ) -> Result<ImportReport> {
        let options = self.cancellable(options);
        self.long(move |session| {
            import(session, ImportSource::reader(&name, data.as_bytes()), &options, progress)
        })
        .await
    }

    /// Ends the imports of this session that are under way: they fail with 119, what is stored stays, and the same
    /// import goes on there.
    pub fn cancel_imports(&self) {
        let mut current = self.cancel.lock().unwrap_or_else(PoisonError::into_inner);
        current.store(true, Ordering::Release);
        *current = Arc::default();
    }

    /// Writes all current versions to a new file, as NDJSON in clear. Needs the passcode again where one is set. Gives
    /// how many there are.
    ///
    /// # Errors
    /// 205; 521 about the file, also when there is one.
    pub async fn export_file(&self, path: String, passcode: Option<String>) -> Result<i64> {
        elevated(self, passcode, move |rights| {
            let mut out = new_file(&path)?;
            let mut lines = 0;
            rights.export(&mut out, &ExportOptions::default(), &mut |come| lines = come.lines)?;
            Ok(count(lines))
        })
        .await
    }

    /// Writes the whole store to a new file, as an archive that `passphrase` opens on any device.
    ///
    /// # Errors
    /// As [`Self::export_file`]; 208
    pub async fn archive_file(
        &self,
        path: String,
        passcode: Option<String>,
        passphrase: String,
    ) -> Result<()> {
        elevated(self, passcode, move |rights| rights.archive(&needed(passphrase)?, &mut new_file(&path)?))
            .await
    }

    /// Removes a resource, its history and its attachments for good; the audit trail keeps `reason`.
    ///
    /// # Errors
    /// 101, 117 without a reason, 205.
    pub async fn purge(
        &self,
        resource_type: String,
        id: String,
        reason: String,
        passcode: Option<String>,
    ) -> Result<()> {
        elevated(self, passcode, move |rights| rights.purge(kind(&resource_type)?, &id, &reason)).await
    }

    /// Removes a patient and everything in its compartment for good; gives how many resources that were.
    ///
    /// # Errors
    /// As [`Self::purge`].
    pub async fn purge_patient(&self, id: String, reason: String, passcode: Option<String>) -> Result<i64> {
        elevated(self, passcode, move |rights| Ok(count(rights.purge_patient(&id, &reason)?))).await
    }

    /// What the store holds.
    ///
    /// # Errors
    /// 5xx
    pub fn stats(&self) -> Result<StoreStats> {
        self.on(|session| Ok(session.stats()?.into()))
    }

    /// Ends the session, and records that. Ending it twice is no mistake.
    pub fn end(&self) {
        if !self.has_ended.swap(true, Ordering::AcqRel) {
            // A lock in between has ended it before.
            let _ = self.session.clone().close();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

fn matching(version: Option<i64>) -> Result<Precondition, Error> {
    version.map_or(Ok(Precondition::None), |version| Ok(Precondition::Match(range(version)?)))
}

fn handling(lenient: bool) -> Handling {
    if lenient { Handling::Lenient } else { Handling::Strict }
}

/// A file that was not there.
pub(crate) fn new_file(path: &str) -> Result<File, Error> {
    File::create_new(path).map_err(|error| Error::Io { step: "making a file", kind: error.kind() })
}

fn import(
    session: &keepwell_store::Session,
    source: ImportSource<'_>,
    options: &keepwell_store::ImportOptions,
    progress: Option<Arc<dyn ProgressListener>>,
) -> Result<ImportReport, Error> {
    let teller = Teller::new(progress);
    let report = session.import(source, options, &mut |come| {
        teller.tell(Come {
            done: count(come.resources),
            bytes: count(come.bytes_read),
            total_bytes: come.bytes_total.map(count),
        });
    })?;
    Ok(report.into())
}
