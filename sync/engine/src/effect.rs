//! What the engine asks of the driver.

use keepwell_protocol::{
    Blob, Frozen, Id, LeaseRequest, NewUpload, ParkHead, ParkRecord, PullRequest, PushHead, WipeOrder,
};

use crate::error::Stop;

/// Names a request; its answer bears it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub(crate) u64);

/// To be done after the transaction was committed.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Send a request, and bring the answer with the ticket. A request whose ticket was given up may be cut off.
    Send {
        /// For the answer.
        ticket: Ticket,
        /// What to send.
        request: Request,
    },
    /// Nobody waits for the answer any more.
    GiveUp(Ticket),
    /// Destroy the store, if [`WipeOrder::verify`] says that the order is genuine; else report it.
    Wipe(WipeOrder),
    /// The right to work without the server is over, or was withdrawn: lock until [`Effect::Unlock`].
    Lock,
    /// The server was met again.
    Unlock,
    /// Sync stands still until a person or a newer program did something about it.
    Stopped(Stop),
}

/// What is sent to the server.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// `GET /sync/v1/hello`.
    Hello,
    /// `POST /sync/v1/push`.
    Push {
        /// The first line.
        head: PushHead,
        /// The lines.
        mutations: Vec<Frozen>,
    },
    /// `POST /sync/v1/pull`.
    Pull(PullRequest),
    /// `POST /sync/v1/park`.
    Park {
        /// The first line.
        head: ParkHead,
        /// The lines.
        records: Vec<ParkRecord>,
    },
    /// `POST /sync/v1/lease`.
    Lease(LeaseRequest),
    /// `POST /sync/v1/uploads`.
    NewUpload(NewUpload),
    /// `PATCH /sync/v1/uploads/{id}` with bytes of a blob that the driver reads.
    UploadChunk {
        /// The upload.
        upload: Id,
        /// The blob.
        blob: Blob,
        /// Where the chunk begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// `GET /sync/v1/blob/{hash}` with a `Range`.
    DownloadChunk {
        /// The blob.
        blob: Blob,
        /// Where the chunk begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
}
