//! A page without the whole set: the order of the search is gone through from its place on, and each version is asked
//! whether it belongs, until the page is full.
//!
//! Where much of what is searched matches, twenty matches are near, however many there are in all; a range over half
//! of the dates or a chain to half of the patients need not be read to its end. Where too few match after all, the walk
//! is given up, and the set is made.
//!
//! Invariant: a walk finds the page that the whole set would give.

use std::cell::Cell;

use keepwell_fhir::ResourceType;
use keepwell_index::TermRange;
use keepwell_search::{Facet, HEAD_BYTES, Parameter, Plan, Sort, SortKey, Term, Terms};
use roaring::RoaringBitmap;

use super::executor::{Executor, Scope, range_of};
use super::link::Place;
use super::order::{Orderer, Placed};
use super::probe::Answer;
use super::set::Set;
use super::sort_key;
use crate::error::{Error, Result};

/// What things take, in hundredths of a microsecond: measured, and only good for comparing two ways.
mod cost {
    /// To ask one body.
    pub(super) const BODY: f64 = 1_500.0;
    /// A document of a list that is read as it is.
    pub(super) const LISTED: f64 = 0.2;
    /// A document of a range of terms.
    pub(super) const RANGED: f64 = 1.0;
    /// To follow one resource to those that refer to it.
    pub(super) const FOLLOWED: f64 = 500.0;
    /// To follow a reference.
    pub(super) const REFERRED: f64 = 250.0;
}

/// A part of a search that costs less is made whole before the walk, to have fewer to ask.
const WHOLE_MAX: f64 = 10_000.0;

/// What a chain leads to is made whole if it costs less, to know how much it is.
const INNER_MAX: f64 = 20_000.0;

/// Fewer than this are not worth a walk.
const SEARCHED_MIN: u64 = 1_000;

/// Versions that are asked for an estimate.
const SAMPLED: u64 = 200;

/// So many of them have to match, or they say too little.
const FOUND_MIN: u64 = 4;

/// How much better a walk must look before it is tried.
const ADVANTAGE: f64 = 2.0;

/// What is known of a search without making it.
#[derive(Clone, Copy, Debug)]
struct Outlook {
    /// What it costs to make the whole set.
    cost: f64,
    /// Which part of all resources of the type belongs to it.
    share: f64,
}

/// One of several conditions.
struct Part<'p> {
    plan: &'p Plan,
    /// For a reverse chain: what refers.
    sources: Option<Set>,
    /// Known to fulfil it, and known not to.
    yes: RoaringBitmap,
    no: RoaringBitmap,
}

struct Walk<'w, 'e> {
    executor: &'w Executor<'e>,
    kind: ResourceType,
    parts: Vec<Part<'w>>,
    /// Bodies that may still be asked.
    left: u64,
}

/// A search of one type.
pub(super) struct Asked<'a> {
    pub(super) plan: &'a Plan,
    pub(super) kind: ResourceType,
    pub(super) sort: &'a [SortKey],
    pub(super) after: Option<&'a Place>,
    pub(super) wanted: usize,
}

/// How a walk would go.
struct Outset<'a> {
    /// The conditions that are cheap, each with the share of resources that fulfils it.
    whole: Vec<(f64, &'a Plan)>,
    /// Those that bodies are asked about.
    parts: Vec<Part<'a>>,
    /// Where the order begins.
    within: Option<TermRange>,
    /// Bodies that may be asked.
    left: u64,
}

/// Whether a walk looks better than making the whole set.
pub(super) fn is_promising(executor: &Executor<'_>, asked: &Asked<'_>) -> Result<bool> {
    Ok(outset(executor, asked)?.is_some())
}

