//! A Bundle as slices of the bytes it arrived in (R4 bundle.html).
//!
//! [`Bundle::parse`] looks at the frame only: type, `fullUrl`, `request`. Resources stay where they are, so
//! a transaction of 25,000 entries costs one small struct per entry and no copy.
//!
//! ```
//! use keepwell_fhir::bundle::{Bundle, BundleType, HttpMethod};
//!
//! let bundle = Bundle::parse(br#"{"resourceType":"Bundle","type":"transaction","entry":[
//!     {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
//!     {"request":{"method":"DELETE","url":"Patient/7"}}]}"#)?;
//! assert_eq!(bundle.kind, BundleType::Transaction);
//! assert_eq!(bundle.entries[0].resource, Some(&br#"{"resourceType":"Patient"}"#[..]));
//! assert_eq!(bundle.entries[1].request.as_ref().map(|r| r.method), Some(HttpMethod::Delete));
//! assert_eq!(bundle.processing_order(), [1, 0]);
//! # Ok::<(), keepwell_fhir::bundle::BundleError>(())
//! ```
//!
//! Invariant: an entry of a transaction or batch has a request, and one that writes has a resource.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// Bytes of one Bundle.
pub const MAX_BUNDLE_BYTES: usize = 512 << 20;

/// Entries of one Bundle.
pub const MAX_BUNDLE_ENTRIES: usize = 250_000;

/// `Bundle.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BundleType {
    /// A document: a Composition and what it refers to.
    Document,
    /// A message: a MessageHeader and what it refers to.
    Message,
    /// Changes that all happen or none.
    Transaction,
    /// The answer to a transaction.
    TransactionResponse,
    /// Requests that stand alone.
    Batch,
    /// The answer to a batch.
    BatchResponse,
    /// Versions of resources.
    History,
    /// What a search found.
    Searchset,
    /// Resources that only travel together.
    Collection,
}

impl BundleType {
    const CODES: [(&str, Self); 9] = [
        ("document", Self::Document),
        ("message", Self::Message),
        ("transaction", Self::Transaction),
        ("transaction-response", Self::TransactionResponse),
        ("batch", Self::Batch),
        ("batch-response", Self::BatchResponse),
        ("history", Self::History),
        ("searchset", Self::Searchset),
        ("collection", Self::Collection),
    ];

    /// The R4 code.
    pub fn code(self) -> &'static str {
        code_of(&Self::CODES, self)
    }

    /// The type with this code.
    pub fn parse(code: &str) -> Option<Self> {
        of_code(&Self::CODES, code)
    }

    /// Whether its entries are requests to be carried out.
    pub fn is_request(self) -> bool {
        matches!(self, Self::Transaction | Self::Batch)
    }
}

/// `Bundle.entry.request.method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpMethod {
    /// Read or search.
    Get,
    /// Read or search without the body.
    Head,
    /// Create, or search by form.
    Post,
    /// Update.
    Put,
    /// Delete.
    Delete,
    /// Patch.
    Patch,
}

impl HttpMethod {
    const CODES: [(&str, Self); 6] = [
        ("GET", Self::Get),
        ("HEAD", Self::Head),
        ("POST", Self::Post),
        ("PUT", Self::Put),
        ("DELETE", Self::Delete),
        ("PATCH", Self::Patch),
    ];

    /// The R4 code.
    pub fn code(self) -> &'static str {
        code_of(&Self::CODES, self)
    }

    /// The method with this code.
    pub fn parse(code: &str) -> Option<Self> {
        of_code(&Self::CODES, code)
    }

    /// When a transaction carries it out, whatever the order of entries (R4 http.html#trules).
    fn rank(self) -> u8 {
        match self {
            Self::Delete => 0,
            Self::Post => 1,
            Self::Put | Self::Patch => 2,
            Self::Get | Self::Head => 3,
        }
    }
}

