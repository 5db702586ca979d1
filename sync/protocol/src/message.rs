//! Messages of many lines: a head, items, an end.
//!
//! The head is the first line. The end is a line that begins with the seven bytes `{"end":` and says how many items
//! there were; without it the message was cut off. What an item is shows in its first member.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// What the end line begins with.
pub(crate) const END: &[u8] = b"{\"end\":";

/// A kind of message. The kinds are [`PushRequest`](crate::PushRequest), [`PushReply`](crate::PushReply),
/// [`PullReply`](crate::PullReply) and [`ParkRequest`](crate::ParkRequest).
pub trait Message: sealed::Sealed + Copy + PartialEq + std::fmt::Debug {
    /// The first line.
    type Head: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug;
    /// The lines between.
    type Item: Clone + PartialEq + std::fmt::Debug;
    /// The last line.
    type End: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug;
    /// What must be remembered of an item to see whether the next one may follow.
    type Mark: Copy + std::fmt::Debug;

    /// The message as a whole, in bytes before compression.
    const BYTES_MAX: usize;
    /// Its items.
    const ITEMS_MAX: usize;

    /// Reads an item from its line.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Contradiction`], [`Error::UnknownOutcome`], [`Error::UnknownRowState`],
    /// [`Error::TooLarge`].
    fn read_item(line: &[u8]) -> Result<Self::Item>;

    /// Appends an item as a line, without its line feed.
    fn write_item(item: &Self::Item, out: &mut Vec<u8>);

    /// The mark of an item that may stand behind the item of `before`; none if it may not.
    fn follow(before: Option<Self::Mark>, item: &Self::Item) -> Option<Self::Mark>;

    /// How many items the end says there were.
    fn count(end: &Self::End) -> u64;
}

/// A part of a message, as a reader gives it.
#[derive(Clone, PartialEq, Debug)]
pub enum Part<M: Message> {
    /// The first line.
    Head(M::Head),
    /// A line between.
    Item(M::Item),
    /// The last line: the message is whole.
    End(M::End),
}

pub(crate) mod sealed {
    /// Messages are those of this crate.
    #[expect(unnameable_types, reason = "so that nobody else implements it")]
    pub trait Sealed {}
}

/// The end line around its content.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct EndLine<E> {
    pub(crate) end: E,
}

/// Reads one line.
pub(crate) fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T> {
    // The error of serde_json may repeat values, so nothing of it is kept.
    serde_json::from_slice(line).map_err(|_| Error::MALFORMED)
}

/// Appends one line, without its line feed.
pub(crate) fn write<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("our types have text keys and memory takes all bytes");
}
