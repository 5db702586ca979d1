//! What comes with the matches: `_include` and `_revinclude` (R4 search.html#revinclude).
//!
//! Invariant: a resource is in a page once, so cycles of references end.

use std::collections::HashSet;

use keepwell_fhir::ResourceType;
use keepwell_index::TermRange;
use keepwell_search::{Direction, HEAD_BYTES, Include, Parameter, Term};
use roaring::RoaringBitmap;

use super::chain::referred;
use super::error::SearchError;
use super::executor::{Executor, Scope};
use crate::error::Result;

/// Resources that come with the matches of a page at the most.
pub const INCLUDED_MAX: usize = 10_000;

/// How often `:iterate` goes on from what it has found.
pub const ITERATIONS_MAX: usize = 32;

impl Executor<'_> {
    /// What comes with the matches of a page, in the order in which it was met.
    ///
    /// # Errors
    /// [`SearchError::TooCostly`] beyond [`INCLUDED_MAX`] and [`ITERATIONS_MAX`].
    pub(crate) fn included(&self, matches: &[u32], includes: &[Include]) -> Result<Vec<u32>> {
        let mut seen: HashSet<u32> = matches.iter().copied().collect();
        let mut all = Vec::new();
        let mut from = matches.to_vec();
        let mut is_first = true;
        for _ in 0..ITERATIONS_MAX {
            let mut new = Vec::new();
            for include in includes.iter().filter(|include| is_first || include.iterate) {
                for doc in self.include(&from, include)? {
                    if seen.insert(doc) {
                        new.push(doc);
                    }
                }
                if all.len() + new.len() > INCLUDED_MAX {
                    return Err(SearchError::TooCostly("a page includes 10,000 resources at the most").into());
                }
            }
            if new.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&new);
            // What is not iterated has had its turn; what is iterated goes on from everything that is new.
            from = new;
            is_first = false;
        }
        Err(SearchError::TooCostly(":iterate follows 32 steps at the most").into())
    }

    fn include(&self, from: &[u32], include: &Include) -> Result<Vec<u32>> {
        match include.direction {
            Direction::Forward => {
                let is_wanted = |kind| include.target.is_none_or(|target| target == kind);
                self.include_forward(from, include, &is_wanted)
            }
            Direction::Reverse => self.include_reverse(from, include),
        }
    }

    /// What these refer to, of the types that are wanted.
    pub(super) fn include_forward(
        &self,
        from: &[u32],
        include: &Include,
        is_wanted: &dyn Fn(ResourceType) -> bool,
    ) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for doc in from {
            let (kind, _) = self.documents.identity(*doc)?;
            if include.source.is_some_and(|source| source != kind) {
                continue;
            }
            let numbers: Vec<_> = match &include.parameter {
                Some(parameter) => vec![parameter],
                None => self.references_of(kind),
            }
            .into_iter()
            .map(|parameter| parameter.number.0.to_be_bytes())
            .collect();
            let terms = self.documents.terms(*doc)?;
            for term in terms.iter().filter(|term| numbers.iter().any(|number| term.starts_with(number))) {
                // What many refer to, such as a clinic, is looked up once.
                let value = &term[HEAD_BYTES - 1..];
                if seen.insert(value.to_vec()) {
                    found.extend(self.referred_by_term(term, is_wanted)?);
                }
            }
        }
        Ok(found)
    }

    /// What a term of a reference refers to.
    fn referred_by_term(&self, term: &[u8], is_wanted: &dyn Fn(ResourceType) -> bool) -> Result<Vec<u32>> {
        if let Some((kind, id)) = referred(term) {
            return Ok(if is_wanted(kind) {
                self.find(kind, &id)?.into_iter().collect()
            } else {
                Vec::new()
            });
        }
        let mut found = Vec::new();
        for kind in ResourceType::all().filter(|kind| is_wanted(*kind)) {
            found.extend(self.with_url(kind, term)?);
        }
        Ok(found)
    }

    fn include_reverse(&self, from: &[u32], include: &Include) -> Result<Vec<u32>> {
        let sources: Vec<ResourceType> = match include.source {
            Some(source) => vec![source],
            None => ResourceType::all().collect(),
        };
        let mut found = RoaringBitmap::new();
        for doc in from {
            let (kind, id) = self.documents.identity(*doc)?;
            if include.target.is_some_and(|target| target != kind) {
                continue;
            }
            for source in &sources {
                let parameters = match &include.parameter {
                    Some(parameter) => vec![parameter],
                    None => self.references_of(*source),
                };
                for parameter in parameters {
                    let term = Term::reference(parameter.number, kind, &id);
                    let mut docs = self.view.postings(term.bytes())?;
                    for prefix in self.urls(parameter, kind, *doc)? {
                        docs |= self.view.postings_in(&TermRange::prefix(&prefix))?;
                    }
                    found |= self.clip(docs, parameter.number, &Scope::Types(vec![*source]))?;
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The reference parameters of a type.
    fn references_of(&self, kind: ResourceType) -> Vec<&Parameter> {
        let parameters = self.documents.parameters.of(kind);
        parameters.filter(|parameter| parameter.kind == keepwell_search::ParameterKind::Reference).collect()
    }
}
