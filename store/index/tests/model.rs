//! The index against a model that is nothing but sorted maps, over random histories of commits, merges,
//! amendments, rollbacks and reopenings.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_index::{
    Choice, Commit, Direction, Doc, FAN_OUT, MemoryStorage, Options, RoaringBitmap, Snapshot, TermRange,
};
use proptest::collection::vec;
use proptest::prelude::*;

type Term = Vec<u8>;

/// What is indexed, said plainly.
#[derive(Clone, Debug, Default)]
struct Model {
    terms: BTreeMap<Term, BTreeSet<Doc>>,
    superseded: BTreeMap<Doc, Doc>,
    last: Doc,
}

impl Model {
    fn is_live(&self, doc: Doc, as_of: Doc) -> bool {
        doc <= as_of && self.superseded.get(&doc).is_none_or(|by| *by > as_of)
    }

    fn live(&self, term: &[u8], as_of: Doc) -> BTreeSet<Doc> {
        let docs = self.terms.get(term).into_iter().flatten().copied();
        docs.filter(|doc| self.is_live(*doc, as_of)).collect()
    }

    /// Forgets what a merge at the horizon may forget, so that raw lists can be compared with bounds.
    fn kept(&self, horizon: Doc) -> BTreeMap<Term, BTreeSet<Doc>> {
        let mut kept = self.terms.clone();
        kept.values_mut().for_each(|docs| docs.retain(|doc| self.is_live(*doc, horizon) || *doc > horizon));
        kept.retain(|_, docs| !docs.is_empty());
        kept
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many documents, each with terms and perhaps the document before it that it supersedes.
    Commit {
        documents: Vec<Document>,
        roll_back: bool,
    },
    /// A merge up to a horizon this far behind the last document, in steps of so many blocks.
    Merge {
        behind: Doc,
        blocks: u32,
        commit_between: bool,
        fan_out: u32,
    },
    /// New terms for documents that are there.
    Amend {
        every: u32,
    },
    Flush,
    Sweep {
        blocks: u32,
    },
    Purge {
        doc: Doc,
    },
    Reopen,
}

#[derive(Clone, Debug)]
struct Document {
    terms: Vec<Term>,
    supersedes: Option<Doc>,
    repeat: u32,
}

fn term() -> impl Strategy<Value = Term> {
    prop_oneof![
        // A few that nearly all documents have, some that many share, many that hardly any do.
        4 => (0..3_u8).prop_map(|number| vec![1, number]),
        4 => (0..40_u8).prop_map(|number| vec![2, 0, number, 7]),
        3 => any::<u32>().prop_map(|number| [&[9][..], &number.to_be_bytes()].concat()),
        1 => vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()], 1..40),
        1 => vec(Just(65_u8), 900..1_024),
    ]
}

fn document() -> impl Strategy<Value = Document> {
    (
        vec(term(), 0..6),
        proptest::option::weighted(0.3, any::<Doc>()),
        prop_oneof![3 => Just(1), 1 => 1..700_u32],
    )
        .prop_map(|(terms, supersedes, repeat)| Document { terms, supersedes, repeat })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (vec(document(), 1..8), proptest::bool::weighted(0.1))
            .prop_map(|(documents, roll_back)| Step::Commit { documents, roll_back }),
        3 => (0..3_000_u32, 1..50_u32, any::<bool>(), 1..9_u32).prop_map(
            |(behind, blocks, commit_between, fan_out)| Step::Merge { behind, blocks, commit_between, fan_out }
        ),
        1 => (1..20_u32).prop_map(|every| Step::Amend { every }),
        1 => Just(Step::Flush),
        2 => (1..100_u32).prop_map(|blocks| Step::Sweep { blocks }),
        1 => any::<Doc>().prop_map(|doc| Step::Purge { doc }),
        1 => Just(Step::Reopen),
    ]
}

fn options() -> Options {
    Options { filtered: vec![vec![9]] }
}

struct Pair {
    model: Model,
    index: Snapshot,
    storage: MemoryStorage,
    amendments: u32,
}

impl Pair {
    fn new() -> Self {
        let index = Snapshot::empty(options());
        Self { model: Model::default(), index, storage: MemoryStorage::default(), amendments: 0 }
    }

    fn commit(&mut self, documents: &[Document]) {
        let mut commit = Commit::default();
        for document in documents {
            for _ in 0..document.repeat {
                let doc = self.model.last + 1;
                let supersedes = document
                    .supersedes
                    .filter(|_| doc > 1)
                    .map(|any| any % (doc - 1) + 1)
                    .filter(|doc| !self.model.superseded.contains_key(doc));
                commit.add(doc, supersedes, &document.terms).expect("a document in order");
                self.model.last = doc;
                supersedes.map(|superseded| self.model.superseded.insert(superseded, doc));
                for term in &document.terms {
                    self.model.terms.entry(term.clone()).or_default().insert(doc);
                }
            }
        }
        self.index = self.index.append(commit, &mut self.storage).expect("memory takes it");
    }

