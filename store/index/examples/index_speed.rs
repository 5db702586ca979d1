//! How fast the index is over blocks in memory: `index_speed [documents] [documents a commit]`.
//!
//! Documents look like a store of health records: a few terms that most share, many that one patient's
//! documents share, some that are unique.

#![expect(clippy::print_stdout, reason = "the figures are for a person at a terminal")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_index::{
    BlockId, BlockStorage, Choice, Commit, Direction, Doc, FAN_OUT, IndexStorage, Options, SegmentId,
    Snapshot, TermRange,
};

/// Blocks in a hash map, so that finding one costs next to nothing.
#[derive(Default)]
struct Blocks {
    blocks: HashMap<BlockId, Arc<[u8]>>,
    written: u64,
    described: HashMap<SegmentId, usize>,
}

impl BlockStorage for Blocks {
    type Error = Infallible;

    fn read(&self, block: BlockId) -> Result<Option<Arc<[u8]>>, Infallible> {
        Ok(self.blocks.get(&block).cloned())
    }
}

impl IndexStorage for Blocks {
    fn put_block(&mut self, block: BlockId, bytes: &[u8]) -> Result<(), Infallible> {
        self.written += 1;
        self.blocks.insert(block, bytes.into());
        Ok(())
    }

    fn remove_blocks(&mut self, blocks: RangeInclusive<BlockId>) -> Result<(), Infallible> {
        self.blocks.retain(|block, _| !blocks.contains(block));
        Ok(())
    }

    fn put_segment(&mut self, segment: SegmentId, description: &[u8]) -> Result<(), Infallible> {
        self.described.insert(segment, description.len());
        Ok(())
    }

    fn remove_segment(&mut self, segment: SegmentId) -> Result<(), Infallible> {
        self.described.remove(&segment);
        Ok(())
    }

    fn put_pending(&mut self, _: Doc, row: &[u8]) -> Result<(), Infallible> {
        black_box(row);
        Ok(())
    }

