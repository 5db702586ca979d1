//! What a search returns: a page of entries, and the way to the next one.

use keepwell_fhir::bundle::BundleType;
use keepwell_fhir::bundle_writer::{BundleHead, BundleWriter, EntryParts, SearchMode};
use keepwell_fhir::{Instant, Issue, ResourceType, operation_outcome};

/// One resource of a page.
#[derive(Clone)]
#[non_exhaustive]
pub struct SearchEntry {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: String,
    /// meta.versionId.
    pub version: u64,
    /// meta.lastUpdated.
    pub last_updated: Instant,
    /// Whether it matched, or came with one that did.
    pub mode: SearchMode,
    /// The JSON, or the part of it that was asked for.
    pub body: Vec<u8>,
}

/// The body is a person's data: it is not printed by accident.
impl std::fmt::Debug for SearchEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SearchEntry({} version {}, {:?})", self.resource_type, self.version, self.mode)
    }
}

/// A page of a search.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SearchPage {
    /// What matched, in the order of the search, then what was included.
    pub entries: Vec<SearchEntry>,
    /// How many matched on all pages: exactly, or about with `_total=estimate`; `None` where that was not asked for
    /// and is not known anyway.
    pub total: Option<u64>,
    /// What was ignored or is worth knowing: an OperationOutcome among the entries of the Bundle.
    pub issues: Vec<Issue>,
    /// The search that this page answers.
    pub url: String,
    /// The next page: what [`crate::Session::search`] takes; `None` at the end.
    pub next: Option<String>,
}

impl SearchPage {
    /// The entries that matched, in the order of the search.
    pub fn matches(&self) -> impl Iterator<Item = &SearchEntry> {
        self.entries.iter().filter(|entry| entry.mode == SearchMode::Match)
    }

    /// The page as a FHIR Bundle of type searchset.
    #[must_use]
    pub fn to_bundle(&self) -> Vec<u8> {
        let mut links = vec![("self", self.url.as_str())];
        links.extend(self.next.as_deref().map(|next| ("next", next)));
        let head = BundleHead { total: self.total, links: &links, ..BundleHead::new(BundleType::Searchset) };
        let mut bundle = BundleWriter::new(&head);
        for entry in &self.entries {
            let place = format!("{}/{}", entry.resource_type, entry.id);
            bundle.entry(&EntryParts {
                full_url: Some(&place),
                resource: Some(&entry.body),
                search_mode: Some(entry.mode),
                ..EntryParts::default()
            });
        }
        if !self.issues.is_empty() {
            bundle.entry(&EntryParts {
                resource: Some(operation_outcome(&self.issues).as_bytes()),
                search_mode: Some(SearchMode::Outcome),
                ..EntryParts::default()
            });
        }
        bundle.finish()
    }
}
