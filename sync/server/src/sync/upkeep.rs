//! Upkeep: another certificate for a device that has one, newer pins, and what it says of servers that it refused.
//!
//! Invariant: a certificate is given for the key and the id that the connection was made with, and to no device that is
//! locked out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use keepwell_protocol::{
    Base64, Document, Id, Refusal, RefusedServer, UpkeepReply, UpkeepRequest, check_version,
};
use keepwell_tls::{CertificateRequest, Device, Pin, UnixTime};

use super::message::{answer, document, read};
use super::{Answer, Refused, now, written};
use crate::shared::{Peer, Shared};

/// The most refusals that one report adds to the metric, so that no device overflows it.
const REFUSALS_MAX: u64 = 1_000_000;

pub(super) async fn upkeep(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.upkeep", upkeep_of(&shared, request).await)
}

async fn upkeep_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.device.clone());
    let peer = peer.ok_or(Refusal::UnknownDevice)?;
    let call = read(shared, request, UpkeepRequest::BYTES_MAX).await?;
    let request: UpkeepRequest = document(&call)?;
    check_version(request.v)?;
    let done = shared.work(move |shared| {
        // Before anything is signed, counted or logged.
        shared.backend.admit(&call.device)?;
        let identity = &shared.identity;
        let mut reply = UpkeepReply::default();
        if identity.pins.number > request.pins {
            reply.pins = Some(identity.pin_set.clone());
        }
        let mut serial = None;
        if let Some(csr) = &request.csr {
            let (certificate, number) = renew(shared, &peer, csr)?;
            reply.certificates =
                [certificate, identity.server_authority().to_vec()].into_iter().map(Base64).collect();
            serial = Some(number);
        }
        shared.backend.keep_up(&call.device, request.pins, serial.as_deref(), now())?;
        request.refused.iter().for_each(|refused| note(&call.device, refused));
        let kinds = request.refused.iter().map(|refused| refused.count);
        let refusals = kinds.fold(request.others, u64::saturating_add).min(REFUSALS_MAX);
        shared.metrics.servers_refused.fetch_add(refusals, Ordering::Relaxed);
        Ok(answer(&reply))
    });
    done.await?
}

/// The certificate, and its serial number as the list of devices shows it.
fn renew(shared: &Shared, peer: &Device, csr: &Base64) -> Result<(Vec<u8>, String), Refused> {
    let csr = CertificateRequest::read(&csr.0).map_err(|_| Refusal::BadRequest)?;
    if csr.key() != peer.key {
        return Err(Refusal::BadRequest.into());
    }
    let issued = shared.identity.issue(&csr, &peer.id, UnixTime::now());
    let issued = issued.map_err(|_| Refusal::Busy { retry_after_s: None })?;
    tracing::info!(device = peer.id.as_str(), "a device has another certificate");
    Ok((issued.certificate.to_vec(), issued.serial.to_string()))
}

/// The host is left out, and a key that is none: a device could write anything there.
fn note(device: &Id, refused: &RefusedServer) {
    let known = ["untrusted", "wrong-name", "wrong-time", "not-pinned", "pins-expired"];
    let why = known.into_iter().find(|word| *word == refused.why).unwrap_or("another reason");
    let key = refused.key.as_ref().and_then(|key| key.parse::<Pin>().ok());
    let key = key.map_or_else(|| "unreadable".to_owned(), |key| key.to_string());
    tracing::warn!(
        device = device.as_str(),
        why,
        key,
        pins = refused.pins,
        count = refused.count,
        last = refused.last.to_string(),
        "a device refused a server"
    );
}
