//! Attachments: one chunk at a time, up or down, and on from where it stopped.

use std::collections::BTreeSet;

use keepwell_protocol::{Blob, Hash, NewUpload, Refusal, Upload, VERSION_MAX, limits};

use crate::effect::{Request, Ticket};
use crate::policy::Policy;
use crate::replica::{BlobState, Replica};
use crate::turn::Turn;

/// A chunk under way.
#[derive(Clone, Debug)]
struct Transfer {
    ticket: Ticket,
    deadline_ms: u64,
    blob: Blob,
}

/// The transfer of attachments.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    next: Option<Blob>,
    under_way: Option<Transfer>,
    /// The server does not have these, or does not take them: not before something changes.
    passed_over: BTreeSet<Hash>,
}

impl Blobs {
    pub(crate) fn is_free(&self) -> bool {
        self.under_way.is_none()
    }

    pub(crate) fn deadline(&self) -> Option<(u64, Ticket)> {
        self.under_way.as_ref().map(|transfer| (transfer.deadline_ms, transfer.ticket))
    }

    pub(crate) fn retry(&mut self) {
        self.passed_over.clear();
    }

    /// Somebody wants these.
    pub(crate) fn want<R: Replica>(
        &mut self,
        wanted: Vec<Blob>,
        turn: &mut Turn<'_, R>,
    ) -> Result<(), R::Error> {
        self.retry();
        for blob in wanted {
            let state = turn.replica.blob(&blob.sha256)?.unwrap_or_else(|| BlobState::absent(blob));
            turn.replica.set_blob(&BlobState { is_wanted: true, ..state })?;
        }
        Ok(())
    }

    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.under_way.take_if(|transfer| transfer.ticket == ticket);
    }

    pub(crate) fn give_up(&mut self) -> Option<Ticket> {
        self.under_way.take().map(|transfer| transfer.ticket)
    }

    /// What to ask for next.
    pub(crate) fn next<R: Replica>(
        &mut self,
        policy: Policy,
        turn: &mut Turn<'_, R>,
    ) -> Result<Option<Request>, R::Error> {
        let length = |blob: &Blob, offset: u64| (blob.size - offset).min(limits::CHUNK_BYTES_MAX as u64);
        let to_send = if policy.is_metered { None } else { self.to_send(turn)? };
        let only_wanted = policy.is_metered || policy.is_on_demand;
        let request = if let Some(BlobState { blob, sent, upload, .. }) = to_send {
            self.next = Some(blob);
            match upload {
                None => {
                    Request::NewUpload(NewUpload { v: VERSION_MAX, sha256: blob.sha256, size: blob.size })
                }
                Some(upload) => {
                    Request::UploadChunk { upload, blob, offset: sent, length: length(&blob, sent) }
                }
            }
        } else if let Some(state) = turn.replica.blob_to_fetch(only_wanted, &self.passed_over)? {
            let BlobState { blob, have, .. } = state;
            self.next = Some(blob);
            Request::DownloadChunk { blob, offset: have, length: length(&blob, have) }
        } else {
            return Ok(None);
        };
        Ok(Some(request))
    }

    /// An attachment to be sent. One that went with its resource meanwhile needs no sending any more.
    fn to_send<R: Replica>(&self, turn: &mut Turn<'_, R>) -> Result<Option<BlobState>, R::Error> {
        while let Some(state) = turn.replica.blob_to_send(&self.passed_over)? {
            if turn.replica.has_blob(&state.blob)? {
                return Ok(Some(state));
            }
            turn.replica
                .set_blob(&BlobState { is_wanted: state.is_wanted, ..BlobState::absent(state.blob) })?;
        }
        Ok(None)
    }

    /// The request that [`Self::next`] gave has gone.
    pub(crate) fn sent(&mut self, ticket: Ticket, deadline_ms: u64) {
        self.under_way = self.next.take().map(|blob| Transfer { ticket, deadline_ms, blob });
    }

    fn take(&mut self, ticket: Ticket) -> Option<Blob> {
        self.under_way.take_if(|transfer| transfer.ticket == ticket).map(|transfer| transfer.blob)
    }

    /// The server says how much it has.
    pub(crate) fn uploaded<R: Replica>(
        &mut self,
        ticket: Ticket,
        upload: &Upload,
        turn: &mut Turn<'_, R>,
    ) -> Result<(), R::Error> {
        let Some(blob) = self.take(ticket) else { return Ok(()) };
        let Some(state) = turn.replica.blob(&blob.sha256)? else { return Ok(()) };
        let sent = upload.offset.min(blob.size);
        let is_done = sent == blob.size;
        turn.report.uploads += u64::from(is_done);
        let upload = (!is_done).then(|| upload.id.clone());
        turn.replica.set_blob(&BlobState { sent, upload, ..state })
    }

    /// Bytes came.
    pub(crate) fn downloaded<R: Replica>(
        &mut self,
        ticket: Ticket,
        bytes: &[u8],
        turn: &mut Turn<'_, R>,
    ) -> Result<(), R::Error> {
        let Some(blob) = self.take(ticket) else { return Ok(()) };
        let state = turn.replica.blob(&blob.sha256)?.unwrap_or_else(|| BlobState::absent(blob));
        let state = BlobState { have: if state.have < blob.size { state.have } else { 0 }, ..state };
        let have = state.have + bytes.len() as u64;
        if bytes.is_empty() || have > blob.size {
            self.passed_over.insert(blob.sha256);
            return Ok(());
        }
        let is_last = have == blob.size;
        turn.replica.set_blob(&state)?;
        let is_good = turn.replica.append_blob(&blob, state.have, bytes, is_last)?;
        turn.report.downloads += u64::from(is_last && is_good);
        let have = if is_last && !is_good { 0 } else { have };
        if is_last && !is_good {
            // They come again only when somebody asks.
            self.passed_over.insert(blob.sha256);
        }
        turn.replica.set_blob(&BlobState { have, ..state })
    }

    /// A chunk was refused. Whether it was one.
    pub(crate) fn refused<R: Replica>(
        &mut self,
        ticket: Ticket,
        refusal: &Refusal,
        turn: &mut Turn<'_, R>,
    ) -> Result<bool, R::Error> {
        let Some(blob) = self.take(ticket) else { return Ok(false) };
        let state = turn.replica.blob(&blob.sha256)?.unwrap_or_else(|| BlobState::absent(blob));
        let is_upload = state.sent < blob.size;
        match refusal {
            Refusal::UploadOffset { expected } if is_upload => {
                turn.replica.set_blob(&BlobState { sent: (*expected).min(blob.size), ..state })?;
            }
            Refusal::NotFound | Refusal::HashMismatch if is_upload && state.upload.is_some() => {
                turn.replica.set_blob(&BlobState { sent: 0, upload: None, ..state })?;
            }
            // The server does not have it, or does not want it: other things go on.
            _ => {
                self.passed_over.insert(blob.sha256);
            }
        }
        Ok(true)
    }
}
