//! Reading a message from bytes that come in any pieces.
//!
//! Items come as they are read; what is done for good with all of them waits for [`Reader::finish`], which has seen the
//! checksum of a compressed message.
//!
//! Promise: a reader holds one line, one window and a buffer of [`BUFFER_BYTES`], however large the message is. Items
//! come out as soon as they are whole.

use std::fmt;

use crate::encoding::Encoding;
use crate::error::{Error, Limit, Result};
use crate::inflate::Inflate;
use crate::lines::Lines;
use crate::message::{END, EndLine, Message, Part, read};

/// Decompressed bytes that wait to be cut into lines.
const BUFFER_BYTES: usize = 64 << 10;

/// Reads one message.
///
/// ```
/// use keepwell_protocol::{Encoding, Error, Part, PushReply, Reader};
/// let text = concat!(
///     r#"{"epoch":"9f3c52d1c0a84e77","last_seq":411}"#, "\n",
///     r#"{"seq":411,"o":"applied","ver":8,"pos":184901}"#, "\n",
///     r#"{"end":{"n":1}}"#, "\n",
/// );
/// let mut reader = Reader::<PushReply>::new(&Encoding::Identity);
/// let mut parts = Vec::new();
/// for mut piece in text.as_bytes().chunks(10) {
///     while let Some(part) = reader.next(&mut piece)? {
///         parts.push(part);
///     }
/// }
/// reader.finish()?;
/// assert!(matches!(parts[..], [Part::Head(_), Part::Item(_), Part::End(_)]));
/// # Ok::<(), Error>(())
/// ```
pub struct Reader<M: Message> {
    inflate: Inflate,
    buffer: Box<[u8]>,
    /// What of the buffer is filled and not used.
    filled: std::ops::Range<usize>,
    lines: Lines,
    progress: Progress<M>,
}

/// Where in the message the reader is.
struct Progress<M: Message> {
    line: u64,
    items: u64,
    mark: Option<M::Mark>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Start,
    Items,
    Ended,
    Failed(Error),
}

impl<M: Message> fmt::Debug for Reader<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader(line {})", self.progress.line)
    }
}

impl<M: Message> Reader<M> {
    /// Begins a message in this encoding.
    #[must_use]
    pub fn new(encoding: &Encoding) -> Self {
        Self {
            inflate: Inflate::new(encoding, M::BYTES_MAX),
            buffer: vec![0; BUFFER_BYTES].into(),
            filled: 0..0,
            lines: Lines::default(),
            progress: Progress { line: 0, items: 0, mark: None, state: State::Start },
        }
    }

    /// The next part; none when `input` is used up and more is needed.
    ///
    /// # Errors
    /// See [`Error`]. Parts that came before are good. A reader that failed repeats its error.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Part<M>>> {
        if let State::Failed(error) = &self.progress.state {
            return Err(error.clone());
        }
        let next = self.advance(input);
        if let Err(error) = &next {
            self.progress.state = State::Failed(error.clone());
        }
        next
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Part<M>>> {
        loop {
            let mut filled = &self.buffer[self.filled.clone()];
            let line = self.lines.next(&mut filled)?;
            self.filled.start = self.filled.end - filled.len();
            if let Some(line) = line {
                return self.progress.part(line).map(Some);
            }
            let length = self.inflate.read(input, &mut self.buffer)?;
            self.filled = 0..length;
            if length == 0 && input.is_empty() {
                return Ok(None);
            }
        }
    }

    /// To be called when no more input will come.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the end of the message has not been read, or the error that the reader met.
    pub fn finish(&self) -> Result<()> {
        match &self.progress.state {
            State::Failed(error) => Err(error.clone()),
            State::Ended if self.lines.is_inside() => Err(Error::Order { line: self.progress.line + 1 }),
            State::Ended => self.inflate.finish(),
            State::Start | State::Items => Err(Error::Truncated),
        }
    }
}

impl<M: Message> Progress<M> {
    fn part(&mut self, line: &[u8]) -> Result<Part<M>> {
        self.line += 1;
        match self.state {
            State::Start => {
                self.state = State::Items;
                self.read(line).map(Part::Head)
            }
            State::Items if line.starts_with(END) => self.end(line),
            State::Items => self.item(line),
            State::Ended | State::Failed(_) => Err(Error::Order { line: self.line }),
        }
    }

    fn item(&mut self, line: &[u8]) -> Result<Part<M>> {
        self.items += 1;
        if self.items > M::ITEMS_MAX as u64 {
            return Err(Error::TooLarge(Limit::Items));
        }
        let item = M::read_item(line).map_err(|error| error.at(self.line))?;
        let mark = M::follow(self.mark, &item).ok_or(Error::Order { line: self.line })?;
        self.mark = Some(mark);
        Ok(Part::Item(item))
    }

    fn end(&mut self, line: &[u8]) -> Result<Part<M>> {
        let end = self.read::<EndLine<M::End>>(line)?.end;
        if M::count(&end) != self.items {
            // Lines were lost or came twice: no cut that a connection could make.
            return Err(Error::Order { line: self.line });
        }
        self.state = State::Ended;
        Ok(Part::End(end))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, line: &[u8]) -> Result<T> {
        read(line).map_err(|error| error.at(self.line))
    }
}
