//! The order of a search: a page of the versions that were found, read from the index only as far as it goes.
//!
//! Invariants: a page begins behind the place where the one before ended, so no version comes twice and none is
//! missed; equal keys are ordered by their changes, the newest first.

use std::cmp::Ordering;

use keepwell_fhir::Instant;
use keepwell_index::TermRange;
use keepwell_search::{Sort, SortKey};
use roaring::RoaringBitmap;

use super::executor::Executor;
use super::link::Place;
use super::record::{Record, first_change_at};
use super::sort_key::{self, Part};
use crate::error::Result;

/// Versions whose keys are read from their bodies at the most, where terms would have to be scanned otherwise.
const READ_MAX: u64 = 64;

/// One version in its place.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) doc: u32,
    /// Its sort key; empty in the order of changes.
    pub(crate) keys: Vec<Part>,
}

/// Puts versions in order.
pub(crate) struct Orderer<'o, 'e, C> {
    pub(crate) executor: &'o Executor<'e>,
    pub(crate) sort: &'o [SortKey],
    /// Whether a version that may match does; asked only for those that come into the page.
    pub(crate) check: C,
    /// How many are wanted.
    pub(crate) wanted: usize,
    /// The part of the terms of the first key where the order begins, if what is before it does not count.
    pub(crate) within: Option<TermRange>,
    pub(crate) found: Vec<Placed>,
}

impl<C: FnMut(u32) -> Result<bool>> Orderer<'_, '_, C> {
    /// The first of `docs` behind a place.
    pub(crate) fn run(mut self, docs: &RoaringBitmap, after: Option<&Place>) -> Result<Vec<Placed>> {
        let after = after.map(|place| (&place.keys[..], place.doc));
        self.order(docs, &mut Vec::new(), after)?;
        Ok(self.found)
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.wanted
    }

    /// Orders versions whose first keys are equal. `after` has the further keys of the place, if its first ones are
    /// the same.
    fn order(
        &mut self,
        docs: &RoaringBitmap,
        keys: &mut Vec<Part>,
        after: Option<(&[Part], u32)>,
    ) -> Result<()> {
        let Some(key) = self.sort.get(keys.len()) else {
            let until = after.map_or(u32::MAX, |(_, doc)| doc);
            return self.take(docs.range(..until).rev(), keys);
        };
        if key.by == Sort::LastUpdated && keys.len() + 1 < self.sort.len() {
            return self.by_time(docs, key.descending, keys, after);
        }
        if key.by == Sort::LastUpdated {
            // The order of changes is the order of their times.
            let doc = after.map(|(_, doc)| doc);
            return if key.descending {
                self.take(docs.range(..doc.unwrap_or(u32::MAX)).rev(), keys)
            } else {
                self.take(docs.range(doc.map_or(0, |doc| doc.saturating_add(1))..), keys)
            };
        }
        if docs.len() <= READ_MAX {
            return self.sort_in_memory(docs, keys, after);
        }
        self.scan(docs, key, keys, after)
    }

    fn take(&mut self, docs: impl Iterator<Item = u32>, keys: &[Part]) -> Result<()> {
        for doc in docs {
            if self.is_full() {
                break;
            }
            if (self.check)(doc)? {
                self.found.push(Placed { doc, keys: keys.to_vec() });
            }
        }
        Ok(())
    }

    /// What one commit changed has one time, so that further keys decide about it.
    fn by_time(
        &mut self,
        docs: &RoaringBitmap,
        descending: bool,
        keys: &mut Vec<Part>,
        after: Option<(&[Part], u32)>,
    ) -> Result<()> {
        let connection = self.executor.documents.connection;
        let after = after.and_then(|(parts, doc)| Some((parts.split_first()?, doc)));
        let mut rest = docs.clone();
        while let Some(next) = if descending { rest.max() } else { rest.min() } {
            if self.is_full() {
                break;
            }
            let time = self.last_updated(next)?;
            let as_of = self.executor.view.as_of();
            let first = first_change_at(connection, as_of, time)?;
            let end = first_change_at(connection, as_of, Instant::from_ms(time.ms().saturating_add(1)))?;
            let mut group = RoaringBitmap::new();
            group.insert_range(first..end);
            group &= &rest;
            rest.remove_range(first..end);
            let time = sort_key::time(time);
            let mut here = None;
            if let Some(((Some(place), behind), doc)) = after {
                let order = time.cmp(place);
                if if descending { order.is_gt() } else { order.is_lt() } {
                    continue;
                }
                here = order.is_eq().then_some((behind, doc));
            }
            keys.push(Some(time));
            self.order(&group, keys, here)?;
            keys.pop();
        }
        Ok(())
    }

    fn last_updated(&self, doc: u32) -> Result<Instant> {
        let connection = self.executor.documents.connection;
        Record::find(connection, doc)?.last_updated(connection)
    }

