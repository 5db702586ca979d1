//! Answers a plan: from terms to sets of versions.
//!
//! Every node is asked within a scope, the set that the answer is wanted for, which shrinks from one part of an `And`
//! to the next: what is narrow goes first. Where only a few versions are left, their bodies are asked instead of the
//! index, since taking a body apart is cheaper than joining long lists.
//!
//! Invariant: the answer is the same whichever way it is found.

use keepwell_fhir::{Instant, ResourceType};
use keepwell_index::{Direction, TermRange};
use keepwell_search::{ContainedSearch, Facet, ParameterNumber, Plan, Query, Term, UnitScan, successor};
use roaring::RoaringBitmap;

use super::document::Documents;
use super::error::SearchError;
use super::record::first_change_at;
use super::set::Set;
use crate::error::Result;
use crate::index::View;

/// Bodies that are asked one by one at the most, where lists would have to be joined otherwise.
const PROBED_MAX: u64 = 64;

/// Postings that are read in the time that one body takes.
const POSTINGS_A_BODY: u64 = 200;

/// Versions whose type is looked up one by one, so that the list of all of the type is not read.
const TYPES_LOOKED_UP_MAX: u64 = 16;

/// Ticks of 100 ns in a millisecond.
const TICKS_A_MS: i64 = 10_000;

/// The versions that an answer is wanted for.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Every current version of these types; of all types where there are none.
    Types(Vec<ResourceType>),
    /// These.
    Within(RoaringBitmap),
}

impl Scope {
    /// Where the matches of a query are: what contains a match may be of any type.
    pub(crate) fn of(query: &Query) -> Self {
        match query.contained {
            ContainedSearch::Never => Self::Types(query.types.clone()),
            _ => Self::Types(Vec::new()),
        }
    }
}

/// What a search works with.
pub(crate) struct Executor<'e> {
    pub(crate) view: View<'e>,
    pub(crate) documents: Documents<'e>,
}