    fn merge(&mut self, choice: Choice<'_>, horizon: Doc, blocks: u32, between: bool) -> bool {
        let Some(mut merge) = self.index.merge(choice, horizon) else { return false };
        while !merge.step(&mut self.storage, blocks).expect("memory takes it") {
            if between {
                self.commit(&[Document { terms: vec![vec![1, 1]], supersedes: Some(7), repeat: 3 }]);
            }
        }
        self.index = merge.finish(&self.index, &mut self.storage).expect("memory takes it");
        true
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Commit { documents, roll_back: false } => self.commit(documents),
            Step::Commit { documents, roll_back: true } => {
                let before = (self.model.clone(), self.index.clone(), self.storage.clone());
                self.commit(documents);
                (self.model, self.index, self.storage) = before;
            }
            Step::Merge { behind, blocks, commit_between, fan_out } => {
                let horizon = self.model.last.saturating_sub(*behind);
                let choice = if *fan_out < 2 { Choice::Settled } else { Choice::Tiered(*fan_out) };
                self.merge(choice, horizon, *blocks, *commit_between);
            }
            Step::Amend { every } => {
                self.amendments += 1;
                let term = [&[0xf0][..], &self.amendments.to_be_bytes()].concat();
                let mut commit = Commit::default();
                for doc in (1..=self.model.last).filter(|doc| doc % every == 0) {
                    let mut terms = vec![vec![0xf1], term.clone()];
                    terms.retain(|term| self.model.terms.entry(term.clone()).or_default().insert(doc));
                    commit.add(doc, None, &terms).expect("documents rise");
                }
                self.index = self.index.amend(commit, &mut self.storage).expect("memory takes it");
            }
            Step::Flush => self.index = self.index.flush(&mut self.storage).expect("memory takes it"),
            Step::Sweep { blocks } => {
                self.index = self.index.sweep(&mut self.storage, *blocks).expect("memory takes it");
            }
            Step::Purge { doc } => {
                let doc = doc % (self.model.last + 1);
                if self.model.superseded.contains_key(&doc) {
                    self.index = self.index.flush(&mut self.storage).expect("memory takes it");
                    let docs = RoaringBitmap::from_iter([doc]);
                    while self.merge(Choice::Purging(&docs), self.model.last, 9, false) {}
                    for (term, found) in self.all_terms() {
                        assert!(!found.contains(doc), "a purged document is left under {term:?}");
                    }
                }
            }
            Step::Reopen => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        self.index = Snapshot::open(
            options(),
            self.storage.segments.iter().map(|(id, description)| (*id, description)),
            self.storage.pending.values(),
        )
        .expect("what was written can be read");
        let live: BTreeSet<_> = self.index.segments().collect();
        self.storage.blocks.retain(|block, _| live.contains(&block.segment()));
    }

    fn all_terms(&self) -> Vec<(Term, RoaringBitmap)> {
        let mut scan = self.index.scan(&self.storage, TermRange::all(), Direction::Rising).expect("memory");
        let mut all = Vec::new();
        while scan.advance().expect("memory") {
            all.push((scan.term().to_vec(), scan.docs().expect("memory")));
        }
        all
    }

    fn check(&self, as_of: Doc, probe: &[Term]) {
        let (model, index, storage) = (&self.model, &self.index, &self.storage);
        assert_eq!(index.last(), model.last);
        let as_of = as_of.clamp(index.horizon(), model.last.max(index.horizon()));
        let view = index.view(as_of).expect("not before the horizon");
        let dead = view.superseded();
        for doc in 0..=model.last {
            let superseded = model.superseded.get(&doc).is_some_and(|by| *by <= as_of);
            assert_eq!(dead.contains(doc), superseded, "document {doc} as of {as_of}");
            assert_eq!(view.is_live(doc), model.is_live(doc, as_of));
        }
        let kept = model.kept(index.horizon());
        let found = self.all_terms();
        let found_terms: BTreeSet<&Term> = found.iter().map(|(term, _)| term).collect();
        assert!(found.is_sorted_by(|left, right| left.0 < right.0));
        assert!(kept.keys().all(|term| found_terms.contains(term)));
        for (term, raw) in &found {
            let everything = &model.terms[term];
            assert!(raw.iter().all(|doc| everything.contains(&doc)));
            assert!(kept.get(term).into_iter().flatten().all(|doc| raw.contains(*doc)));
            assert_eq!(&index.postings(storage, term).expect("memory"), raw);
            assert_eq!(index.count(storage, term).expect("memory"), raw.len());
            let among = (0..40).map(|nth| as_of.wrapping_mul(nth) % (model.last + 2)).collect();
            assert_eq!(index.postings_among(storage, term, &among).expect("memory"), raw & among);
            let near = (as_of..as_of + 60).collect();
            assert_eq!(index.postings_among(storage, term, &near).expect("memory"), raw & near);
            let newest = raw.range(..=as_of).next_back();
            assert_eq!(index.newest(storage, term, as_of).expect("memory"), newest);
            let mut live = raw.clone();
            view.retain(&mut live);
            assert_eq!(live.iter().collect::<BTreeSet<Doc>>(), model.live(term, as_of));
        }
        let mut terms: Vec<Term> = probe.to_vec();
        terms.extend(found.iter().step_by(3).map(|(term, _)| term.clone()));
        terms.sort();
        terms.dedup();
        for pair in terms.windows(2) {
            self.check_range(&TermRange::new(&pair[0][..], Some(pair[1].clone())), &found);
        }
        for term in &terms {
            let expected = found.iter().find(|(other, _)| other == term).map(|(_, docs)| docs.clone());
            assert_eq!(index.postings(storage, term).expect("memory"), expected.unwrap_or_default());
        }
        let any: RoaringBitmap = terms
            .iter()
            .map(|term| index.postings(storage, term).expect("memory"))
            .fold(RoaringBitmap::new(), |all, docs| all | docs);
        assert_eq!(index.postings_of_any(storage, &terms).expect("memory"), any);
        self.check_range(&TermRange::all(), &found);
        self.check_range(&TermRange::prefix(&[9]), &found);
        self.check_range(&TermRange::prefix(&[2, 0]), &found);
    }

