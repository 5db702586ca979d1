//! How requests of the engine reach the server: over pinned TLS, or within the process.

use std::time::Duration;

use keepwell_engine::{Answer, Failure, Request, Traffic};
use keepwell_protocol::{Hint, UpkeepReply, UpkeepRequest, WipeReceipt};

use crate::control::Cancel;
use crate::error::Result;
use crate::signal::Signal;

/// An answer and what it cost.
#[derive(Debug)]
pub struct Exchange {
    /// What came back.
    pub answer: Answer,
    /// Bytes both ways, heads included.
    pub traffic: Traffic,
}

impl Exchange {
    /// There is no answer.
    #[must_use]
    pub fn failed(code: u16) -> Self {
        Self { answer: Answer::Failed(Failure::Connection { code }), traffic: Traffic::default() }
    }
}

/// A way to the server. Calls block.
pub trait Transport: Send {
    /// Carries out a request. A failure is an answer too. `payload` are the bytes of a chunk, if it is one.
    fn exchange(&mut self, request: &Request, payload: &[u8], cancel: &Cancel) -> Exchange;

    /// Waits until the server gives a hint, `signal` is raised, or `timeout` is over; none: for ever.
    fn wait(&mut self, timeout: Option<Duration>, signal: &Signal) -> Option<Hint>;

    /// Asks for what keeps the trust between device and server up to date. A transport without certificates and pins has
    /// nothing to ask for.
    ///
    /// # Errors
    /// Those of the network, or the server's refusal.
    fn upkeep(&mut self, request: &UpkeepRequest) -> Result<UpkeepReply> {
        let _ = request;
        Ok(UpkeepReply::default())
    }

    /// Tells the server that its order to wipe was followed.
    ///
    /// # Errors
    /// Those of the network, or the server's refusal.
    fn send_receipt(&mut self, receipt: &WipeReceipt) -> Result<()>;
}
