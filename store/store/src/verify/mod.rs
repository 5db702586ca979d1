//! Looking for damage in a whole store, and naming what is damaged.
//!
//! The database layer checks pages, structure and references between rows; the audit trail checks its chain against
//! the anchor outside the file. What neither can see is checked here: an old page put back carries valid
//! authentication, but its rows disagree with the change log; a body must decode and hash to what the change log says;
//! an attachment must be there, authenticate and hash right.
//!
//! Invariant: a finding names type, id and version, never content; a damaged page does not end the verification.

mod attachments;
mod changes;
mod identities;
mod index;
mod resources;

use keepwell_fhir::ResourceType;
use keepwell_sqlcipher::{Damage, StorageError};

use crate::audit::{self, Action, AuditAnchor, AuditReport, Outcome};
use crate::error::{Error, Result};
use crate::inner::{Inner, Open, Reader, plain_event};
use crate::session::Session;

/// Defects that a report lists; further ones are only counted.
pub const DEFECTS_MAX: usize = 1_000;

/// Rows between two calls of `progress`.
const PROGRESS_ROWS: u64 = 1_000;

/// What is verified beyond what always is.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions {
    /// Whether each relative reference of a current version leads to a resource of this store.
    pub references: bool,
    /// Whether every resource is taken apart and looked for in the search index; otherwise one in fifty is.
    pub index: bool,
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// What is being looked at: `database`, `audit`, `changes`, `resources`, `attachments`,
    /// `index`.
    pub step: &'static str,
    /// How many of them have been.
    pub done: u64,
    /// How many there are; 0 where that is not known.
    pub total: u64,
}

/// What is wrong with a version of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefectKind {
    /// The page that holds it cannot be read.
    Unreadable,
    /// The change log knows this version; the row is missing or of another version. A page was put back, or lost.
    NotTheVersionLogged,
    /// The stored body cannot be decoded.
    Undecodable,
    /// The body is not the one that was written.
    Altered,
    /// A large attachment is missing, damaged or exchanged.
    Attachment,
    /// A reference leads nowhere ([`VerifyOptions::references`]).
    DanglingReference(ResourceType),
    /// The search index does not have the version, has it and should not, or does not find it by what its body says:
    /// it can be made anew from the bodies.
    Index,
    /// The index of ids does not lead to the resource, or leads to it from elsewhere.
    Identity,
    /// The change log has a gap, a row out of place, or cannot be read further, at this sequence.
    ChangeLog(i64),
}

/// One defect, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defect {
    /// The type of the resource, where it can be told.
    pub resource_type: Option<ResourceType>,
    /// Its id, where it can be told.
    pub id: Option<String>,
    /// The version, where the defect is in one.
    pub version: Option<u64>,
    /// What is wrong.
    pub kind: DefectKind,
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Damage in pages, structures and references between rows.
    pub database: Vec<Damage>,
    /// The audit trail; `None` when it cannot be read.
    pub audit: Option<AuditReport>,
    /// The first [`DEFECTS_MAX`] defects.
    pub defects: Vec<Defect>,
    /// Defects beyond those.
    pub further_defects: u64,
    /// Resources looked at, deleted ones included.
    pub resources: u64,
    /// Superseded versions looked at.
    pub superseded: u64,
    /// Rows of the change log looked at.
    pub changes: u64,
    /// Attachments looked at.
    pub attachments: u64,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.database.is_empty()
            && self.defects.is_empty()
            && self.audit.as_ref().is_some_and(AuditReport::is_whole)
    }

    fn add(&mut self, defect: Defect) {
        if self.defects.len() < DEFECTS_MAX {
            self.defects.push(defect);
        } else {
            self.further_defects += 1;
        }
    }
}

impl Session {
    /// Verifies the whole store: every page, every row, every version, every attachment, the audit trail. Writers
    /// wait meanwhile; a lock interrupts it.
    ///
    /// # Errors
    /// Only what prevents looking: [`keepwell_vault::Error::Locked`], an interruption, a keychain that does not
    /// answer. Damage is no error: it is in the report.
    pub fn verify(
        &self,
        options: VerifyOptions,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<VerifyReport> {
        let open = self.enter()?;
        let inner = &self.store.inner;
        inner.flush_reads(&open)?;
        let mut writer = open.writer();
        let reader = inner.new_reader(&open)?;
        let mut verification =
            Verification { inner, open: &open, reader, progress, report: VerifyReport::default() };
        verification.run(options)?;
        let report = verification.report;
        let found = report.database.len() as u64 + report.defects.len() as u64 + report.further_defects;
        let outcome = if report.is_sound() { Outcome::Success } else { Outcome::SeriousFailure };
        let detail = serde_json::json!({ "resources": report.resources, "defects": found }).to_string();
        let event = plain_event(self.actor_key, Action::Verify, outcome, Some(&detail));
        match writer.record(inner.now_ms(), [event]) {
            // A damaged file may take no record; what was found matters more.
            Err(error) if report.is_sound() => Err(error),
            _ => Ok(report),
        }
    }
}

/// A verification in progress. The writer is held by the caller, so nothing changes underneath.
struct Verification<'v> {
    inner: &'v Inner,
    open: &'v Open,
    /// Replaced after a damaged page: SQLCipher reads nothing more on a connection that has met one.
    reader: Reader,
    progress: &'v mut dyn FnMut(&VerifyProgress),
    report: VerifyReport,
}

impl Verification<'_> {
    fn run(&mut self, options: VerifyOptions) -> Result<()> {
        self.tell("database", 0, 0);
        self.report.database = self.database()?;
        self.tell("audit", 0, 0);
        self.report.audit = self.audit()?;
        let latest = self.changes()?;
        self.resources(&latest, options)?;
        self.attachments()?;
        self.tell("index", 0, 0);
        self.index(options)
    }

    /// On a connection of its own, which may empty the log first and may meet damage.
    fn database(&self) -> Result<Vec<Damage>> {
        let options = self.inner.options.connection(false);
        let connection =
            keepwell_sqlcipher::open(&self.inner.database_path(), self.open.database().expose(), &options)?;
        self.inner.watch(&connection);
        Ok(keepwell_sqlcipher::verify(&connection)?)
    }

    fn audit(&mut self) -> Result<Option<AuditReport>> {
        let anchor = self.inner.vault().anchor()?;
        let anchor =
            anchor.map(|anchor| AuditAnchor { sequence: anchor.sequence.cast_signed(), mac: anchor.head });
        let key = self.open.audit.expose();
        self.readable(|reader| Ok(audit::verify(&reader.connection, key, anchor)?))
    }

    /// Runs `read`; `None`, and a fresh connection, when it met damage.
    fn readable<T>(&mut self, read: impl FnOnce(&mut Reader) -> Result<T>) -> Result<Option<T>> {
        match read(&mut self.reader) {
            Err(Error::Storage(
                StorageError::Corrupt | StorageError::NotADatabase | StorageError::Io { .. },
            )) => {
                self.reopen()?;
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    fn reopen(&mut self) -> Result<()> {
        self.reader = self.inner.new_reader(self.open)?;
        Ok(())
    }

    fn tell(&mut self, step: &'static str, done: u64, total: u64) {
        if done.is_multiple_of(PROGRESS_ROWS) || done == total {
            (self.progress)(&VerifyProgress { step, done, total });
        }
    }
}
