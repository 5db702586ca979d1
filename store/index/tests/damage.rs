//! Damaged blocks, descriptions and rows are refused, or read as something else; they never panic, and they never
//! take memory without bound.

use std::sync::OnceLock;

use keepwell_index::{
    Choice, Commit, Corrupt, Direction, Doc, Error, MemoryStorage, Options, Snapshot, TermRange,
};
use proptest::prelude::*;

const LAST: Doc = 5_000;

fn options() -> Options {
    Options { filtered: vec![vec![9]] }
}

/// Two segments, an amendment and a pending row, with lists of every shape.
fn sound() -> &'static MemoryStorage {
    static SOUND: OnceLock<MemoryStorage> = OnceLock::new();
    SOUND.get_or_init(|| {
        let mut storage = MemoryStorage::default();
        let mut index = Snapshot::empty(options());
        for part in [1..=2_500, 2_501..=4_900, 4_901..=LAST] {
            let mut commit = Commit::default();
            for doc in part {
                let mut terms = vec![vec![1], [&[9][..], &doc.to_be_bytes()].concat()];
                terms.extend((doc % 2 == 0).then(|| vec![2]));
                terms.extend((doc % 64 < 9).then(|| vec![3]));
                terms.push([&[4][..], &(doc % 300).to_be_bytes()].concat());
                commit.add(doc, (doc % 7 == 0).then(|| doc - 3), terms).expect("documents rise");
            }
            index = index.append(commit, &mut storage).expect("memory");
        }
        let mut commit = Commit::default();
        (1..LAST).step_by(3).for_each(|doc| commit.add(doc, None, [[5_u8]]).expect("documents rise"));
        index.amend(commit, &mut storage).expect("memory");
        storage
    })
}

fn open(storage: &MemoryStorage) -> Result<Snapshot, Corrupt> {
    Snapshot::open(
        options(),
        storage.segments.iter().map(|(id, bytes)| (*id, bytes)),
        storage.pending.values(),
    )
}

/// Asks everything there is to ask.
fn ask(storage: &mut MemoryStorage) -> Result<(), Error<std::convert::Infallible>> {
    let index = open(storage)?;
    if let Ok(view) = index.view(index.last() / 2) {
        view.superseded();
        view.retain(&mut index.postings(storage, &[1])?);
    }
    for term in [&[1][..], &[2], &[3], &[5], &[9, 0, 0, 7, 7], &[4, 0, 0, 0, 9]] {
        index.postings(storage, term)?;
        index.count(storage, term)?;
        index.postings_among(storage, term, &(1_000..1_100).collect())?;
        index.newest(storage, term, LAST / 2)?;
        index.estimate(&TermRange::prefix(term));
    }
    index.postings_in(storage, &TermRange::all())?;
    index.postings_of_any(storage, &[[2], [3], [5]])?;
    for direction in [Direction::Rising, Direction::Falling] {
        let mut scan = index.scan(storage, TermRange::all(), direction)?;
        while scan.advance()? {
            scan.docs()?;
        }
    }
    let all = (1..=index.last().min(LAST)).collect();
    if let Some(merge) = index.merge(Choice::Purging(&all), index.last() / 2) {
        merge.finish(&index, storage)?;
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Damage {
    Flip { at: usize, bit: u8 },
    Cut { at: usize },
    Noise(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        1 => any::<usize>().prop_map(|at| Damage::Cut { at }),
        1 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(Damage::Noise),
    ]
}

fn apply(damage: &[Damage], bytes: &mut Vec<u8>) {
    for damage in damage {
        match damage {
            Damage::Flip { at, bit } if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
            }
            Damage::Flip { .. } => {}
            Damage::Cut { at } => bytes.truncate(at % (bytes.len() + 1)),
            Damage::Noise(noise) => bytes.clone_from(noise),
        }
    }
}

#[test]
fn a_sound_index_answers() {
    assert!(ask(&mut sound().clone()).is_ok());
    assert!(sound().blocks.len() > 10 && sound().segments.len() == 3 && sound().pending.len() == 1);
}

#[test]
fn a_missing_block_is_damage() {
    let mut storage = sound().clone();
    storage.blocks.pop_first();
    assert!(matches!(ask(&mut storage), Err(Error::Corrupt(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics(
        which in any::<proptest::sample::Index>(),
        damage in proptest::collection::vec(damage(), 1..4),
    ) {
        let mut storage = sound().clone();
        let (blocks, segments) = (storage.blocks.len(), storage.segments.len());
        // Descriptions and rows are few: they are damaged as often as all blocks together.
        let at = which.index(2 * blocks);
        if at < blocks {
            let block = storage.blocks.values_mut().nth(at).expect("counted");
            let mut bytes = block.to_vec();
            apply(&damage, &mut bytes);
            *block = bytes.into();
        } else if at % 4 < segments {
            apply(&damage, storage.segments.values_mut().nth(at % 4).expect("counted"));
        } else {
            apply(&damage, storage.pending.values_mut().next().expect("there is one"));
        }
        let _ = ask(&mut storage);
    }
}
