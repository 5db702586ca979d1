//! What driver and engine say to each other.

use keepwell_engine::Traffic;
use keepwell_fhir::Instant;

/// Names a request; its answer bears it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub(crate) u64);

/// What happened.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Time has passed: [`crate::Engine::wake_at_ms`].
    Tick,
    /// Something was saved on this device.
    Edited,
    /// Somebody wants a round now, whatever is being waited for.
    SyncNow,
    /// What came of a request.
    Answer {
        /// That of the request.
        ticket: Ticket,
        /// What came.
        answer: Answer,
        /// What it cost.
        traffic: Traffic,
    },
}

/// What came of a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// A whole answer.
    Reply(Reply),
    /// No connection, no answer in time, or a part of one.
    Failed {
        /// The code of the driver's error (docs/error-codes.md).
        code: u16,
    },
}

/// An answer of HTTP.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The version of `ETag`, without `W/` and quotes.
    pub version: Option<String>,
    /// The `Location`.
    pub location: Option<String>,
    /// The server's time, of `Date`.
    pub date: Option<Instant>,
    /// Seconds of `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// The body.
    pub body: Vec<u8>,
}

/// A method of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

/// A request of HTTP. Every one accepts `application/fhir+json`; one with a body sends that, and prefers
/// `return=representation`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// What follows the server's address: a path without the slash before it, or a query with its question mark.
    pub target: String,
    /// The version of `If-Match: W/"version"`.
    pub if_match: Option<String>,
    /// `If-None-Match: *`.
    pub if_none_match: bool,
    /// The query of `If-None-Exist`.
    pub if_none_exist: Option<String>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn get(target: String) -> Self {
        Self {
            method: Method::Get,
            target,
            if_match: None,
            if_none_match: false,
            if_none_exist: None,
            body: None,
        }
    }
}

/// To be asked after the transaction was committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// For the answer.
    pub ticket: Ticket,
    /// What to send.
    pub request: Request,
}