fn code_of<T: Copy + PartialEq>(codes: &[(&'static str, T)], value: T) -> &'static str {
    codes.iter().find(|(_, other)| *other == value).expect("every variant has its code").0
}

fn of_code<T: Copy>(codes: &[(&'static str, T)], code: &str) -> Option<T> {
    codes.iter().find(|(other, _)| *other == code).map(|(_, value)| *value)
}

/// A Bundle whose entries point into the bytes it was parsed from.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// `Bundle.type`.
    pub kind: BundleType,
    /// `Bundle.entry`, in its order.
    pub entries: Vec<Entry<'a>>,
}

/// `Bundle.entry`. Elements that a store does not act on (`link`, `search`, `response`) are left out.
#[derive(Debug, Default)]
pub struct Entry<'a> {
    /// `fullUrl`.
    pub full_url: Option<Cow<'a, str>>,
    /// `resource`: the bytes of one JSON object.
    pub resource: Option<&'a [u8]>,
    /// `request`.
    pub request: Option<Request<'a>>,
}

/// `Bundle.entry.request`.
#[derive(Debug)]
pub struct Request<'a> {
    /// `method`.
    pub method: HttpMethod,
    /// `url`, relative to the base.
    pub url: Cow<'a, str>,
    /// `ifNoneMatch`.
    pub if_none_match: Option<Cow<'a, str>>,
    /// `ifModifiedSince`.
    pub if_modified_since: Option<Cow<'a, str>>,
    /// `ifMatch`.
    pub if_match: Option<Cow<'a, str>>,
    /// `ifNoneExist`.
    pub if_none_exist: Option<Cow<'a, str>>,
}

/// A Bundle that cannot be used. Entries count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The bytes are not one JSON object with the members of a Bundle.
    #[error("not a bundle: {reason}")]
    NotABundle {
        /// What is wrong.
        reason: &'static str,
    },
    /// A limit of this module was reached.
    #[error("the bundle goes beyond a limit: {reason}")]
    Limit {
        /// Which limit.
        reason: &'static str,
    },
    /// An entry does not have the form of one, or not the one its Bundle asks for.
    #[error("entry {entry} of the bundle is malformed: {reason}")]
    Entry {
        /// Which entry.
        entry: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// Two entries of a transaction write the same resource.
    #[error("entries {first} and {second} of the transaction write the same resource")]
    SameIdentity {
        /// The earlier entry.
        first: usize,
        /// The later entry.
        second: usize,
    },
    /// Two entries of a transaction have the same `fullUrl`.
    #[error("entries {first} and {second} of the transaction have the same fullUrl")]
    SameFullUrl {
        /// The earlier entry.
        first: usize,
        /// The later entry.
        second: usize,
    },
}

impl<'a> Bundle<'a> {
    /// Reads the frame of a Bundle. Resources are checked to be JSON objects, no more.
    ///
    /// # Errors
    /// [`BundleError`], with the entry where it is one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::Limit { reason: "bytes" });
        }
        let frame: Frame<'a> = serde_json::from_slice(bytes).map_err(|_| BundleError::NotABundle {
            reason: "not one json object with the members of a bundle",
        })?;
        if frame.resource_type != "Bundle" {
            return Err(BundleError::NotABundle { reason: "its resourceType is another" });
        }
        let kind = BundleType::parse(&frame.kind)
            .ok_or(BundleError::NotABundle { reason: "its type is not one of fhir r4" })?;
        let RawEntries { entries, over_limit } = frame.entry;
        if over_limit {
            return Err(BundleError::Limit { reason: "entries" });
        }
        let entries = entries.into_iter().enumerate();
        let entries = entries.map(|(number, raw)| {
            Entry::parse(raw.get(), kind).map_err(|reason| BundleError::Entry { entry: number, reason })
        });
        Ok(Self { kind, entries: entries.collect::<Result<_, _>>()? })
    }

    /// The entries in the order in which a transaction carries them out: DELETE, POST, PUT and PATCH, GET
    /// and HEAD, each in the order of the Bundle (R4 http.html#trules). Entries without a request, which
    /// no transaction has, are left out.
    pub fn processing_order(&self) -> Vec<usize> {
        let rank = |entry: &Entry<'_>| entry.request.as_ref().map(|request| request.method.rank());
        let mut order: Vec<_> =
            (0..self.entries.len()).filter(|i| rank(&self.entries[*i]).is_some()).collect();
        order.sort_by_key(|i| rank(&self.entries[*i]));
        order
    }

    /// Checks that no two entries write one resource or share a `fullUrl`, which a transaction must not
    /// (R4 http.html#trules, bdl-7). Conditional requests name their resource only once resolved: whoever
    /// resolves them checks those.
    ///
    /// # Errors
    /// [`BundleError::SameIdentity`] or [`BundleError::SameFullUrl`].
    pub fn check_identities(&self) -> Result<(), BundleError> {
        let mut targets = HashMap::with_capacity(self.entries.len());
        let mut full_urls = HashMap::with_capacity(self.entries.len());
        for (second, entry) in self.entries.iter().enumerate() {
            if let Some(target) = entry.request.as_ref().and_then(Request::target)
                && let Some(first) = targets.insert(target, second)
            {
                return Err(BundleError::SameIdentity { first, second });
            }
            if let Some(full_url) = &entry.full_url
                && let Some(first) = full_urls.insert(full_url, second)
            {
                return Err(BundleError::SameFullUrl { first, second });
            }
        }
        Ok(())
    }
}

