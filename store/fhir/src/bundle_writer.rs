//! A Bundle put together from raw resources (R4 bundle.html, http.html#transaction-response).
//!
//! Resources are copied byte for byte; every other text is escaped on its way in.
//!
//! ```
//! use keepwell_fhir::bundle::BundleType;
//! use keepwell_fhir::bundle_writer::{BundleHead, BundleWriter, EntryParts, SearchMode};
//!
//! let head = BundleHead { total: Some(1), ..BundleHead::new(BundleType::Searchset) };
//! let mut bundle = BundleWriter::new(&head);
//! bundle.entry(&EntryParts {
//!     full_url: Some("https://example.org/Patient/1"),
//!     resource: Some(br#"{"resourceType":"Patient","id":"1"}"#),
//!     search_mode: Some(SearchMode::Match),
//!     ..EntryParts::default()
//! });
//! assert_eq!(
//!     String::from_utf8(bundle.finish()).as_deref(),
//!     Ok(concat!(
//!         r#"{"resourceType":"Bundle","type":"searchset","total":1,"entry":["#,
//!         r#"{"fullUrl":"https://example.org/Patient/1","resource":{"resourceType":"Patient","id":"1"},"#,
//!         r#""search":{"mode":"match"}}]}"#
//!     ))
//! );
//! ```
//!
//! Invariant: what is written is one JSON object, given that the raw resources are.

use crate::Instant;
use crate::bundle::{BundleType, HttpMethod};

/// What stands before the entries of a Bundle.
#[derive(Debug, Clone)]
pub struct BundleHead<'a> {
    /// `type`.
    pub kind: BundleType,
    /// `id`.
    pub id: Option<&'a str>,
    /// `timestamp`.
    pub timestamp: Option<Instant>,
    /// `total`: for a searchset and a history only.
    pub total: Option<u64>,
    /// `link`: relation and URL.
    pub links: &'a [(&'a str, &'a str)],
}

impl BundleHead<'_> {
    /// A head with a type and nothing else.
    #[must_use]
    pub const fn new(kind: BundleType) -> Self {
        Self { kind, id: None, timestamp: None, total: None, links: &[] }
    }
}

/// The parts of one entry; those that are `None` are left out.
#[derive(Debug, Clone, Default)]
pub struct EntryParts<'a> {
    /// `fullUrl`.
    pub full_url: Option<&'a str>,
    /// `resource`: one JSON object.
    pub resource: Option<&'a [u8]>,
    /// `search.mode`.
    pub search_mode: Option<SearchMode>,
    /// `request.method` and `request.url`.
    pub request: Option<(HttpMethod, &'a str)>,
    /// `response`.
    pub response: Option<Response<'a>>,
}

/// `Bundle.entry.search.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchMode {
    /// The resource matched the search.
    Match,
    /// The resource was included with one that matched.
    Include,
    /// An OperationOutcome about the search.
    Outcome,
}

impl SearchMode {
    /// The R4 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Include => "include",
            Self::Outcome => "outcome",
        }
    }
}

/// `Bundle.entry.response`.
#[derive(Debug, Clone, Default)]
pub struct Response<'a> {
    /// `status`: an HTTP status such as `201 Created`.
    pub status: &'a str,
    /// `location`.
    pub location: Option<&'a str>,
    /// `etag`: such as `W/"1"`.
    pub etag: Option<&'a str>,
    /// `lastModified`.
    pub last_modified: Option<Instant>,
    /// `outcome`: an OperationOutcome.
    pub outcome: Option<&'a [u8]>,
}

/// A Bundle that grows entry by entry.
#[derive(Debug)]
pub struct BundleWriter {
    out: Vec<u8>,
    /// Whether the `entry` array is open. R4 has no empty arrays, so it opens with the first entry.
    open: bool,
}

impl BundleWriter {
    /// Writes the head.
    #[must_use]
    pub fn new(head: &BundleHead<'_>) -> Self {
        let mut writer = Self { out: b"{".to_vec(), open: false };
        writer.text("resourceType", "Bundle");
        writer.optional_text("id", head.id);
        writer.text("type", head.kind.code());
        writer.instant("timestamp", head.timestamp);
        if let Some(total) = head.total {
            writer.raw("total", total.to_string().as_bytes());
        }
        if !head.links.is_empty() {
            writer.name("link");
            for (number, (relation, url)) in head.links.iter().enumerate() {
                writer.out.extend_from_slice(if number == 0 { b"[{" } else { b",{" });
                writer.text("relation", relation);
                writer.text("url", url);
                writer.out.push(b'}');
            }
            writer.out.push(b']');
        }
        writer
    }

