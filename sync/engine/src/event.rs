//! What the driver tells the engine.

use keepwell_fhir::Instant;
use keepwell_protocol::{
    Blob, Error, Hello, Hint, Lease, ParkReply, PullEnd, PullHead, PullItem, PushReplyHead, Refusal,
    Settlement, Upload,
};

use crate::effect::Ticket;
use crate::policy::Policy;

/// The time, by two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Milliseconds of a clock that only runs forward, from any start.
    pub ms: u64,
    /// The time of day, which people set.
    pub wall: Instant,
}

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// Nothing, but time passed: the moment of [`Engine::wake_at_ms`](crate::Engine::wake_at_ms) came, or the process began.
    Tick,
    /// Something was saved on this device.
    Edited,
    /// The server said that there may be something.
    Hint(Hint),
    /// The network is back.
    Online,
    /// A person wants a round now, whatever is being waited for.
    SyncNow,
    /// What is allowed has changed.
    Policy(Policy),
    /// The database was found to be restored or cloned.
    Restored,
    /// A lease came with an enrolment.
    Lease(Lease),
    /// Somebody wants these attachments, whatever the network costs.
    Fetch(Vec<Blob>),
    /// An answer, or that there will be none.
    Answer {
        /// To which request.
        ticket: Ticket,
        /// What it says.
        answer: Answer,
        /// Bytes that went both ways.
        traffic: Traffic,
    },
}

/// Bytes of one exchange, as they travelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Up.
    pub sent: u64,
    /// Down.
    pub received: u64,
    /// How many of both are heads of HTTP: what is no message of the protocol.
    pub heads: u64,
}

/// What came back. A message that was cut off or damaged behind some whole lines has these lines, and the fault.
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Hello`](crate::Request::Hello).
    Hello(Hello),
    /// To [`Request::Push`](crate::Request::Push).
    Push {
        /// The first line.
        head: PushReplyHead,
        /// The whole lines.
        settlements: Vec<Settlement>,
        /// What stopped it.
        fault: Option<Error>,
    },
    /// To [`Request::Pull`](crate::Request::Pull).
    Pull {
        /// The first line.
        head: PullHead,
        /// The whole lines.
        items: Vec<PullItem>,
        /// The last line, or what came instead.
        end: Result<PullEnd, Error>,
    },
    /// To [`Request::Park`](crate::Request::Park).
    Park(ParkReply),
    /// To [`Request::Lease`](crate::Request::Lease). Its key is the driver's business.
    Lease(Lease),
    /// To [`Request::NewUpload`](crate::Request::NewUpload) and [`Request::UploadChunk`](crate::Request::UploadChunk).
    Upload(Upload),
    /// To [`Request::DownloadChunk`](crate::Request::DownloadChunk).
    Chunk(Vec<u8>),
    /// The server does not do it.
    Refused(Refusal),
    /// No connection, no answer in time, or one that is none of this protocol from its first line.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The network, or the server's end of it, with the code of the driver's error.
    Connection {
        /// See docs/error-codes.md.
        code: u16,
    },
    /// The bytes of the answer are not of this protocol.
    Message(Error),
}
