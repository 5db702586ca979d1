//! Pages of searches and histories as Bundles, with the addresses that a client can follow.

use keepwell_fhir::bundle::{BundleType, HttpMethod};
use keepwell_fhir::bundle_writer::{BundleHead, BundleWriter, EntryParts, Response, SearchMode};
use keepwell_fhir::operation_outcome;
use keepwell_store::{HistoryPage, Operation, SearchPage};

/// A page of a search.
pub(super) fn searchset(base: &str, page: &SearchPage) -> Vec<u8> {
    let own = format!("{base}/{}", page.url);
    let next = page.next.as_ref().map(|next| format!("{base}/{next}"));
    let mut links = vec![("self", own.as_str())];
    links.extend(next.as_deref().map(|next| ("next", next)));
    let head = BundleHead { total: page.total, links: &links, ..BundleHead::new(BundleType::Searchset) };
    let mut bundle = BundleWriter::new(&head);
    for entry in &page.entries {
        bundle.entry(&EntryParts {
            full_url: Some(&format!("{base}/{}/{}", entry.resource_type, entry.id)),
            resource: Some(&entry.body),
            search_mode: Some(entry.mode),
            ..EntryParts::default()
        });
    }
    if !page.issues.is_empty() {
        bundle.entry(&EntryParts {
            resource: Some(operation_outcome(&page.issues).as_bytes()),
            search_mode: Some(SearchMode::Outcome),
            ..EntryParts::default()
        });
    }
    bundle.finish()
}

/// A page of a history; `own` and `next` are its addresses relative to the base.
pub(super) fn history(base: &str, page: &HistoryPage, own: &str, next: Option<&str>) -> Vec<u8> {
    let (own, next) = (format!("{base}/{own}"), next.map(|next| format!("{base}/{next}")));
    let mut links = vec![("self", own.as_str())];
    links.extend(next.as_deref().map(|next| ("next", next)));
    let mut bundle = BundleWriter::new(&BundleHead { links: &links, ..BundleHead::new(BundleType::History) });
    for entry in &page.entries {
        let (method, status) = match (entry.operation, entry.version) {
            (Operation::Create, 1) => (HttpMethod::Post, "201 Created"),
            (Operation::Create, _) => (HttpMethod::Put, "201 Created"),
            (Operation::Update, _) => (HttpMethod::Put, "200 OK"),
            _ => (HttpMethod::Delete, "204 No Content"),
        };
        let place = format!("{}/{}", entry.resource_type, entry.id);
        let url = if method == HttpMethod::Post { entry.resource_type.name() } else { &place };
        bundle.entry(&EntryParts {
            full_url: Some(&format!("{base}/{place}")),
            resource: entry.body.as_deref(),
            request: Some((method, url)),
            response: Some(Response {
                status,
                etag: Some(&format!("W/\"{}\"", entry.version)),
                last_modified: Some(entry.last_updated),
                ..Response::default()
            }),
            ..EntryParts::default()
        });
    }
    bundle.finish()
}