fn outset<'a>(executor: &Executor<'_>, asked: &Asked<'a>) -> Result<Option<Outset<'a>>> {
    let plans = parts_of(asked.plan);
    // Most searches read little, and are not kept waiting by what follows.
    if !executor.may_be_costly(asked.plan) {
        return Ok(None);
    }
    let Some(within) = begins_with_matches(plans, asked.sort.first()) else { return Ok(None) };
    let of_type = executor.view.count(Term::of_type(asked.kind).bytes())?.max(1);
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    let mut all = Outlook { cost: 0.0, share: 1.0 };
    for plan in plans {
        let outlook = executor.outlook(plan, of_type)?;
        if outlook.cost <= WHOLE_MAX {
            whole.push((outlook.share, plan));
        } else {
            all = Outlook { cost: all.cost + outlook.cost, share: all.share * outlook.share };
            parts.push(Part::new(plan));
        }
    }
    let expected = asked.wanted as f64 / all.share.max(1e-9) * cost::BODY;
    let searched = whole.iter().fold(of_type as f64, |left, (share, _)| left * share);
    if parts.is_empty() || searched < SEARCHED_MIN as f64 || expected * ADVANTAGE > all.cost {
        return Ok(None);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a positive number of bodies"
    )]
    let left = (all.cost / cost::BODY) as u64;
    Ok(Some(Outset { whole, parts, within, left }))
}

/// The page, if a walk finds it; `confirm` says of a version that may match whether it does.
pub(super) fn walk(
    executor: &Executor<'_>,
    asked: &Asked<'_>,
    confirm: impl Fn(u32) -> Result<bool>,
) -> Result<Option<Vec<Placed>>> {
    let Some(Outset { whole, mut parts, within, left }) = outset(executor, asked)? else { return Ok(None) };
    let (docs, is_exact) = whole_set(executor, asked.kind, whole)?;
    if docs.len() < SEARCHED_MIN {
        return Ok(None);
    }
    parts.iter_mut().try_for_each(|part| part.find_sources(executor))?;
    let mut walk = Walk { executor, kind: asked.kind, parts, left };
    let has_given_up = Cell::new(false);
    let check = |doc| match walk.asks(doc)? {
        Some(answer) => Ok(is_exact && answer.sure || answer.may && confirm(doc)?),
        None => {
            has_given_up.set(true);
            Err(super::SearchError::TooCostly("a walk was given up").into())
        }
    };
    let (sort, wanted) = (asked.sort, asked.wanted);
    let orderer = Orderer { executor, sort, check, wanted, within, found: Vec::new() };
    match orderer.run(&docs, asked.after) {
        Err(_) if has_given_up.get() => Ok(None),
        found => found.map(Some),
    }
}

