//! A backend in the same process, for tests and the simulator: the same calls without a network.

use std::sync::Arc;
use std::time::Duration;

use keepwell_backend::{Backend, Error as BackendError, LeasePolicy};
use keepwell_engine::{Answer, Request, Traffic};
use keepwell_fhir::Instant;
use keepwell_protocol::{
    Error as MessageError, Hello, Hint, Id, Part, Refusal, ServerLimits, VERSION_MAX, VERSION_MIN,
    WipeReceipt,
};

use crate::control::Cancel;
use crate::error::Result;
use crate::signal::Signal;
use crate::transport::{Exchange, Transport};

/// A [`Transport`] to a [`Backend`] in this process. Waits give no hints.
pub struct DirectTransport {
    backend: Arc<dyn Backend>,
    device: Id,
    lease: LeasePolicy,
    clock: Box<dyn Fn() -> Instant + Send>,
    /// Of the device, for receipts: an uncompressed point.
    key: Vec<u8>,
}

impl DirectTransport {
    /// A way for `device` to `backend`, whose time is `clock`.
    pub fn new(
        backend: Arc<dyn Backend>,
        device: Id,
        key: Vec<u8>,
        lease: LeasePolicy,
        clock: impl Fn() -> Instant + Send + 'static,
    ) -> Self {
        Self { backend, device, lease, clock: Box::new(clock), key }
    }

    fn answer(&self, request: &Request, payload: &[u8]) -> Result<Answer, BackendError> {
        let (backend, device, at) = (&self.backend, &self.device, (self.clock)());
        Ok(match request {
            Request::Hello => {
                backend.admit(device)?;
                let horizon = backend.horizon()?;
                Answer::Hello(Hello {
                    min: VERSION_MIN,
                    max: VERSION_MAX,
                    tenant: backend.tenant().clone(),
                    epoch: horizon.epoch,
                    clock: horizon.clock,
                    dicts: Vec::new(),
                    limits: ServerLimits::default(),
                    time: at,
                })
            }
            Request::Push { head, mutations } => {
                let pushed = backend.push(device, head, mutations, at)?;
                Answer::Push { head: pushed.head, settlements: pushed.settlements, fault: None }
            }
            Request::Pull(request) => {
                let (mut head, mut items, mut end) = (None, Vec::new(), Err(MessageError::Truncated));
                backend.pull(device, request, at, &mut |part| match part {
                    Part::Head(first) => head = Some(first),
                    Part::Item(item) => items.push(item),
                    Part::End(last) => end = Ok(last),
                })?;
                match head {
                    Some(head) => Answer::Pull { head, items, end },
                    None => Answer::Refused(Refusal::Other { status: 500 }),
                }
            }
            Request::Park { head, records } => Answer::Park(backend.park(device, head, records, at)?),
            Request::Lease(_) => Answer::Lease(backend.lease(device, &self.lease, at)?),
            Request::NewUpload(upload) => Answer::Upload(backend.begin_upload(device, upload, at)?),
            Request::UploadChunk { upload, offset, .. } => {
                Answer::Upload(backend.append(device, upload, *offset, payload, at)?)
            }
            Request::DownloadChunk { blob, offset, length } => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                Answer::Chunk(backend.blob(device, &blob.sha256, *offset, length)?)
            }
        })
    }
}

impl Transport for DirectTransport {
    fn exchange(&mut self, request: &Request, payload: &[u8], _cancel: &Cancel) -> Exchange {
        match self.answer(request, payload) {
            Ok(answer) => Exchange { answer, traffic: Traffic::default() },
            Err(BackendError::Refused(refusal)) => {
                Exchange { answer: Answer::Refused(refusal), traffic: Traffic::default() }
            }
            Err(error) => Exchange::failed(error.code()),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, signal: &Signal) -> Option<Hint> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
        runtime.block_on(async {
            match timeout {
                // Whatever ends the wait, the driver looks at the signal.
                Some(timeout) => drop(tokio::time::timeout(timeout, signal.raised()).await),
                None => signal.raised().await,
            }
        });
        None
    }

    fn send_receipt(&mut self, receipt: &WipeReceipt) -> Result<()> {
        match self.backend.wiped(&self.device, receipt, &self.key) {
            Ok(()) => Ok(()),
            Err(BackendError::Refused(refusal)) => Err(refusal.into()),
            Err(_) => Err(Refusal::Busy { retry_after_s: None }.into()),
        }
    }
}