    /// Appends an entry.
    pub fn entry(&mut self, parts: &EntryParts<'_>) {
        if self.open {
            self.out.extend_from_slice(b",{");
        } else {
            self.name("entry");
            self.out.extend_from_slice(b"[{");
            self.open = true;
        }
        self.optional_text("fullUrl", parts.full_url);
        if let Some(resource) = parts.resource {
            self.raw("resource", resource);
        }
        if let Some(mode) = parts.search_mode {
            self.object("search", |search| search.text("mode", mode.code()));
        }
        if let Some((method, url)) = parts.request {
            self.object("request", |request| {
                request.text("method", method.code());
                request.text("url", url);
            });
        }
        if let Some(parts) = &parts.response {
            self.object("response", |response| {
                response.text("status", parts.status);
                response.optional_text("location", parts.location);
                response.optional_text("etag", parts.etag);
                response.instant("lastModified", parts.last_modified);
                if let Some(outcome) = parts.outcome {
                    response.raw("outcome", outcome);
                }
            });
        }
        self.out.push(b'}');
    }

    /// Bytes so far, for a caller that keeps a page below a size.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.out.len()
    }

    /// Closes the Bundle and gives its bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(if self.open { b"]}" } else { b"}" });
        self.out
    }

    /// Begins a member; only the first one of an object has no comma before it.
    fn name(&mut self, name: &str) {
        if !self.out.ends_with(b"{") {
            self.out.push(b',');
        }
        self.string(name);
        self.out.push(b':');
    }

    fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
    }

    fn optional_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn instant(&mut self, name: &str, instant: Option<Instant>) {
        if let Some(instant) = instant {
            self.text(name, &instant.to_string());
        }
    }

    fn object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.raw(name, b"{");
        members(self);
        self.out.push(b'}');
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.out, text).expect("a string always serialises into memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;
    use proptest::prelude::*;

    #[test]
    fn transaction_response_has_all_parts_in_order() {
        let mut bundle = BundleWriter::new(&BundleHead {
            id: Some("b1"),
            timestamp: Instant::parse("2026-11-22T12:00:00.123Z"),
            links: &[("self", "https://example.org/?a=\"b\""), ("next", "n")],
            ..BundleHead::new(BundleType::TransactionResponse)
        });
        bundle.entry(&EntryParts {
            response: Some(Response {
                status: "201 Created",
                location: Some("Patient/1/_history/1"),
                etag: Some("W/\"1\""),
                last_modified: Instant::parse("2026-11-22T12:00:00Z"),
                outcome: Some(br#"{"resourceType":"OperationOutcome"}"#),
            }),
            ..EntryParts::default()
        });
        bundle
            .entry(&EntryParts { request: Some((HttpMethod::Delete, "Patient/2")), ..EntryParts::default() });
        let expected = concat!(
            r#"{"resourceType":"Bundle","id":"b1","type":"transaction-response","timestamp":"2026-11-22T12:00:00.123Z","#,
            r#""link":[{"relation":"self","url":"https://example.org/?a=\"b\""},{"relation":"next","url":"n"}],"#,
            r#""entry":[{"response":{"status":"201 Created","location":"Patient/1/_history/1","etag":"W/\"1\"","#,
            r#""lastModified":"2026-11-22T12:00:00.000Z","outcome":{"resourceType":"OperationOutcome"}}},"#,
            r#"{"request":{"method":"DELETE","url":"Patient/2"}}]}"#
        );
        assert_eq!(String::from_utf8(bundle.finish()).as_deref(), Ok(expected));
    }

    #[test]
    fn bundle_without_entries_has_no_empty_array() {
        let head = BundleHead { total: Some(0), ..BundleHead::new(BundleType::History) };
        let expected = r#"{"resourceType":"Bundle","type":"history","total":0}"#;
        assert_eq!(BundleWriter::new(&head).finish(), expected.as_bytes());
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_the_parsed_bundle(full_url in any::<String>(), url in any::<String>()) {
            let mut writer = BundleWriter::new(&BundleHead::new(BundleType::Batch));
            let parts = EntryParts {
                full_url: Some(&full_url),
                request: Some((HttpMethod::Get, &url)),
                ..EntryParts::default()
            };
            writer.entry(&parts);
            writer.entry(&parts);
            let bytes = writer.finish();
            let bundle = Bundle::parse(&bytes).expect("a Bundle as written");
            prop_assert_eq!(bundle.entries.len(), 2);
            for entry in &bundle.entries {
                prop_assert_eq!(entry.full_url.as_deref(), Some(&*full_url));
                prop_assert_eq!(entry.request.as_ref().map(|r| &*r.url), Some(&*url));
            }
        }
    }
}
