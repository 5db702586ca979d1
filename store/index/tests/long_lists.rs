//! Lists that go on over many blocks.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;

use keepwell_index::{
    BlockId, BlockStorage, Choice, Commit, Direction, Doc, FAN_OUT, MemoryStorage, Options, RoaringBitmap,
    Snapshot, TermRange,
};

const LAST: Doc = 240_000;

/// Terms whose lists take many blocks each, between others that take little.
fn terms(doc: Doc) -> Vec<Vec<u8>> {
    let mut terms = vec![[&[5][..], &(doc / 1_000).to_be_bytes()].concat()];
    for every in [9_u8, 10, 11] {
        terms.extend((doc % u32::from(every) == 1).then(|| vec![3, every]));
    }
    // Irregular enough that bits take the least.
    terms.extend((doc.wrapping_mul(0x9e37_79b9) >> 30 == 0).then(|| vec![4]));
    terms.extend((doc == 77_777).then(|| vec![3, 10, 1]));
    terms
}

fn filled() -> (Snapshot, MemoryStorage) {
    let mut storage = MemoryStorage::default();
    let mut index = Snapshot::empty(Options::default());
    for part in 0..4 {
        let mut commit = Commit::default();
        for doc in part * (LAST / 4) + 1..=(part + 1) * (LAST / 4) {
            commit.add(doc, None, terms(doc)).expect("documents rise");
        }
        index = index.append(commit, &mut storage).expect("memory");
    }
    let merge = index.merge(Choice::Tiered(FAN_OUT), 0).expect("four segments are enough");
    let merged = merge.finish(&index, &mut storage).expect("memory");
    (merged, storage)
}

/// Counts what is read.
struct Counted<'m>(&'m MemoryStorage, Cell<usize>);

impl BlockStorage for Counted<'_> {
    type Error = Infallible;

    fn read(&self, block: BlockId) -> Result<Option<Arc<[u8]>>, Infallible> {
        self.1.set(self.1.get() + 1);
        self.0.read(block)
    }
}

#[test]
fn a_long_list_is_read_whole_counted_and_passed_over() {
    let (index, storage) = filled();
    assert_eq!(index.segments().count(), 1);
    let all: Vec<(Vec<u8>, RoaringBitmap)> = {
        let mut all = std::collections::BTreeMap::<Vec<u8>, RoaringBitmap>::new();
        for doc in 1..=LAST {
            for term in terms(doc) {
                all.entry(term).or_default().insert(doc);
            }
        }
        all.into_iter().collect()
    };
    let counted = Counted(&storage, Cell::new(0));
    for (term, docs) in &all {
        let near: RoaringBitmap = (100_000..100_500).collect();
        counted.1.set(0);
        assert_eq!(index.postings_among(&counted, term, &near).expect("memory"), docs & &near);
        assert!(counted.1.get() <= 3, "documents close together lie in one block or two");
        counted.1.set(0);
        assert_eq!(&index.postings(&counted, term).expect("memory"), docs);
        if [3, 4].contains(&term[0]) && term.len() < 3 {
            assert!(counted.1.get() > 4, "the list lies in {} blocks", counted.1.get());
            counted.1.set(0);
            assert_eq!(&index.postings(&counted, term).expect("memory"), docs);
            assert_eq!(index.postings_among(&counted, term, &near).expect("memory"), docs & &near);
            assert_eq!(counted.1.get(), 0, "it is in memory now");
        }
        counted.1.set(0);
        assert_eq!(index.count(&counted, term).expect("memory"), docs.len());
        assert_eq!(index.newest(&counted, term, Doc::MAX).expect("memory"), docs.max());
        assert_eq!(counted.1.get(), 2, "a count reads one block, and so does the last document");
        assert_eq!(
            index.newest(&counted, term, 100_000).expect("memory"),
            docs.range(..=100_000).next_back()
        );
    }
    for direction in [Direction::Rising, Direction::Falling] {
        let mut scan = index.scan(&counted, TermRange::prefix(&[3]), direction).expect("memory");
        let mut found = Vec::new();
        while scan.advance().expect("memory") {
            found.push((scan.term().to_vec(), scan.docs().expect("memory")));
        }
        if direction == Direction::Falling {
            found.reverse();
        }
        assert!(found.iter().eq(all.iter().filter(|(term, _)| term[0] == 3)));
        let mut scan = index.scan(&counted, TermRange::all(), direction).expect("memory");
        counted.1.set(0);
        let mut terms = 0;
        while scan.advance().expect("memory") {
            terms += 1;
        }
        assert_eq!(terms, all.len());
        assert!(counted.1.get() < 20, "inner blocks of long lists are passed over: {}", counted.1.get());
    }
}