    fn check_range(&self, range: &TermRange, all: &[(Term, RoaringBitmap)]) {
        let expected: Vec<&(Term, RoaringBitmap)> =
            all.iter().filter(|(term, _)| range.contains(term)).collect();
        let union = expected.iter().fold(RoaringBitmap::new(), |union, (_, docs)| union | docs);
        assert_eq!(self.index.postings_in(&self.storage, range).expect("memory"), union);
        for direction in [Direction::Rising, Direction::Falling] {
            let mut scan = self.index.scan(&self.storage, range.clone(), direction).expect("memory");
            let mut docs = Vec::new();
            let mut found = Vec::new();
            while scan.advance().expect("memory") {
                scan.read_docs(&mut docs).expect("memory");
                assert_eq!(scan.count(), docs.len() as u64);
                found.push((scan.term().to_vec(), docs.iter().copied().collect::<RoaringBitmap>()));
            }
            if direction == Direction::Falling {
                found.reverse();
            }
            assert!(found.iter().eq(expected.iter().copied()), "{direction:?} scan of {range:?}");
        }
        if expected.is_empty() {
            return;
        }
        let estimate = self.index.estimate(range);
        assert!(estimate.terms > 0 && estimate.postings > 0, "what is there is estimated to be there");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_index_is_its_model(
        steps in vec(step(), 1..40),
        as_of in any::<Doc>(),
        probe in vec(term(), 0..8),
    ) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
        }
        let as_of = as_of % (pair.model.last + 1);
        pair.check(as_of, &probe);
        pair.reopen();
        pair.check(as_of, &probe);
    }
}

/// Blocks of a segment without readers go, those that a snapshot still names stay.
#[test]
fn a_reader_keeps_the_blocks_of_its_snapshot() {
    let mut pair = Pair::new();
    let document = |number: u32| Document {
        terms: vec![vec![1], number.to_be_bytes().to_vec()],
        supersedes: None,
        repeat: 1_024,
    };
    for number in 0..4 {
        pair.commit(&[document(number)]);
    }
    let reader = pair.index.clone();
    let expected = reader.postings(&pair.storage, &[1]).expect("memory");
    assert!(pair.merge(Choice::Tiered(FAN_OUT), 0, 3, false));
    for number in 0..4 {
        pair.commit(&[document(number)]);
        assert_eq!(reader.postings(&pair.storage, &[1]).expect("the blocks are there"), expected);
    }
    assert!(reader.segments().all(|id| pair.storage.blocks.contains_key(&id.block(0))));
    let gone: Vec<_> = reader.segments().collect();
    assert_eq!(pair.index.garbage_blocks(), 0, "the snapshot before the merge is still there");
    drop(reader);
    assert!(pair.index.garbage_blocks() > 0);
    while pair.index.garbage_blocks() > 0 {
        pair.index = pair.index.sweep(&mut pair.storage, 3).expect("memory");
    }
    assert!(gone.iter().all(|id| !pair.storage.blocks.contains_key(&id.block(0))));
}

/// A host at rest is left with few segments, of which each has twice as much as all after it.
#[test]
fn settling_ends_with_few_segments() {
    let mut pair = Pair::new();
    let document = |number: u32, repeat| Document {
        terms: (0..100_u32).map(|term| (number * 100 + term).to_be_bytes().to_vec()).collect(),
        supersedes: None,
        repeat,
    };
    let mut merged = 0;
    for number in 0..24 {
        pair.commit(&[document(number, 1_024)]);
        merged += usize::from(number % 8 == 7 && pair.merge(Choice::Settled, 0, 3, true));
    }
    assert!(merged >= 2, "{merged} merges");
    while pair.merge(Choice::Settled, 0, 3, false) {}
    assert!(pair.index.segments().count() <= 2, "{:?}", pair.index.segments().collect::<Vec<_>>());
    pair.check(pair.model.last, &[]);
}