impl Executor<'_> {
    /// The versions of a scope that a plan finds.
    pub(crate) fn evaluate(&self, plan: &Plan, scope: &Scope) -> Result<Set> {
        if let Scope::Within(docs) = scope {
            if docs.is_empty() {
                return Ok(Set::default());
            }
            if docs.len() <= PROBED_MAX && self.is_costly(plan, docs.len()) {
                return self.probe_all(plan, docs);
            }
        }
        Ok(match plan {
            Plan::All => Set::exact(self.all(scope)?),
            Plan::None => Set::default(),
            Plan::Term(term) => Set::exact(match scope {
                Scope::Within(docs) => self.view.postings_among(term, docs)?,
                Scope::Types(_) => self.clip(self.view.postings(term)?, number_of(term), scope)?,
            }),
            Plan::Prefix(_) | Plan::Range { .. } => {
                let range = range_of(plan).expect("these are ranges");
                let docs = self.view.postings_in(&range)?;
                Set::exact(self.clip(docs, number_of(range.from()), scope)?)
            }
            Plan::Scan { from, to, test } => {
                let range = TermRange::new(from.clone(), Some(to.clone()));
                let docs = self.view.postings_where(range, |term| test.accepts(term))?;
                Set::exact(self.clip(docs, number_of(from), scope)?)
            }
            Plan::Units(units) => self.units(units, scope)?,
            Plan::LastUpdated { from, to } => {
                let mut docs = self.all(scope)?;
                docs &= self.changed_between(*from, *to)?;
                Set::exact(docs)
            }
            Plan::And(plans) => self.all_of(plans, scope)?,
            Plan::Or(plans) => {
                let mut set = Set::default();
                for plan in plans {
                    set.or(&self.evaluate(plan, scope)?);
                }
                set
            }
            Plan::Not(plan) => {
                let all = self.all(scope)?;
                self.evaluate(plan, &Scope::Within(all.clone()))?.not(&all)
            }
            Plan::Chain { parameter, target, plan } => self.chain(parameter, *target, plan, scope)?,
            Plan::Has { source, parameter, plan } => self.has(*source, parameter, plan, scope)?,
            Plan::Candidates(plan) => self.evaluate(plan, scope)?.candidates(),
            _ => return Err(SearchError::TooCostly("a part of the plan is not known to this store").into()),
        })
    }

    /// Everything in a scope.
    pub(crate) fn all(&self, scope: &Scope) -> Result<RoaringBitmap> {
        let mut docs = match scope {
            Scope::Within(docs) => return Ok(docs.clone()),
            Scope::Types(types) if types.is_empty() => {
                let types = Term::head(ParameterNumber::TYPE, Facet::Reference);
                self.view.postings_in(&TermRange::prefix(types.bytes()))?
            }
            Scope::Types(types) => {
                let mut docs = RoaringBitmap::new();
                for kind in types {
                    docs |= self.view.postings(Term::of_type(*kind).bytes())?;
                }
                docs
            }
        };
        self.view.keep_live(&mut docs);
        Ok(docs)
    }

    /// What of the postings of a parameter is in a scope.
    pub(super) fn clip(
        &self,
        mut docs: RoaringBitmap,
        number: ParameterNumber,
        scope: &Scope,
    ) -> Result<RoaringBitmap> {
        let types = match scope {
            Scope::Within(within) => {
                docs &= within;
                return Ok(docs);
            }
            Scope::Types(types) => types,
        };
        self.view.keep_live(&mut docs);
        // A parameter of one type needs no look at the type.
        let is_of_one_type = types.len() == 1 && number >= ParameterNumber::FIRST_OF_TYPE;
        if types.is_empty() || is_of_one_type || docs.is_empty() {
            return Ok(docs);
        }
        if docs.len() > TYPES_LOOKED_UP_MAX {
            docs &= self.all(scope)?;
            return Ok(docs);
        }
        let mut kept = RoaringBitmap::new();
        for kind in types {
            kept |= self.view.postings_among(Term::of_type(*kind).bytes(), &docs)?;
        }
        Ok(kept)
    }

    /// Quantities lie together by unit: each unit has a plan of its own.
    fn units(&self, units: &UnitScan, scope: &Scope) -> Result<Set> {
        let mut set = Set::default();
        for group in self.unit_groups(units)? {
            set.or(&self.evaluate(&units.plan(&group), scope)?);
        }
        Ok(set)
    }

    /// What the terms of each unit begin with.
    fn unit_groups(&self, units: &UnitScan) -> Result<Vec<Vec<u8>>> {
        let mut groups = Vec::new();
        let mut range = TermRange::prefix(units.head());
        loop {
            let mut scan = self.view.scan(range.clone(), Direction::Rising)?;
            if !scan.advance()? {
                return Ok(groups);
            }
            let Some(group) = units.group(scan.term()).map(<[u8]>::to_vec) else { return Ok(groups) };
            let Some(next) = successor(&group) else { return Ok(groups) };
            groups.push(group);
            range = TermRange::new(next, range.to().map(<[u8]>::to_vec));
        }
    }

    /// The changes that were made in a stretch of time.
    fn changed_between(&self, from: i64, to: i64) -> Result<RoaringBitmap> {
        let (connection, as_of) = (self.documents.connection, self.view.as_of());
        let mut docs = RoaringBitmap::new();
        let first = first_change_at(connection, as_of, first_ms(from))?;
        let end = first_change_at(connection, as_of, first_ms(to))?;
        docs.insert_range(first..end.max(first));
        Ok(docs)
    }

    fn all_of(&self, plans: &[Plan], scope: &Scope) -> Result<Set> {
        let mut order: Vec<(u64, &Plan)> = Vec::with_capacity(plans.len());
        for plan in plans {
            order.push((self.estimate(plan)?, plan));
        }
        order.sort_by_key(|(estimate, _)| *estimate);
        let mut found: Option<Set> = None;
        for (_, plan) in order {
            found = Some(match found {
                None => self.evaluate(plan, scope)?,
                Some(mut set) => {
                    let more = self.evaluate(plan, &Scope::Within(set.may().clone()))?;
                    set.and(&more);
                    set
                }
            });
        }
        found.map_or_else(|| Ok(Set::exact(self.all(scope)?)), Ok)
    }

    /// About how many versions a plan finds, seen from the counts of terms; joins count as if they found everything,
    /// so that they come last.
    pub(crate) fn estimate(&self, plan: &Plan) -> Result<u64> {
        Ok(match plan {
            Plan::None => 0,
            Plan::Term(term) => self.view.count(term)?,
            Plan::Prefix(_) | Plan::Range { .. } | Plan::Scan { .. } => {
                range_of(plan).map_or(0, |range| self.view.estimate(&range).postings)
            }
            Plan::Units(units) => self.view.estimate(&TermRange::prefix(units.head())).postings,
            Plan::And(plans) => {
                let mut least = u64::MAX;
                for plan in plans {
                    least = least.min(self.estimate(plan)?);
                }
                least
            }
            Plan::Or(plans) => {
                let mut sum = 0_u64;
                for plan in plans {
                    sum = sum.saturating_add(self.estimate(plan)?);
                }
                sum
            }
            Plan::Candidates(plan) => self.estimate(plan)?,
            Plan::Chain { plan, .. } | Plan::Has { plan, .. } => {
                (u64::MAX / 4).saturating_add(self.estimate(plan)? / 4)
            }
            _ => u64::MAX / 2,
        })
    }

    /// Whether so many bodies are asked faster than the index.
    fn is_costly(&self, plan: &Plan, docs: u64) -> bool {
        match plan {
            Plan::Range { .. } | Plan::Scan { .. } | Plan::Prefix(_) => {
                self.estimate(plan).is_ok_and(|postings| postings > docs * POSTINGS_A_BODY)
            }
            Plan::Units(_) | Plan::Chain { .. } => true,
            Plan::And(plans) | Plan::Or(plans) => plans.iter().any(|plan| self.is_costly(plan, docs)),
            Plan::Not(plan) | Plan::Candidates(plan) => self.is_costly(plan, docs),
            _ => false,
        }
    }
}

/// The first whole millisecond that is not before a tick: changes are made at whole milliseconds.
pub(super) fn first_ms(tick: i64) -> Instant {
    Instant::from_ms(tick.div_euclid(TICKS_A_MS) + i64::from(tick.rem_euclid(TICKS_A_MS) > 0))
}

/// The terms that a plan ranges over.
pub(super) fn range_of(plan: &Plan) -> Option<TermRange> {
    match plan {
        Plan::Prefix(prefix) => Some(TermRange::prefix(prefix)),
        Plan::Range { from, to } | Plan::Scan { from, to, .. } => {
            Some(TermRange::new(from.clone(), Some(to.clone())))
        }
        _ => None,
    }
}

/// The parameter of a term.
pub(super) fn number_of(term: &[u8]) -> ParameterNumber {
    ParameterNumber(term.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes)))
}