    fn clear_pending(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

fn term(parameter: u16, facet: u8, value: &[u8]) -> Vec<u8> {
    [&parameter.to_be_bytes()[..], &[facet], value].concat()
}

/// The 25 terms of a document.
fn terms(doc: Doc) -> Vec<Vec<u8>> {
    let random = |salt: u64| mix(u64::from(doc) << 8 | salt);
    let patient = doc / 100;
    let kind = random(1) % 8;
    let time = (1_500_000_000_u64 + mix(u64::from(patient)) % 200_000_000 + u64::from(doc % 100) * 86_400)
        .to_be_bytes();
    let mut terms = vec![
        term(1, 1, &mix(u64::from(doc) << 8).to_be_bytes().repeat(2)), // _id
        term(2, 1, &[u8::try_from(kind).expect("below 8")]),           // type
        term(3, 7, &[&[20], &mix(u64::from(patient)).to_be_bytes().repeat(2)[..]].concat()), // compartment
        term(100, 7, &[&[20], &mix(u64::from(patient)).to_be_bytes().repeat(2)[..]].concat()), // subject
        term(101, 7, &[&[21], &mix(u64::from(doc / 10)).to_be_bytes().repeat(2)[..]].concat()), // encounter
        term(102, 9, &time),
        term(103, 9, &random(2).to_be_bytes()),
    ];
    for salt in 3..10 {
        terms.push(term(200 + u16::try_from(salt).expect("small"), 2, &random(salt).to_be_bytes()[..2])); // codes
    }
    for salt in 10..14 {
        terms.push(term(300, 5, format!("word{:05}", random(salt) % 20_000).as_bytes())); // words
    }
    for parameter in 400..407 {
        terms.push(term(parameter, 0, &[])); // present
    }
    terms
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("a number"));
    let documents = arguments.next().unwrap_or(300_000);
    let batch = arguments.next().unwrap_or(10_000);
    let mut storage = Blocks::default();
    let mut snapshot = Snapshot::empty(Options { filtered: vec![term(1, 1, &[])] });
    let (mut appending, mut merging) = (Duration::ZERO, Duration::ZERO);
    let mut slowest = Duration::ZERO;
    for first in (1..=documents).step_by(batch as usize) {
        let mut commit = Commit::default();
        let all: Vec<_> =
            (first..first.saturating_add(batch).min(documents + 1)).map(|doc| (doc, terms(doc))).collect();
        let start = Instant::now();
        for (doc, terms) in &all {
            commit.add(*doc, None, terms).expect("documents rise");
        }
        snapshot = snapshot.append(commit, &mut storage).expect("memory");
        appending += start.elapsed();
        slowest = slowest.max(start.elapsed());
        let start = Instant::now();
        while let Some(mut merge) = snapshot.merge(Choice::Tiered(FAN_OUT), 0) {
            while !merge.step(&mut storage, 256).expect("memory") {}
            snapshot = merge.finish(&snapshot, &mut storage).expect("memory");
        }
        while snapshot.garbage_blocks() > 0 {
            snapshot = snapshot.sweep(&mut storage, 10_000).expect("memory");
        }
        merging += start.elapsed();
    }
    let per = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(documents);
    println!(
        "append {:.2} us a document, slowest commit {:.1} ms",
        per(appending),
        slowest.as_secs_f64() * 1e3
    );
    println!(
        "merge {:.2} us a document, {:.2} blocks written for each kept",
        per(merging),
        storage.written as f64 / storage.blocks.len() as f64
    );
    let bytes: usize = storage.blocks.values().map(|block| block.len()).sum();
    println!(
        "{} segments, {} blocks, {:.1} bytes a document, blocks {:.1} % full, descriptions {:.1} bytes a document",
        storage.described.len(),
        storage.blocks.len(),
        bytes as f64 / f64::from(documents),
        100.0 * bytes as f64 / (storage.blocks.len() * keepwell_index::BLOCK_BYTES_MAX) as f64,
        storage.described.values().sum::<usize>() as f64 / f64::from(documents),
    );
    let doc = |nth: u32| u32::try_from(mix(u64::from(nth)) % u64::from(documents)).expect("below") + 1;
    measure("newest of an id", 20_000, |nth| {
        snapshot.newest(&storage, &terms(doc(nth))[0], Doc::MAX).expect("memory").map_or(0, u64::from)
    });
    measure("(making terms)", 20_000, |nth| terms(doc(nth)).len() as u64);
    measure("unique term", 20_000, |nth| {
        snapshot.postings(&storage, &terms(doc(nth))[6]).expect("memory").len()
    });
    measure("patient's list", 20_000, |nth| {
        snapshot.postings(&storage, &terms(doc(nth))[3]).expect("memory").len()
    });
    measure("code", 5_000, |nth| snapshot.postings(&storage, &terms(doc(nth))[8]).expect("memory").len());
    measure("count of a code", 5_000, |nth| snapshot.count(&storage, &terms(doc(nth))[8]).expect("memory"));
    measure("an eighth of all", 50, |nth| {
        snapshot.postings(&storage, &terms(doc(nth))[1]).expect("memory").len()
    });
    measure("all", 50, |_| snapshot.postings(&storage, &term(400, 0, &[])).expect("memory").len());
    measure("prefix of 10 words", 2_000, |nth| {
        let word = format!("word{:04}", doc(nth) % 2_000);
        snapshot
            .postings_in(&storage, &TermRange::prefix(&term(300, 5, word.as_bytes())))
            .expect("memory")
            .len()
    });
    measure("prefix of 1,000 words", 50, |nth| {
        let word = format!("word{:02}", doc(nth) % 20);
        snapshot
            .postings_in(&storage, &TermRange::prefix(&term(300, 5, word.as_bytes())))
            .expect("memory")
            .len()
    });
    measure("any of 300 patients", 50, |nth| {
        let mut any: Vec<_> = (0..300).map(|more| terms(doc(nth * 300 + more))[3].clone()).collect();
        any.sort();
        snapshot.postings_of_any(&storage, &any).expect("memory").len()
    });
    for direction in [Direction::Rising, Direction::Falling] {
        measure(&format!("first 20 of a date range, {direction:?}"), 2_000, |nth| {
            let at = terms(doc(nth))[5].clone();
            let range = match direction {
                Direction::Rising => {
                    TermRange::new(at, TermRange::prefix(&term(102, 9, &[])).to().map(<[u8]>::to_vec))
                }
                Direction::Falling => TermRange::new(term(102, 9, &[]), Some(at)),
            };
            let mut scan = snapshot.scan(&storage, range, direction).expect("memory");
            let mut docs = Vec::new();
            let mut found = 0;
            while found < 20 && scan.advance().expect("memory") {
                scan.read_docs(&mut docs).expect("memory");
                found += docs.len() as u64;
            }
            found
        });
    }
    measure("scan over all dates", 3, |_| {
        let mut scan = snapshot
            .scan(&storage, TermRange::prefix(&term(102, 9, &[])), Direction::Rising)
            .expect("memory");
        let mut found = 0;
        while scan.advance().expect("memory") {
            found += scan.count();
        }
        found
    });
    measure("estimate", 20_000, |nth| snapshot.estimate(&TermRange::prefix(&terms(doc(nth))[8])).postings);

    let mut single = snapshot.clone();
    let start = Instant::now();
    let commits = 1_000;
    let all: Vec<_> = (0..commits).map(|nth| terms(documents + nth)).collect();
    let mut slowest = Duration::ZERO;
    for (nth, terms) in all.iter().enumerate() {
        let one = Instant::now();
        let doc = documents + u32::try_from(nth).expect("small") + 1;
        let mut commit = Commit::default();
        commit.add(doc, Some(doc - 1), terms).expect("documents rise");
        single = single.append(commit, &mut storage).expect("memory");
        slowest = slowest.max(one.elapsed());
    }
    println!(
        "commit of one document: {:.1} us, slowest {:.1} us",
        start.elapsed().as_secs_f64() * 1e6 / f64::from(commits),
        slowest.as_secs_f64() * 1e6
    );
    let mut view_of = single.clone();
    measure("view after a commit", 200, |nth| {
        let mut commit = Commit::default();
        let doc = view_of.last() + 1;
        commit.add(doc, None, [nth.to_be_bytes()]).expect("documents rise");
        if nth < 20 {
            view_of = view_of.append(commit, &mut storage).expect("memory");
        }
        u64::from(view_of.view(Doc::MAX).expect("newest").is_live(3))
    });
    measure("unique term, 1,000 pending", 20_000, |nth| {
        single.postings(&storage, &terms(doc(nth))[6]).expect("memory").len()
    });
}

fn measure(name: &str, rounds: u32, mut question: impl FnMut(u32) -> u64) {
    let start = Instant::now();
    let sum: u64 = (0..rounds).map(|nth| black_box(question(nth))).sum();
    let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    println!("{name:<36} {each:>10.1} us  {:>10.1} found", sum as f64 / f64::from(rounds));
}
