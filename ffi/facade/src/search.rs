//! What a search finds: a page at a time, in one call.

use keepwell_store::fhir::bundle_writer;

use crate::boundary::Result;
use crate::records::{count, text};

/// Why a resource is on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SearchMode {
    /// It matched.
    Match,
    /// It came with one that matched.
    Include,
    /// It says something about the search.
    Outcome,
}

/// One resource of a page.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SearchEntry {
    /// Its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// meta.versionId.
    pub version: i64,
    /// Why it is here.
    pub mode: SearchMode,
    /// The JSON, or the part of it that was asked for.
    pub body: String,
}

/// A page of a search.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SearchPage {
    /// What matched, in the order of the search, then what was included.
    pub entries: Vec<SearchEntry>,
    /// How many matched on all pages, where that is known.
    pub total: Option<i64>,
    /// The search for the page after this one; nothing at the end.
    pub next: Option<String>,
    /// What was ignored or is worth knowing, as a FHIR OperationOutcome.
    pub outcome: Option<String>,
}

impl SearchPage {
    pub(crate) fn new(page: keepwell_store::SearchPage) -> Result<Self, keepwell_store::Error> {
        let outcome =
            (!page.issues.is_empty()).then(|| keepwell_store::fhir::operation_outcome(&page.issues));
        let entries = page.entries.into_iter().map(|entry| {
            Ok(SearchEntry {
                resource_type: entry.resource_type.name().to_owned(),
                version: count(entry.version),
                mode: match entry.mode {
                    bundle_writer::SearchMode::Match => SearchMode::Match,
                    bundle_writer::SearchMode::Include => SearchMode::Include,
                    bundle_writer::SearchMode::Outcome => SearchMode::Outcome,
                },
                body: text(entry.body)?,
                id: entry.id,
            })
        });
        Ok(Self {
            entries: entries.collect::<Result<_, keepwell_store::Error>>()?,
            total: page.total.map(count),
            next: page.next,
            outcome,
        })
    }
}

/// A step of how a search would be answered.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PlanStep {
    /// How deep it lies under the first.
    pub depth: i32,
    /// What is done.
    pub step: String,
    /// About how many it finds, where that is known.
    pub estimate: Option<i64>,
}

impl From<keepwell_store::PlanStep> for PlanStep {
    fn from(step: keepwell_store::PlanStep) -> Self {
        Self {
            depth: i32::try_from(step.depth).unwrap_or(i32::MAX),
            step: step.text,
            estimate: step.estimate.map(count),
        }
    }
}