/// About how many resources of a type a plan finds: some from all over are asked. Where hardly any of them
/// belongs, the counts of terms say more. `confirm` says of a version that may match whether it does.
pub(super) fn expected(
    executor: &Executor<'_>,
    plan: &Plan,
    kind: ResourceType,
    confirm: impl Fn(u32) -> Result<bool>,
) -> Result<u64> {
    let all = executor.all(&Scope::Types(vec![kind]))?;
    let mut parts: Vec<Part<'_>> = parts_of(plan).iter().map(Part::new).collect();
    parts.iter_mut().try_for_each(|part| part.find_sources(executor))?;
    let mut walk = Walk { executor, kind, parts, left: u64::MAX };
    let sampled = all.len().min(SAMPLED);
    let mut found = 0;
    for nth in 0..sampled {
        // By the golden ratio: spread evenly, and in step with no pattern of the data.
        let spread = u128::from(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = u32::try_from((spread * u128::from(all.len())) >> 64).unwrap_or(u32::MAX);
        let Some(doc) = all.select(place) else { continue };
        let answer = walk.asks(doc)?.unwrap_or(Answer::exact(false));
        found += u64::from(answer.sure || answer.may && confirm(doc)?);
    }
    let of_all = |found: u64| (found * all.len()).div_ceil(sampled.max(1));
    if found >= FOUND_MIN {
        return Ok(of_all(found));
    }
    let share = executor.outlook(plan, all.len().max(1))?.share;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to all")]
    let by_counts = (share * all.len() as f64).round() as u64;
    Ok(by_counts.clamp(of_all(found) / 2, of_all(found + FOUND_MIN)))
}

/// The conditions that all have to hold.
fn parts_of(plan: &Plan) -> &[Plan] {
    match plan {
        Plan::And(plans) => plans,
        plan => std::slice::from_ref(plan),
    }
}

/// Of the type, what may fulfil the conditions that are cheap, and whether all of it does.
fn whole_set(
    executor: &Executor<'_>,
    kind: ResourceType,
    mut plans: Vec<(f64, &Plan)>,
) -> Result<(RoaringBitmap, bool)> {
    plans.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut scope = Scope::Types(vec![kind]);
    let mut is_exact = true;
    for (_, plan) in plans {
        let set = executor.evaluate(plan, &scope)?;
        is_exact &= set.is_exact();
        scope = Scope::Within(set.may().clone());
    }
    Ok((executor.all(&scope)?, is_exact))
}

impl Walk<'_, '_> {
    /// Whether a version belongs; none when enough were asked.
    fn asks(&mut self, doc: u32) -> Result<Option<Answer>> {
        if self.parts.iter().any(|part| part.no.contains(doc)) {
            return Ok(Some(Answer::exact(false)));
        }
        let mut all = Answer::exact(true);
        for part in self.parts.iter_mut().filter(|part| !part.yes.contains(doc)) {
            let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
            self.left = left;
            let answer = part.asks(self.executor, self.kind, doc)?;
            all = Answer { may: all.may && answer.may, sure: all.sure && answer.sure };
            if !all.may {
                break;
            }
        }
        Ok(Some(all))
    }
}

impl<'p> Part<'p> {
    fn new(plan: &'p Plan) -> Self {
        Self { plan, sources: None, yes: RoaringBitmap::new(), no: RoaringBitmap::new() }
    }

    fn find_sources(&mut self, executor: &Executor<'_>) -> Result<()> {
        if let Plan::Has { source, plan, .. } = self.plan {
            self.sources = Some(executor.evaluate(plan, &Scope::Types(vec![*source]))?);
        }
        Ok(())
    }

    fn asks(&mut self, executor: &Executor<'_>, kind: ResourceType, doc: u32) -> Result<Answer> {
        if let (Plan::Has { parameter, .. }, Some(sources)) = (self.plan, &self.sources) {
            let scope = Scope::Within(std::iter::once(doc).collect());
            let is_referred =
                |set| Ok::<_, Error>(!executor.referred_among(parameter, set, &scope)?.is_empty());
            let may = is_referred(sources.may())?;
            return Ok(Answer { may, sure: may && (sources.is_exact() || is_referred(sources.sure())?) });
        }
        let terms = executor.terms_for(self.plan, doc)?;
        let answer = executor.probe(self.plan, doc, &terms)?;
        if answer.may == answer.sure
            && let Some(group) = executor.group_of(self.plan, kind, &terms)?
        {
            if answer.sure {
                self.yes |= group;
            } else {
                self.no |= group;
            }
        }
        Ok(answer)
    }
}

impl Executor<'_> {
    /// What refers to the same resource as a version by the parameter of a chain, and so has the same answer.
    fn group_of(&self, plan: &Plan, kind: ResourceType, terms: &Terms) -> Result<Option<RoaringBitmap>> {
        let Some(parameter) = chained(plan).filter(|parameter| !parameter.repeats) else { return Ok(None) };
        if self
            .documents
            .parameters
            .get(kind, &parameter.code)
            .is_none_or(|own| own.number != parameter.number)
        {
            return Ok(None);
        }
        let references = Term::head(parameter.number, Facet::Reference);
        let present = Term::present(parameter.number);
        let own = |term: &&[u8]| Term::parameter(term) == parameter.number && *term != present.bytes();
        let mut values = terms.iter().filter(own);
        match (values.next(), values.next()) {
            (Some(term), None) if term.starts_with(references.bytes()) => Ok(Some(self.view.postings(term)?)),
            _ => Ok(None),
        }
    }

    /// Whether making the set of a plan may take long, as far as is known without reading anything.
    fn may_be_costly(&self, plan: &Plan) -> bool {
        let postings = |range: &TermRange| self.view.estimate(range).postings as f64;
        match plan {
            Plan::Chain { .. } | Plan::Has { .. } => true,
            Plan::Term(term) => postings(&TermRange::prefix(term)) * cost::LISTED > WHOLE_MAX,
            Plan::Prefix(_) | Plan::Range { .. } | Plan::Scan { .. } => {
                range_of(plan).is_some_and(|range| postings(&range) * cost::RANGED > WHOLE_MAX)
            }
            Plan::And(plans) | Plan::Or(plans) => plans.iter().any(|plan| self.may_be_costly(plan)),
            Plan::Not(plan) | Plan::Candidates(plan) => self.may_be_costly(plan),
            _ => false,
        }
    }

    /// What it would cost to make the set of a plan, and how large it would be, of so many resources.
    fn outlook(&self, plan: &Plan, all: u64) -> Result<Outlook> {
        let part = |found: u64| (found as f64 / all as f64).min(1.0);
        Ok(match plan {
            Plan::All | Plan::LastUpdated { .. } => Outlook { cost: 0.0, share: 1.0 },
            Plan::None => Outlook { cost: 0.0, share: 0.0 },
            Plan::Term(term) => {
                let found = self.view.count(term)?;
                Outlook { cost: found as f64 * cost::LISTED, share: part(found) }
            }
            Plan::Prefix(_) | Plan::Range { .. } | Plan::Scan { .. } => {
                let found = range_of(plan).map_or(0, |range| self.view.estimate(&range).postings);
                Outlook { cost: found as f64 * cost::RANGED, share: part(found) }
            }
            Plan::And(plans) => {
                let mut outlooks =
                    plans.iter().map(|plan| self.outlook(plan, all)).collect::<Result<Vec<_>>>()?;
                outlooks.sort_by(|left, right| left.share.total_cmp(&right.share));
                let mut found = Outlook { cost: 0.0, share: 1.0 };
                for outlook in outlooks {
                    let one_by_one = found.share * all as f64 * cost::BODY;
                    found.cost += outlook.cost.min(one_by_one);
                    found.share *= outlook.share;
                }
                found
            }
            Plan::Or(plans) => {
                let mut found = Outlook { cost: 0.0, share: 0.0 };
                for plan in plans {
                    let outlook = self.outlook(plan, all)?;
                    found.cost += outlook.cost;
                    found.share = (found.share + outlook.share).min(1.0);
                }
                found
            }
            Plan::Not(plan) => {
                let Outlook { cost, share } = self.outlook(plan, all)?;
                Outlook { cost, share: 1.0 - share }
            }
            Plan::Candidates(plan) => self.outlook(plan, all)?,
            Plan::Chain { target, plan, .. } => {
                let of_target = self.view.count(Term::of_type(*target).bytes())?.max(1);
                let Outlook { cost, share } = self.outlook(plan, of_target)?;
                // What few blocks hold is not known well enough, and soon made.
                let share = if cost <= INNER_MAX {
                    self.evaluate(plan, &Scope::Types(vec![*target]))?.may().len() as f64 / of_target as f64
                } else {
                    share
                };
                Outlook { cost: cost + share * of_target as f64 * cost::FOLLOWED, share }
            }
            Plan::Has { source, plan, .. } => {
                let of_source = self.view.count(Term::of_type(*source).bytes())?.max(1);
                let Outlook { cost, share } = self.outlook(plan, of_source)?;
                let found = share * of_source as f64;
                // Several refer to the same one.
                let share = (found / all as f64 / 2.0).min(0.5);
                Outlook { cost: cost + found * cost::REFERRED, share }
            }
            // How many of the terms count is not known.
            _ => Outlook { cost: 0.0, share: 1.0 },
        })
    }
}

