//! Writing a message line by line.

use std::fmt;
use std::marker::PhantomData;

use crate::encoding::{Deflate, Encoding};
use crate::message::{EndLine, Message, write};

/// Writes one message. Its head is written first, and [`Writer::finish`] writes its end; what is in between is taken
/// out with [`Writer::take`] whenever it is enough to be worth sending.
///
/// The caller keeps within the limits of the kind of message: a server cuts pages, a device asks a
/// [`Batch`](crate::Batch).
pub struct Writer<'d, M> {
    deflate: Deflate<'d>,
    line: Vec<u8>,
    bytes: usize,
    kind: PhantomData<M>,
}

impl<M> fmt::Debug for Writer<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} bytes)", self.bytes)
    }
}

impl<'d, M: Message> Writer<'d, M> {
    /// Begins a message.
    #[must_use]
    pub fn new(encoding: &'d Encoding, head: &M::Head) -> Self {
        let mut writer = Self { deflate: encoding.start(), line: Vec::new(), bytes: 0, kind: PhantomData };
        write(head, &mut writer.line);
        writer.flush();
        writer
    }

    /// Adds an item.
    pub fn item(&mut self, item: &M::Item) {
        M::write_item(item, &mut self.line);
        self.flush();
    }

    /// Bytes written so far, before compression.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What can be sent already.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.deflate.take()
    }

    /// Adds the end and gives what has not been taken.
    #[must_use]
    pub fn finish(mut self, end: M::End) -> Vec<u8> {
        write(&EndLine { end }, &mut self.line);
        self.flush();
        self.deflate.finish()
    }

    fn flush(&mut self) {
        self.line.push(b'\n');
        self.bytes += self.line.len();
        self.deflate.write(&self.line);
        self.line.clear();
    }
}