impl Request<'_> {
    /// The `Type/id` that the request writes, if it names it.
    fn target(&self) -> Option<&str> {
        let writes = matches!(self.method, HttpMethod::Put | HttpMethod::Patch | HttpMethod::Delete);
        (writes && !self.url.contains('?')).then(|| self.url.trim_matches('/'))
    }

    /// Whether the request makes no sense without a resource. A POST to a search or an operation does.
    fn carries_resource(&self) -> bool {
        match self.method {
            HttpMethod::Put | HttpMethod::Patch => true,
            HttpMethod::Post => !self.url.contains(['_', '$']),
            HttpMethod::Delete | HttpMethod::Get | HttpMethod::Head => false,
        }
    }
}

impl<'a> Entry<'a> {
    fn parse(text: &'a str, bundle: BundleType) -> Result<Self, &'static str> {
        let raw: RawEntry<'a> =
            serde_json::from_str(text).map_err(|_| "not an object with the members of an entry")?;
        let resource = raw.resource.map(|resource| resource.get().as_bytes());
        if resource.is_some_and(|resource| !resource.starts_with(b"{")) {
            return Err("its resource is not an object");
        }
        let request = raw.request.map(Request::from_raw).transpose()?;
        if bundle.is_request() {
            let request = request.as_ref().ok_or("it has no request")?;
            if request.carries_resource() && resource.is_none() {
                return Err("its request needs a resource and it has none");
            }
        }
        Ok(Self { full_url: raw.full_url.map(|text| text.0), resource, request })
    }
}

impl<'a> Request<'a> {
    fn from_raw(raw: RawRequest<'a>) -> Result<Self, &'static str> {
        Ok(Self {
            method: HttpMethod::parse(&raw.method).ok_or("its method is not one of fhir r4")?,
            url: raw.url,
            if_none_match: raw.if_none_match.map(|text| text.0),
            if_modified_since: raw.if_modified_since.map(|text| text.0),
            if_match: raw.if_match.map(|text| text.0),
            if_none_exist: raw.if_none_exist.map(|text| text.0),
        })
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    #[serde(borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    entry: RawEntries<'a>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry<'a> {
    #[serde(borrow)]
    full_url: Option<Text<'a>>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<RawRequest<'a>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow)]
    if_none_match: Option<Text<'a>>,
    #[serde(borrow)]
    if_modified_since: Option<Text<'a>>,
    #[serde(borrow)]
    if_match: Option<Text<'a>>,
    #[serde(borrow)]
    if_none_exist: Option<Text<'a>>,
}

/// A string that is borrowed where it has no escapes; serde borrows no `Cow` inside an `Option`.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The entries as raw text. Past the limit they are still checked for syntax, but no longer kept.
#[derive(Default)]
struct RawEntries<'a> {
    entries: Vec<&'a RawValue>,
    over_limit: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for RawEntries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawEntries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut raw = RawEntries::default();
                while let Some(entry) = seq.next_element()? {
                    raw.over_limit |= raw.entries.len() == MAX_BUNDLE_ENTRIES;
                    if !raw.over_limit {
                        raw.entries.push(entry);
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

#[cfg(test)]
mod tests;