/// The one parameter that a plan follows references by.
fn chained(plan: &Plan) -> Option<&Parameter> {
    match plan {
        Plan::Chain { parameter, .. } => Some(parameter),
        Plan::Or(plans) => {
            let mut chains = plans.iter().filter_map(|plan| match plan {
                Plan::Chain { parameter, .. } => Some(parameter),
                _ => None,
            });
            let parameter = chains.next()?;
            let present = Term::present(parameter.number);
            let is_contained = |plan: &Plan| match plan {
                Plan::And(plans) => {
                    matches!(&plans[..], [Plan::Term(term), Plan::Candidates(_)] if term == present.bytes())
                }
                Plan::Chain { parameter: other, .. } => other.number == parameter.number,
                _ => false,
            };
            plans.iter().all(is_contained).then_some(parameter)
        }
        _ => None,
    }
}

/// Where in the order of the first key a walk begins: `Some(None)` at its beginning; `None` where what is there does
/// not match.
#[expect(clippy::option_option, reason = "no walk, a walk through everything, and one through a part")]
fn begins_with_matches(plans: &[Plan], key: Option<&SortKey>) -> Option<Option<TermRange>> {
    let Some((key, range)) = key.and_then(|key| Some((key, sort_key::terms_of(key)?))) else {
        return Some(None);
    };
    let sorted = Sorted { range: &range, descending: key.descending };
    let mut first: Option<Reach> = None;
    for reach in plans.iter().filter_map(|plan| sorted.reach(plan)) {
        first = Some(match first {
            Some(first) if !sorted.is_before(&reach, &first) => first,
            _ => reach,
        });
    }
    let Some(reach) = first else { return Some(None) };
    if !reach.is_met {
        return None;
    }
    let Some(edge) = reach.edge else { return Some(None) };
    // A version that is placed by another of its values would be met where it does not belong.
    let is_single = matches!(&key.by, Sort::Parameter(parameter) if !parameter.repeats);
    let part =
        if key.descending { range.before(&edge) } else { TermRange::new(edge, range.to().map(Vec::from)) };
    is_single.then_some(Some(part))
}

