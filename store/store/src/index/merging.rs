//! Merging: how much of it a transaction does beside its own work, and which segments.
//!
//! Invariant: no commit waits for more than a bounded number of blocks, and all merges keep up with what is written.

use keepwell_index::{BULK_FAN_OUT, Choice, FAN_OUT, Merge, Snapshot};

use super::tables::Tables;
use crate::error::Result;

/// Blocks that a commit merges beside what its own documents cause. A thousand single commits make a segment of some 30
/// blocks, which is merged three or four times in its life: this is many times that, and little to wait for.
const MERGED_BLOCKS_MIN: u32 = 2;

/// Who commits so many documents at once is going to write many more, ...
const BULK_DOCUMENTS: u32 = 1_000;

/// Documents of an index for which a commit merges one block.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    documents_a_block: u32,
    /// ... and merges less often, evenly: an import is as fast as its slower half, preparing or writing, and one commit
    /// with much to merge makes both wait.
    in_bulk: u32,
}

impl Pace {
    /// Some 25 documents fill a block of the search index, which is merged up to six times among millions: all merges
    /// keep up with this.
    pub(super) const SEARCH: Self = Self { documents_a_block: 4, in_bulk: 8 };
    /// Some 200 rows fill a block of the index of ids, which is merged four times among millions.
    pub(super) const IDENTITY: Self = Self { documents_a_block: 16, in_bulk: 16 };
}

/// Blocks that are merged at once where nobody waits: 4 MB.
const BLOCKS_AT_REST: u32 = 1_000;

/// Blocks that are removed at most for each that may be merged, so that removing keeps up.
const SWEPT_FOR_MERGED: u32 = 2;

/// How much a transaction merges.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Blocks that are written at most.
    blocks: u32,
    choice: Choice<'static>,
}

impl Step {
    /// After a commit of so many documents.
    pub(super) fn after(documents: u32, pace: Pace) -> Self {
        let is_bulk = documents >= BULK_DOCUMENTS;
        let (documents_a_block, fan_out) =
            if is_bulk { (pace.in_bulk, BULK_FAN_OUT) } else { (pace.documents_a_block, FAN_OUT) };
        Self { blocks: MERGED_BLOCKS_MIN + documents / documents_a_block, choice: Choice::Tiered(fan_out) }
    }

    /// While an index is built, with nobody waiting.
    pub(super) const fn building(blocks: u32) -> Self {
        Self { blocks, choice: Choice::Tiered(BULK_FAN_OUT) }
    }

    /// While nothing is written.
    pub(super) const fn settling() -> Self {
        Self { blocks: BLOCKS_AT_REST, choice: Choice::Settled }
    }
}

/// Goes on with the merge under way, or begins the next one: until it is done, or so many blocks are written. `horizon`
/// says what was superseded long enough to be left out.
pub(super) fn merge_some(
    snapshot: Snapshot,
    tables: &mut Tables<'_>,
    merge: &mut Option<Merge>,
    step: Step,
    horizon: impl FnOnce(&Snapshot) -> Result<u32>,
) -> Result<Snapshot> {
    let Step { blocks, choice } = step;
    // Blocks of merged segments go once no reader has a state with them.
    let snapshot = match snapshot.garbage_blocks() {
        0 => snapshot,
        _ => snapshot.sweep(tables, blocks.saturating_mul(SWEPT_FOR_MERGED))?,
    };
    if merge.is_none() && snapshot.merge(choice, 0).is_some() {
        // Only now is it worth asking.
        *merge = snapshot.merge(choice, horizon(&snapshot)?);
    }
    if let Some(mut under_way) = merge.take() {
        if under_way.step(tables, blocks)? {
            return Ok(under_way.finish(&snapshot, tables)?);
        }
        *merge = Some(under_way);
    }
    Ok(snapshot)
}

/// Whether nothing is left to merge or to remove while nothing is written.
pub(super) fn is_settled(snapshot: &Snapshot, merge: Option<&Merge>) -> bool {
    merge.is_none() && snapshot.garbage_blocks() == 0 && snapshot.merge(Choice::Settled, 0).is_none()
}
