//! Which documents later ones superseded, and when.
//!
//! Invariant: a document is superseded once at most, by a later one.

use roaring::RoaringBitmap;

use crate::Doc;
use crate::bytes::{Input, len64, put_slice, put_varint};
use crate::error::Corrupt;
use crate::postings::Bounds;

/// What the documents of a segment superseded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Superseded {
    /// Superseded at or before the segment's horizon: nobody asks any more by whom.
    pub(crate) before: RoaringBitmap,
    /// (by, superseded), rising by the first.
    pub(crate) since: Vec<(Doc, Doc)>,
}

impl Superseded {
    /// Forgets who superseded what at or before the horizon.
    pub(crate) fn pass(&mut self, horizon: Doc) {
        let passed = self.since.partition_point(|(by, _)| *by <= horizon);
        self.before.extend(self.since.drain(..passed).map(|(_, doc)| doc));
    }

    /// Adds what the segment that follows superseded.
    pub(crate) fn follow(&mut self, later: &Self) {
        self.before |= &later.before;
        self.since.extend_from_slice(&later.since);
    }

    /// Adds everything to `dead`.
    pub(crate) fn add_to(&self, dead: &mut RoaringBitmap) {
        *dead |= &self.before;
        dead.extend(self.since.iter().map(|(_, doc)| *doc));
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut bitmap = Vec::with_capacity(self.before.serialized_size());
        self.before.serialize_into(&mut bitmap).expect("memory takes all bytes");
        put_slice(out, &bitmap);
        put_varint(out, len64(&self.since));
        for (by, doc) in &self.since {
            put_varint(out, *by);
            put_varint(out, by - doc);
        }
    }

    pub(crate) fn decode(input: &mut Input<'_>, bounds: Bounds) -> Result<Self, Corrupt> {
        let before = RoaringBitmap::deserialize_from(input.slice()?)
            .map_err(|_| Corrupt("a bitmap of superseded documents cannot be read"))?;
        let mut since: Vec<(Doc, Doc)> = Vec::new();
        for _ in 0..input.count()? {
            let by = input.number()?;
            let doc = by.checked_sub(input.number()?).filter(|doc| *doc < by);
            let rises = since.last().is_none_or(|(last, _)| *last < by);
            match doc {
                Some(doc) if rises && (bounds.first..=bounds.last).contains(&by) => since.push((by, doc)),
                _ => return Err(Corrupt("superseded documents do not rise")),
            }
        }
        Ok(Self { before, since })
    }
}