/// How far a plan reaches towards the beginning of an order.
struct Reach {
    /// The bound on that side; none for the end of all terms of the key.
    edge: Option<Vec<u8>>,
    /// Whether what is found there matches.
    is_met: bool,
}

struct Sorted<'r> {
    range: &'r TermRange,
    descending: bool,
}

impl Sorted<'_> {
    /// None for a plan that has nothing to do with the key.
    fn reach(&self, plan: &Plan) -> Option<Reach> {
        match plan {
            Plan::Prefix(_) | Plan::Range { .. } | Plan::Scan { .. } => {
                let range = range_of(plan)?;
                let head = |range: &TermRange, bytes: usize| range.from().get(..bytes).map(<[u8]>::to_vec);
                if head(&range, HEAD_BYTES) != head(self.range, HEAD_BYTES) {
                    // Another way to find the same parameter.
                    let is_same = head(&range, HEAD_BYTES - 1) == head(self.range, HEAD_BYTES - 1);
                    return is_same.then_some(Reach { edge: None, is_met: false });
                }
                let edge = |range: &TermRange| {
                    if self.descending { range.to().map(<[u8]>::to_vec) } else { Some(range.from().to_vec()) }
                };
                let (edge, end) = (edge(&range), edge(self.range));
                Some(Reach { edge: edge.filter(|edge| Some(edge) != end.as_ref()), is_met: true })
            }
            Plan::Or(plans) => {
                let mut last: Option<Reach> = None;
                for plan in plans {
                    let reach = self.reach(plan)?;
                    last = Some(match last {
                        Some(last) if self.is_before(&reach, &last) => last,
                        Some(last) if !self.is_before(&last, &reach) => {
                            Reach { is_met: last.is_met || reach.is_met, ..last }
                        }
                        _ => reach,
                    });
                }
                last
            }
            Plan::Candidates(plan) => self.reach(plan),
            _ => None,
        }
    }

    /// Whether one reaches less far than another towards the beginning of the order.
    fn is_before(&self, one: &Reach, other: &Reach) -> bool {
        match (&one.edge, &other.edge) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(one), Some(other)) if self.descending => one < other,
            (Some(one), Some(other)) => one > other,
        }
    }
}
