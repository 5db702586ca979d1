//! What a query means, asked of the resources themselves: checks what an index could not decide.

use std::cell::RefCell;

use keepwell_fhir::ResourceType;
use keepwell_index::TermRange;
use keepwell_search::{
    CodeSet, ContainedSearch, Context, Facet, Library, LocalTerminology, ParameterNumber, Parameters, Query,
    Resource, Term, Terminology, Visit,
};
use roaring::RoaringBitmap;

use super::executor::{Executor, Scope};
use super::record::Record;
use crate::error::{Error, Result};

/// The resources of a store as of a change, as [`keepwell_search::matches`] asks for them.
pub(crate) struct Oracle<'x, 'e> {
    executor: &'x Executor<'e>,
    terminology: LocalTerminology<Shelf<'x, 'e>>,
    /// What went wrong while a question was answered, which has no room for it.
    failure: RefCell<Option<Error>>,
}

/// A contained resource: type, id, JSON.
pub(super) type Inner = (ResourceType, String, Vec<u8>);

/// The value sets and code systems of a store.
struct Shelf<'x, 'e>(&'x Executor<'e>);

impl<'x, 'e> Oracle<'x, 'e> {
    pub(crate) fn new(executor: &'x Executor<'e>) -> Self {
        let terminology = LocalTerminology::new(Shelf(executor));
        Self { executor, terminology, failure: RefCell::new(None) }
    }

    /// Whether a version is what a query asks for.
    pub(crate) fn matches(&self, query: &Query, doc: u32) -> Result<bool> {
        let record = Record::find(self.executor.documents.connection, doc)?;
        let documents = &self.executor.documents;
        let matches = documents.look(&record, |resource| keepwell_search::matches(query, resource, self))?;
        self.failure.borrow_mut().take().map_or(Ok(matches), Err)
    }

    /// Whether a version itself is what a query with `_contained` asks for, and those of its contained resources that
    /// are.
    pub(crate) fn parts(&self, query: &Query, doc: u32) -> Result<(bool, Vec<Inner>)> {
        let mut own = query.clone();
        own.contained = ContainedSearch::Never;
        let is_itself = query.contained == ContainedSearch::Both && self.matches(&own, doc)?;
        let record = Record::find(self.executor.documents.connection, doc)?;
        let mut parts = Vec::new();
        self.executor.documents.look(&record, |resource| {
            keepwell_search::matching_contained(query, resource, self, &mut |inner| {
                parts.push((inner.resource_type, inner.id.to_owned(), inner.json.to_vec()));
                false
            })
        })?;
        self.failure.borrow_mut().take().map_or(Ok((is_itself, parts)), Err)
    }

    fn visit_all(&self, docs: &RoaringBitmap, visit: &mut Visit<'_>) -> bool {
        docs.iter().any(|doc| {
            let documents = &self.executor.documents;
            let seen = Record::find(documents.connection, doc)
                .and_then(|record| documents.look(&record, |resource| visit(resource)));
            self.note(seen).unwrap_or(false)
        })
    }

    fn note<T>(&self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.failure.borrow_mut().get_or_insert(error).code()).ok()
    }
}

impl Terminology for Oracle<'_, '_> {
    fn value_set(&self, url: &str) -> Option<std::sync::Arc<CodeSet>> {
        self.terminology.value_set(url)
    }

    fn below(&self, system: &str, code: &str) -> Option<Vec<Box<str>>> {
        self.terminology.below(system, code)
    }

    fn above(&self, system: &str, code: &str) -> Option<Vec<Box<str>>> {
        self.terminology.above(system, code)
    }
}

impl Context for Oracle<'_, '_> {
    fn parameters(&self) -> &Parameters {
        &self.executor.documents.parameters
    }

    fn read(&self, resource_type: ResourceType, id: &str, visit: &mut Visit<'_>) -> bool {
        let found = self.note(self.executor.find(resource_type, id)).flatten();
        self.visit_all(&found.into_iter().collect(), visit)
    }

    fn with_url(&self, resource_type: ResourceType, url: &str, visit: &mut Visit<'_>) -> bool {
        let found = self.note(self.executor.by_url(resource_type, url)).unwrap_or_default();
        self.visit_all(&found, visit)
    }

    fn referring(
        &self,
        source: ResourceType,
        parameter: ParameterNumber,
        to: &Resource<'_>,
        visit: &mut Visit<'_>,
    ) -> bool {
        let found = (|| {
            let view = &self.executor.view;
            let mut docs = view.postings(Term::reference(parameter, to.resource_type, to.id).bytes())?;
            if self.executor.url_of(to.resource_type).is_some() {
                // Few references are canonical; those that are get compared one by one.
                docs |= view.postings_in(&TermRange::prefix(Term::head(parameter, Facet::Uri).bytes()))?;
            }
            self.executor.clip(docs, parameter, &Scope::Types(vec![source]))
        })();
        let found = self.note(found).unwrap_or_default();
        self.visit_all(&found, visit)
    }
}

impl Library for Shelf<'_, '_> {
    fn value_set(&self, url: &str, version: Option<&str>) -> Option<Vec<u8>> {
        self.newest("ValueSet", url, version)
    }

    fn value_set_with_id(&self, id: &str) -> Option<Vec<u8>> {
        let doc = self.0.find(ResourceType::parse("ValueSet")?, id).ok()??;
        self.content(doc)
    }

    fn code_system(&self, url: &str) -> Option<Vec<u8>> {
        self.newest("CodeSystem", url, None)
    }
}

impl Shelf<'_, '_> {
    /// The resource with a URL that was changed last.
    fn newest(&self, kind: &str, url: &str, version: Option<&str>) -> Option<Vec<u8>> {
        let kind = ResourceType::parse(kind)?;
        let mut docs = self.0.by_url(kind, url).ok()?;
        if let Some(version) = version {
            let parameter = self.0.documents.parameters.get(kind, "version")?.number;
            docs = docs.iter().filter(|doc| self.has_version(*doc, parameter, version)).collect();
        }
        self.content(docs.max()?)
    }

    fn has_version(&self, doc: u32, parameter: ParameterNumber, version: &str) -> bool {
        let documents = &self.0.documents;
        let seen = Record::find(documents.connection, doc).and_then(|record| {
            documents.look(&record, |resource| {
                resource.values.of_number(parameter).any(
                    |value| matches!(value, keepwell_search::Value::Token { code, .. } if **code == *version),
                )
            })
        });
        seen.unwrap_or(false)
    }

    fn content(&self, doc: u32) -> Option<Vec<u8>> {
        let documents = &self.0.documents;
        Record::find(documents.connection, doc).and_then(|record| documents.content(&record)).ok()
    }
}
