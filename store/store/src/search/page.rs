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
    /// Its id; for a contained resource the one that it has in its container.
    pub id: String,
    /// What contains it, for a contained resource that was asked for by itself: its type and id.
    pub container: Option<(ResourceType, String)>,
    /// meta.versionId; of a contained resource that of its container.
    pub version: u64,
    /// meta.lastUpdated; of a contained resource that of its container.
    pub last_updated: Instant,
    /// Whether it matched, or came with one that did.
    pub mode: SearchMode,
    /// The JSON, or the part of it that was asked for.
    pub body: Vec<u8>,
}

impl SearchEntry {
    /// Where it is, relative to the base: `Patient/1`, and `MedicationRequest/1#med` for what is contained.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.container {
            None => format!("{}/{}", self.resource_type, self.id),
            Some((resource_type, id)) => format!("{resource_type}/{id}#{}", self.id),
        }
    }
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
            let place = entry.place();
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
