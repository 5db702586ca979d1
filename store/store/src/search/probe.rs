//! Asks bodies instead of the index whether they belong to a plan.

use keepwell_index::TermRange;
use keepwell_search::{Facet, HEAD_BYTES, Plan, Terms};
use roaring::RoaringBitmap;

use super::chain::referred;
use super::executor::{Executor, Scope, first_ms, number_of, range_of};
use super::record::Record;
use super::set::Set;
use crate::error::Result;

/// What one body says: whether it may belong, and whether it surely does.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) may: bool,
    pub(super) sure: bool,
}

impl Answer {
    pub(super) const fn exact(is: bool) -> Self {
        Self { may: is, sure: is }
    }
}

impl Executor<'_> {
    /// Which of these belong to a plan, body by body.
    pub(super) fn probe_all(&self, plan: &Plan, docs: &RoaringBitmap) -> Result<Set> {
        let (mut may, mut sure) = (RoaringBitmap::new(), RoaringBitmap::new());
        for doc in docs {
            let terms = self.terms_for(plan, doc)?;
            let answer = self.probe(plan, doc, &terms)?;
            if answer.may {
                may.insert(doc);
            }
            if answer.sure {
                sure.insert(doc);
            }
        }
        Ok(Set::new(may, sure))
    }

    /// The terms of a version that a plan may ask for.
    pub(super) fn terms_for(&self, plan: &Plan, doc: u32) -> Result<Terms> {
        if mentions_words(plan) { self.documents.terms_and_words(doc) } else { self.documents.terms(doc) }
    }

    pub(super) fn probe(&self, plan: &Plan, doc: u32, terms: &Terms) -> Result<Answer> {
        Ok(match plan {
            Plan::All => Answer::exact(true),
            Plan::None => Answer::exact(false),
            Plan::Term(term) => Answer::exact(terms.iter().any(|other| other == &term[..])),
            Plan::Prefix(_) | Plan::Range { .. } => {
                let range = range_of(plan).expect("these are ranges");
                Answer::exact(terms.iter().any(|term| range.contains(term)))
            }
            Plan::Scan { from, to, test } => {
                let range = TermRange::new(from.clone(), Some(to.clone()));
                Answer::exact(terms.iter().any(|term| range.contains(term) && test.accepts(term)))
            }
            Plan::Units(units) => {
                let mut any = Answer::exact(false);
                for term in terms.iter().filter(|term| term.starts_with(units.head())) {
                    if let Some(group) = units.group(term) {
                        let answer = self.probe(&units.plan(group), doc, terms)?;
                        any = Answer { may: any.may || answer.may, sure: any.sure || answer.sure };
                    }
                }
                any
            }
            Plan::LastUpdated { from, to } => {
                let time =
                    Record::find(self.documents.connection, doc)?.last_updated(self.documents.connection)?;
                Answer::exact(first_ms(*from) <= time && time < first_ms(*to))
            }
            Plan::And(plans) => {
                let mut all = Answer::exact(true);
                for plan in plans {
                    let answer = self.probe(plan, doc, terms)?;
                    all = Answer { may: all.may && answer.may, sure: all.sure && answer.sure };
                    if !all.may {
                        break;
                    }
                }
                all
            }
            Plan::Or(plans) => {
                let mut any = Answer::exact(false);
                for plan in plans {
                    let answer = self.probe(plan, doc, terms)?;
                    any = Answer { may: any.may || answer.may, sure: any.sure || answer.sure };
                    if any.sure {
                        break;
                    }
                }
                any
            }
            Plan::Not(plan) => {
                let answer = self.probe(plan, doc, terms)?;
                Answer { may: !answer.sure, sure: !answer.may }
            }
            Plan::Candidates(plan) => Answer { sure: false, ..self.probe(plan, doc, terms)? },
            Plan::Chain { parameter, target, plan } => {
                let mut found = RoaringBitmap::new();
                for term in terms.iter().filter(|term| number_of(term) == parameter.number) {
                    if let Some((kind, id)) = referred(term)
                        && kind == *target
                    {
                        found.extend(self.find(kind, &id)?);
                    }
                    found |= self.with_url(*target, term)?;
                }
                let set = self.evaluate(plan, &Scope::Within(found))?;
                Answer { may: !set.may().is_empty(), sure: !set.sure().is_empty() }
            }
            other => {
                let set = self.evaluate(other, &Scope::Within(std::iter::once(doc).collect()))?;
                Answer { may: set.may().contains(doc), sure: set.sure().contains(doc) }
            }
        })
    }
}

/// Whether a plan asks for words of the resource itself.
fn mentions_words(plan: &Plan) -> bool {
    let is_word = |term: &[u8]| term.get(HEAD_BYTES - 1) == Some(&(Facet::Word as u8));
    match plan {
        Plan::Term(term) | Plan::Prefix(term) => is_word(term),
        Plan::Range { from, .. } | Plan::Scan { from, .. } => is_word(from),
        Plan::And(plans) | Plan::Or(plans) => plans.iter().any(mentions_words),
        Plan::Not(plan) | Plan::Candidates(plan) => mentions_words(plan),
        _ => false,
    }
}
