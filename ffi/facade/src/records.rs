//! What calls hand over by value.

use std::time::Duration;

use keepwell_store::fhir::{ResourceType, patch};
use keepwell_store::{Error, OnError, Stats};

use crate::boundary::Result;

/// What was done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Operation {
    /// Nothing: the content was the current content already.
    Unchanged,
    /// The first version, or the first after a deletion.
    Create,
    /// A further version.
    Update,
    /// A version that is a deletion.
    Delete,
    /// Content and history were removed for good.
    Purge,
}

impl From<Option<keepwell_store::Operation>> for Operation {
    fn from(operation: Option<keepwell_store::Operation>) -> Self {
        match operation {
            Some(keepwell_store::Operation::Create) => Self::Create,
            Some(keepwell_store::Operation::Update) => Self::Update,
            Some(keepwell_store::Operation::Delete) => Self::Delete,
            Some(keepwell_store::Operation::Purge) => Self::Purge,
            _ => Self::Unchanged,
        }
    }
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Written {
    /// The type of the resource.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// meta.versionId.
    pub version: i64,
    /// meta.lastUpdated, in milliseconds since 1970-01-01T00:00Z.
    pub last_updated_ms: i64,
    /// What was done.
    pub operation: Operation,
}

impl From<keepwell_store::Written> for Written {
    fn from(written: keepwell_store::Written) -> Self {
        Self {
            resource_type: written.resource_type.name().to_owned(),
            id: written.id,
            version: count(written.version),
            last_updated_ms: written.last_updated.ms(),
            operation: written.operation.into(),
        }
    }
}

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum PatchFormat {
    /// JSON Patch (RFC 6902).
    Json,
    /// JSON Merge Patch (RFC 7396).
    Merge,
    /// FHIRPath Patch: a Parameters resource.
    FhirPath,
}

impl From<PatchFormat> for patch::PatchFormat {
    fn from(format: PatchFormat) -> Self {
        match format {
            PatchFormat::Json => Self::JsonPatch,
            PatchFormat::Merge => Self::MergePatch,
            PatchFormat::FhirPath => Self::FhirPath,
        }
    }
}

/// How an import is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct ImportOptions {
    /// Skip records that cannot be stored and report them, instead of stopping at the first.
    #[uniffi(default = false)]
    pub skip_refused: bool,
    /// Store resources that break the rules of their type.
    #[uniffi(default = false)]
    pub accept_invalid: bool,
    /// Make `urn:uuid:` links between the entries of a Bundle point to the stored resources.
    #[uniffi(default = false)]
    pub rewrite_references: bool,
    /// Store Bundles as they are instead of their entries.
    #[uniffi(default = false)]
    pub keep_bundles: bool,
}

impl From<ImportOptions> for keepwell_store::ImportOptions {
    fn from(options: ImportOptions) -> Self {
        Self {
            on_error: if options.skip_refused { OnError::Skip } else { OnError::Stop },
            accept_invalid: options.accept_invalid,
            rewrite_references: options.rewrite_references,
            keep_bundles: options.keep_bundles,
            ..Self::default()
        }
    }
}

/// A record of an import that was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Refusal {
    /// The line or the entry, from 1.
    pub record: i64,
    /// Why (docs/error-codes.md).
    pub code: i32,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ImportReport {
    /// Resources that are new.
    pub created: i64,
    /// Resources that got a further version.
    pub updated: i64,
    /// Resources whose content was the current content already.
    pub unchanged: i64,
    /// Entries that an earlier run had stored.
    pub resumed: i64,
    /// Records that were not stored.
    pub refused: i64,
    /// The first thousand of them.
    pub refusals: Vec<Refusal>,
    /// `urn:uuid:` links between entries that stayed as they were, for want of [`ImportOptions::rewrite_references`].
    pub links_kept: i64,
}

impl From<keepwell_store::ImportReport> for ImportReport {
    fn from(report: keepwell_store::ImportReport) -> Self {
        let refusal = |refusal: &keepwell_store::Refusal| Refusal {
            record: count(refusal.record),
            code: i32::from(refusal.code),
        };
        Self {
            created: count(report.created),
            updated: count(report.updated),
            unchanged: count(report.unchanged),
            resumed: count(report.resumed),
            refused: count(report.refused),
            refusals: report.refusals.iter().map(refusal).collect(),
            links_kept: count(report.links_kept),
        }
    }
}

/// What a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct StoreStats {
    /// Resources that are not deleted.
    pub resources: i64,
    /// Versions that were replaced.
    pub superseded: i64,
    /// Attachments that are kept apart.
    pub attachments: i64,
    /// Records of the audit trail.
    pub audit_records: i64,
    /// Bytes on disk.
    pub bytes: i64,
}

impl From<Stats> for StoreStats {
    fn from(stats: Stats) -> Self {
        Self {
            resources: count(stats.resources()),
            superseded: count(stats.superseded),
            attachments: count(stats.attachments),
            audit_records: count(stats.audit_records),
            bytes: count(stats.bytes()),
        }
    }
}

/// A type by its name.
pub(crate) fn kind(name: &str) -> Result<ResourceType, Error> {
    ResourceType::parse(name).ok_or(Error::Argument("not a resource type of R4"))
}

/// A count as languages without unsigned numbers have it.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What the store keeps is JSON, and JSON is text.
pub(crate) fn text(body: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(body).map_err(|_| Error::Corrupt)
}
