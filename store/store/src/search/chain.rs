//! Joins along references: chains (`subject.name=x`) and reverse chains (`_has`).
//!
//! A join goes the way that follows fewer references: from what is referred to, from what refers, or through the
//! terms of the parameter, whichever the counts say is least.

use keepwell_fhir::ResourceType;
use keepwell_index::{Direction, TermRange};
use keepwell_search::{Facet, HEAD_BYTES, Parameter, ParameterNumber, Plan, Term, read_reference};
use roaring::RoaringBitmap;

use super::error::SearchError;
use super::executor::{Executor, Scope};
use super::set::Set;
use crate::error::Result;

/// References that one step of a chain follows at the most.
pub const LINKS_FOLLOWED_MAX: u64 = 1_000_000;

impl Executor<'_> {
    /// What refers by a parameter to a resource of a type that a plan finds.
    pub(super) fn chain(
        &self,
        parameter: &Parameter,
        target: ResourceType,
        plan: &Plan,
        scope: &Scope,
    ) -> Result<Set> {
        let targets = self.evaluate(plan, &Scope::Types(vec![target]))?;
        let may = self.referring(parameter, target, targets.may(), scope)?;
        if targets.is_exact() {
            return Ok(Set::exact(may));
        }
        let sure = self.referring(parameter, target, targets.sure(), &Scope::Within(may.clone()))?;
        Ok(Set::new(may, sure))
    }

    /// What refers by a parameter to one of these resources of a type.
    fn referring(
        &self,
        parameter: &Parameter,
        target: ResourceType,
        targets: &RoaringBitmap,
        scope: &Scope,
    ) -> Result<RoaringBitmap> {
        let references = TermRange::prefix(Term::references_to(parameter.number, target).bytes());
        let distinct = self.view.estimate(&references).terms;
        let has_url = self.url_of(target).is_some();
        let found = if targets.len() > distinct && !has_url {
            // Most of them nobody refers to: those to whom somebody does are fewer.
            self.referring_among(references, targets)?
        } else {
            self.referring_to_each(parameter, target, targets, has_url)?
        };
        self.clip(found, parameter.number, scope)
    }

    fn referring_to_each(
        &self,
        parameter: &Parameter,
        target: ResourceType,
        targets: &RoaringBitmap,
        has_url: bool,
    ) -> Result<RoaringBitmap> {
        check_links(targets.len())?;
        let mut terms = Vec::new();
        let mut found = RoaringBitmap::new();
        for doc in targets {
            let (kind, id) = self.documents.identity(doc)?;
            terms.push(Term::reference(parameter.number, kind, &id).into_bytes());
            if has_url {
                for prefix in self.urls(parameter, target, doc)? {
                    found |= self.view.postings_in(&TermRange::prefix(&prefix))?;
                }
            }
        }
        terms.sort_unstable();
        found |= self.view.postings_of_any(&terms)?;
        Ok(found)
    }

    fn referring_among(&self, references: TermRange, targets: &RoaringBitmap) -> Result<RoaringBitmap> {
        let mut found = RoaringBitmap::new();
        let mut docs = Vec::new();
        let mut scan = self.view.scan(references, Direction::Rising)?;
        while scan.advance()? {
            let Some((kind, id)) = read_reference(scan.term()) else { continue };
            if self.find(kind, &id)?.is_some_and(|doc| targets.contains(doc)) {
                scan.read_docs(&mut docs)?;
                found.extend(docs.iter().copied());
            }
        }
        Ok(found)
    }

    /// What the terms begin with that refer to a canonical resource by its URL.
    pub(super) fn urls(&self, parameter: &Parameter, kind: ResourceType, doc: u32) -> Result<Vec<Vec<u8>>> {
        let Some(url) = self.url_of(kind) else { return Ok(Vec::new()) };
        let head = Term::head(url, Facet::Uri);
        let own = Term::head(parameter.number, Facet::Uri);
        let terms = self.documents.terms(doc)?;
        let urls = terms.iter().filter_map(|term| until_zero(term.strip_prefix(head.bytes())?));
        Ok(urls.map(|url| [own.bytes(), url].concat()).collect())
    }

    /// The parameter by which resources of a type are known by a canonical URL.
    pub(super) fn url_of(&self, kind: ResourceType) -> Option<ParameterNumber> {
        self.documents.parameters.get(kind, "url").map(|url| url.number).filter(|url| !url.is_custom())
    }

    /// The resources of a type with a URL.
    pub(super) fn by_url(&self, kind: ResourceType, url: &str) -> Result<RoaringBitmap> {
        let Some(number) = self.url_of(kind) else { return Ok(RoaringBitmap::new()) };
        let mut docs = self.view.postings_in(&TermRange::prefix(Term::url(number, url).bytes()))?;
        self.view.keep_live(&mut docs);
        Ok(docs)
    }

    /// The resources of a type whose URL a term of a reference names.
    pub(super) fn with_url(&self, kind: ResourceType, reference: &[u8]) -> Result<RoaringBitmap> {
        let value = reference.get(HEAD_BYTES..).filter(|_| reference[HEAD_BYTES - 1] == Facet::Uri as u8);
        let (Some(number), Some(value)) = (self.url_of(kind), value.and_then(until_zero)) else {
            return Ok(RoaringBitmap::new());
        };
        let own = [Term::head(number, Facet::Uri).bytes(), value].concat();
        let mut docs = self.view.postings_in(&TermRange::prefix(&own))?;
        self.view.keep_live(&mut docs);
        Ok(docs)
    }

    /// The current version of a resource.
    pub(crate) fn find(&self, kind: ResourceType, id: &str) -> Result<Option<u32>> {
        self.view.newest(Term::reference(ParameterNumber::ID, kind, id).bytes())
    }

    /// What a resource of a type that a plan finds refers to by a parameter.
    pub(super) fn has(
        &self,
        source: ResourceType,
        parameter: &Parameter,
        plan: &Plan,
        scope: &Scope,
    ) -> Result<Set> {
        let sources = self.evaluate(plan, &Scope::Types(vec![source]))?;
        let may = self.referred_by(parameter, sources.may(), scope)?;
        if sources.is_exact() {
            return Ok(Set::exact(may));
        }
        let sure = self.referred_by(parameter, sources.sure(), &Scope::Within(may.clone()))?;
        Ok(Set::new(may, sure))
    }

    /// What one of these versions refers to by a parameter.
    fn referred_by(
        &self,
        parameter: &Parameter,
        sources: &RoaringBitmap,
        scope: &Scope,
    ) -> Result<RoaringBitmap> {
        let head = Term::head(parameter.number, Facet::Reference);
        let distinct = self.view.estimate(&TermRange::prefix(head.bytes())).terms;
        let candidates = if let Scope::Within(docs) = scope { docs.len() } else { u64::MAX };
        if sources.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        // A body costs about as much as the list of one term.
        if candidates <= sources.len().min(distinct) {
            return self.referred_among(parameter, sources, scope);
        }
        let canonical = Term::head(parameter.number, Facet::Uri);
        let kinds = self.canonical_targets(parameter);
        let mut found = RoaringBitmap::new();
        if sources.len() <= distinct {
            check_links(sources.len())?;
            for doc in sources {
                let terms = self.documents.terms(doc)?;
                for term in terms.iter().filter(|term| term.starts_with(head.bytes())) {
                    if let Some((kind, id)) = read_reference(term) {
                        found.extend(self.find(kind, &id)?);
                    }
                }
                for term in terms.iter().filter(|term| term.starts_with(canonical.bytes())) {
                    for kind in &kinds {
                        found |= self.with_url(*kind, term)?;
                    }
                }
            }
        } else {
            check_links(distinct)?;
            let mut docs = Vec::new();
            let mut scan = self.view.scan(TermRange::prefix(head.bytes()), Direction::Rising)?;
            while scan.advance()? {
                scan.read_docs(&mut docs)?;
                if docs.iter().any(|doc| sources.contains(*doc))
                    && let Some((kind, id)) = read_reference(scan.term())
                {
                    found.extend(self.find(kind, &id)?);
                }
            }
            let mut scan = self.view.scan(TermRange::prefix(canonical.bytes()), Direction::Rising)?;
            while !kinds.is_empty() && scan.advance()? {
                scan.read_docs(&mut docs)?;
                if docs.iter().any(|doc| sources.contains(*doc)) {
                    for kind in &kinds {
                        found |= self.with_url(*kind, scan.term())?;
                    }
                }
            }
        }
        self.clip(found, ParameterNumber::ID, scope)
    }

    /// The types that a parameter may refer to by a canonical URL.
    fn canonical_targets(&self, parameter: &Parameter) -> Vec<ResourceType> {
        let is_target =
            |kind: &ResourceType| parameter.targets.is_empty() || parameter.targets.contains(kind);
        ResourceType::all().filter(is_target).filter(|kind| self.url_of(*kind).is_some()).collect()
    }

    /// As [`Self::referred_by`], asked of each version in the scope.
    pub(super) fn referred_among(
        &self,
        parameter: &Parameter,
        sources: &RoaringBitmap,
        scope: &Scope,
    ) -> Result<RoaringBitmap> {
        let mut found = RoaringBitmap::new();
        for doc in self.all(scope)? {
            let (kind, id) = self.documents.identity(doc)?;
            let term = Term::reference(parameter.number, kind, &id);
            let mut is_referred = !self.view.postings_among(term.bytes(), sources)?.is_empty();
            for prefix in self.urls(parameter, kind, doc)? {
                is_referred |= !self.view.postings_in(&TermRange::prefix(&prefix))?.is_disjoint(sources);
            }
            if is_referred {
                found.insert(doc);
            }
        }
        Ok(found)
    }
}

fn check_links(links: u64) -> Result<()> {
    if links > LINKS_FOLLOWED_MAX {
        return Err(SearchError::TooCostly("a chain follows a million references at the most").into());
    }
    Ok(())
}

/// What a term refers to, if it is one of a reference.
pub(super) fn referred(term: &[u8]) -> Option<(ResourceType, String)> {
    (*term.get(HEAD_BYTES - 1)? == Facet::Reference as u8).then(|| read_reference(term))?
}

/// The URL of a term, and the zero byte that closes it.
fn until_zero(value: &[u8]) -> Option<&[u8]> {
    value.iter().position(|&byte| byte == 0).map(|end| &value[..=end])
}
