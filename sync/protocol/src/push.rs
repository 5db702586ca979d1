//! Push: mutations go up, outcomes come back.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::frozen::Frozen;
use crate::hex64::{Epoch, Incarnation};
use crate::limits::{
    LINE_BYTES_MAX, MUTATIONS_MAX, OUTCOMES_MAX, PAGE_BYTES_MAX, PUSH_BYTES, PUSH_BYTES_MAX,
};
use crate::message::{Message, sealed};
use crate::number::Sequence;
use crate::outcome::Settlement;

/// `POST /sync/v1/push`: [`PushHead`], a line for each [`Frozen`] mutation, [`PushEnd`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PushRequest;

/// The first line of a push.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PushHead {
    /// The version of the protocol.
    pub v: u32,
    /// The life of the device's database.
    #[serde(rename = "inc")]
    pub incarnation: Incarnation,
    /// The history that the bases are of; absent while the device has heard of none. A server with another one refuses
    /// the push with a resync, since equal numbers of versions may then name different contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// Every outcome up to here has been settled: the server may forget it.
    pub ack: Sequence,
}

/// The last line of a push and of its reply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PushEnd {
    /// How many items there were.
    pub n: u64,
}

impl sealed::Sealed for PushRequest {}

impl Message for PushRequest {
    type Head = PushHead;
    type Item = Frozen;
    type End = PushEnd;
    /// Sequence number and group.
    type Mark = (Sequence, Option<u64>);

    const BYTES_MAX: usize = PUSH_BYTES_MAX;
    const ITEMS_MAX: usize = MUTATIONS_MAX;

    fn read_item(line: &[u8]) -> Result<Frozen> {
        Frozen::thaw(line)
    }

    fn write_item(item: &Frozen, out: &mut Vec<u8>) {
        out.extend_from_slice(item.line());
    }

    /// Sequence numbers rise, and so do the numbers of groups: a group stands together.
    fn follow(before: Option<Self::Mark>, item: &Frozen) -> Option<Self::Mark> {
        let mutation = item.mutation();
        let (sequence, group) = before.unwrap_or((Sequence::ZERO, None));
        let rises = mutation.sequence > sequence && mutation.group.is_none_or(|own| Some(own) >= group);
        rises.then(|| (mutation.sequence, mutation.group.or(group)))
    }

    fn count(end: &PushEnd) -> u64 {
        end.n
    }
}

/// Answer to a push: [`PushReplyHead`], a line for each [`Settlement`], [`PushEnd`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PushReply;

/// The first line of the answer to a push.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PushReplyHead {
    /// The server's history.
    pub epoch: Epoch,
    /// The highest mutation of this incarnation that has been decided.
    pub last_seq: Sequence,
}

impl sealed::Sealed for PushReply {}

impl Message for PushReply {
    type Head = PushReplyHead;
    type Item = Settlement;
    type End = PushEnd;
    type Mark = Sequence;

    const BYTES_MAX: usize = PAGE_BYTES_MAX;
    const ITEMS_MAX: usize = OUTCOMES_MAX;

    fn read_item(line: &[u8]) -> Result<Settlement> {
        Settlement::from_bytes(line)
    }

    fn write_item(item: &Settlement, out: &mut Vec<u8>) {
        item.write(out);
    }

    fn follow(before: Option<Sequence>, item: &Settlement) -> Option<Sequence> {
        (item.sequence > before.unwrap_or(Sequence::ZERO)).then_some(item.sequence)
    }

    fn count(end: &PushEnd) -> u64 {
        end.n
    }
}

/// Decides which mutations fit one push.
///
/// ```
/// use keepwell_protocol::{Batch, limits};
/// let mut batch = Batch::default();
/// // The first mutation goes, however large; the next does not fit behind it.
/// assert!(batch.admits(limits::PUSH_BYTES + 1, None));
/// assert!(!batch.admits(1, None));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    mutations: usize,
    bytes: usize,
    group: Option<u64>,
}

impl Batch {
    /// Whether a mutation of this many bytes belongs to this push; if so, it is counted.
    ///
    /// A group that has been begun goes on up to the limits of the message, as it is applied all or none.
    pub fn admits(&mut self, bytes: usize, group: Option<u64>) -> bool {
        // The head, the end and the line feeds are small beside the line of the largest mutation.
        let goes_on = group.is_some() && group == self.group;
        let bytes_max = if goes_on { LINE_BYTES_MAX } else { PUSH_BYTES };
        let fits = self.mutations < MUTATIONS_MAX && self.bytes + bytes <= bytes_max;
        if fits || self.mutations == 0 {
            self.mutations += 1;
            self.bytes += bytes;
            self.group = group;
            return true;
        }
        false
    }
}