    fn sort_in_memory(
        &mut self,
        docs: &RoaringBitmap,
        keys: &[Part],
        after: Option<(&[Part], u32)>,
    ) -> Result<()> {
        let sort = &self.sort[keys.len()..];
        let mut rows = Vec::with_capacity(usize::try_from(docs.len()).unwrap_or_default());
        for doc in docs {
            let terms = self.executor.documents.terms(doc)?;
            let mut parts = Vec::with_capacity(sort.len());
            for key in sort {
                parts.push(match key.by {
                    Sort::LastUpdated => Some(sort_key::time(self.last_updated(doc)?)),
                    _ => sort_key::part(&terms, key),
                });
            }
            rows.push((parts, doc));
        }
        let compare =
            |left: &(Vec<Part>, u32), right: (&[Part], u32)| compare(sort, (&left.0, left.1), right);
        rows.sort_by(|left, right| compare(left, (&right.0, right.1)));
        if let Some(after) = after {
            rows.retain(|row| compare(row, after).is_gt());
        }
        for (parts, doc) in rows {
            let keys: Vec<Part> = keys.iter().cloned().chain(parts).collect();
            self.take(std::iter::once(doc), &keys)?;
        }
        Ok(())
    }

    /// Reads the terms of a key in their order, until the page is full.
    fn scan(
        &mut self,
        docs: &RoaringBitmap,
        key: &SortKey,
        keys: &mut Vec<Part>,
        after: Option<(&[Part], u32)>,
    ) -> Result<()> {
        let after_key = after.and_then(|(parts, doc)| Some((parts.split_first()?, doc)));
        let mut missing = docs.clone();
        if let Some(range) = sort_key::terms_of(key) {
            let begin = match after_key {
                None => {
                    Some(self.within.clone().filter(|_| keys.is_empty()).unwrap_or_else(|| range.clone()))
                }
                Some(((Some(value), _), _)) => Some(from_value(range.clone(), value, key.descending)),
                // A place among those without a value: they come after all terms.
                Some(((None, _), _)) => None,
            };
            if let Some(begin) = begin {
                let is_behind_place = after_key.is_some();
                self.scan_terms(docs, key, begin, is_behind_place, keys, after_key)?;
                if self.is_full() {
                    return Ok(());
                }
            }
            missing -= self.executor.view.postings_in(&range)?;
        }
        let here = after_key.filter(|((part, _), _)| part.is_none());
        keys.push(None);
        self.order(&missing, keys, here.map(|((_, rest), doc)| (rest, doc)))?;
        keys.pop();
        Ok(())
    }

    /// As [`Self::scan`], for those that have a value.
    fn scan_terms(
        &mut self,
        docs: &RoaringBitmap,
        key: &SortKey,
        range: TermRange,
        is_behind_place: bool,
        keys: &mut Vec<Part>,
        after: Option<((&Part, &[Part]), u32)>,
    ) -> Result<()> {
        let view = self.executor.view.clone();
        let mut scan = view.scan(range, sort_key::direction(key))?;
        let mut seen = RoaringBitmap::new();
        let mut listed = Vec::new();
        while !self.is_full() && scan.advance()? {
            scan.read_docs(&mut listed)?;
            let new = listed.iter().copied().filter(|doc| docs.contains(*doc) && !seen.contains(*doc));
            let mut group: RoaringBitmap = new.collect();
            if group.is_empty() {
                continue;
            }
            let value = sort_key::value(scan.term()).to_vec();
            if is_behind_place {
                // Those of an earlier value were on a page before: the body tells.
                self.keep_first(&mut group, key, &value)?;
            } else {
                seen |= &group;
            }
            let here = after.filter(|((part, _), _)| part.as_deref() == Some(&value[..]));
            keys.push(Some(value));
            self.order(&group, keys, here.map(|((_, rest), doc)| (rest, doc)))?;
            keys.pop();
        }
        Ok(())
    }

    /// Keeps the versions whose first value in the order is this one.
    fn keep_first(&mut self, group: &mut RoaringBitmap, key: &SortKey, value: &[u8]) -> Result<()> {
        for doc in group.clone() {
            let terms = self.executor.documents.terms(doc)?;
            if sort_key::part(&terms, key).as_deref() != Some(value) {
                group.remove(doc);
            }
        }
        Ok(())
    }
}

/// Which of two rows comes first; of equal ones the newer.
fn compare(sort: &[SortKey], left: (&[Part], u32), right: (&[Part], u32)) -> Ordering {
    let by_change = left.1.cmp(&right.1);
    for (place, ((left, right), key)) in left.0.iter().zip(right.0).zip(sort).enumerate() {
        // The order of changes is the order of their times.
        if key.by == Sort::LastUpdated && place + 1 == sort.len() {
            return if key.descending { by_change.reverse() } else { by_change };
        }
        let order = sort_key::compare(left, right, key);
        if order.is_ne() {
            return order;
        }
    }
    by_change.reverse()
}

/// The part of a range from a value on, that value included.
fn from_value(range: TermRange, value: &[u8], descending: bool) -> TermRange {
    let term = [&range.from()[..keepwell_search::HEAD_BYTES], value].concat();
    if descending {
        range.before(&[&term[..], &[0]].concat())
    } else {
        TermRange::new(term, range.to().map(<[u8]>::to_vec))
    }
}
