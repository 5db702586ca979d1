//! The body of an answer that is made while it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Why a body stops in the middle: the connection is closed, so that nobody takes it for whole.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer was cut off")]
pub(super) struct Broken;

/// A part of a body.
pub(super) type Chunk = Result<Bytes, Broken>;

/// A body whose parts come from elsewhere. It ends when its sender is dropped.
pub(super) struct Chunks(Receiver<Chunk>);

impl Chunks {
    /// A body, and where its parts go: at most `room` of them wait.
    pub(super) fn new(room: usize) -> (Sender<Chunk>, Self) {
        let (sender, receiver) = channel(room);
        (sender, Self(receiver))
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| part.map(Frame::data)))
    }
}
