//! Unions: the documents of many terms, gathered part by part without bringing the terms into one order.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::block::Block;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::gather::Gather;
use crate::postings::Sink;
use crate::range::{Direction, TermRange};
use crate::segment::Segment;
use crate::state::State;
use crate::storage::BlockStorage;

/// The documents that have any term of the range.
pub(crate) fn of_range<S: BlockStorage>(
    state: &State,
    storage: &S,
    range: &TermRange,
) -> Result<RoaringBitmap, Error<S::Error>> {
    let mut gather = Gather::new(0, state.last);
    let runs = state.runs.iter().filter_map(|run| Cursor::in_run(run, range, Direction::Rising));
    for mut cursor in runs {
        gather_range(&mut gather, storage, &mut cursor, range)?;
    }
    for segment in state.all_segments() {
        if let Some(mut cursor) = Cursor::in_segment(storage, segment, range, Direction::Rising)? {
            gather_range(&mut gather, storage, &mut cursor, range)?;
        }
    }
    Ok(gather.finish())
}

fn gather_range<S: BlockStorage>(
    gather: &mut Gather,
    storage: &S,
    cursor: &mut Cursor,
    range: &TermRange,
) -> Result<(), Error<S::Error>> {
    loop {
        cursor.collect(storage, gather)?;
        if !cursor.step(storage, Direction::Rising)? || !range.contains(cursor.term()) {
            return Ok(());
        }
    }
}

/// The documents that have any of the terms. Where terms rise, each block is read once.
pub(crate) fn of_terms<S: BlockStorage, T: AsRef<[u8]>>(
    state: &State,
    storage: &S,
    terms: &[T],
) -> Result<RoaringBitmap, Error<S::Error>> {
    let mut gather = Gather::new(0, state.last);
    for run in &state.runs {
        terms.iter().try_for_each(|term| gather.docs(run.find(term.as_ref())))?;
    }
    for segment in state.all_segments() {
        let mut cursor = Lookup::new(segment);
        for term in terms {
            cursor.gather(storage, term.as_ref(), &mut gather)?;
        }
    }
    Ok(gather.finish())
}

/// Looks terms up in a segment and keeps the block that was read last.
struct Lookup<'a> {
    segment: &'a Segment,
    block: Option<(u32, Arc<[u8]>)>,
}

impl<'a> Lookup<'a> {
    const fn new(segment: &'a Segment) -> Self {
        Self { segment, block: None }
    }

    fn gather<S: BlockStorage>(
        &mut self,
        storage: &S,
        term: &[u8],
        gather: &mut Gather,
    ) -> Result<(), Error<S::Error>> {
        let Some(number) = self.segment.locate(term) else { return Ok(()) };
        let bytes = match &self.block {
            Some((known, bytes)) if *known == number => bytes.clone(),
            _ => self.segment.read(storage, number)?,
        };
        let block = Block::new(&bytes)?;
        if let Some((_, at)) = block.find(term, self.segment.bounds)? {
            self.segment.collect(storage, number, block, at, gather)?;
        }
        self.block = Some((number, bytes));
        Ok(())
    }
}
