//! Enrolment: a code that counts once becomes a certificate.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use keepwell_backend::{Error as BackendError, Redeemed};
use keepwell_protocol::{
    Base64, Document, EnrolReply, EnrolRequest, Hash, Refusal, check_version, from_encoded,
};
use keepwell_tls::{CertificateRequest, DeviceId, InvitationCode, Invite, UnixTime};

use super::device::policy;
use super::message::{answer, encodings};
use super::{Answer, now, written};
use crate::body::whole;
use crate::config::seconds;
use crate::shared::Shared;

pub(super) async fn enrol(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.enrol", enrol_of(&shared, request).await)
}

async fn enrol_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let (reads, _) = encodings(request.headers())?;
    let body =
        whole(request.into_body(), EnrolRequest::BYTES_MAX, seconds(shared.config.limits.body_s)).await?;
    let request: EnrolRequest = from_encoded(&body, &reads)?;
    check_version(request.v)?;
    let code: InvitationCode = request.code.reveal().parse().map_err(|_| Refusal::Invitation)?;
    let csr = CertificateRequest::read(&request.csr.0).map_err(|_| Refusal::BadRequest)?;
    let done = shared.work(move |shared| {
        let mut issued = None;
        // A key that its user is known by is that of a device that comes back: its certificate has ended, or its pins.
        let key = Hash::from_bytes(*csr.key().pin().as_bytes());
        let mut known = shared.backend.devices()?;
        known.retain(|device| device.key == key);
        let mut redeem = |record: &[u8]| {
            // Which of the reasons it was is nobody's business who has no good code.
            let refused = |_| BackendError::Refused(Refusal::Invitation);
            let mut invite: Invite =
                serde_json::from_slice(record).map_err(|_| BackendError::Refused(Refusal::Invitation))?;
            let now = UnixTime::now();
            let id = match known.iter().find(|device| device.user.as_str() == invite.subject) {
                Some(device) => device.id.as_str().parse(),
                None => DeviceId::random(),
            };
            let id = invite.redeem(&code, &csr.key(), id.map_err(refused)?, now).map_err(refused)?;
            let certificate =
                shared.identity.issue(&csr, &id, now).map_err(|_| Refusal::Busy { retry_after_s: None })?;
            let redeemed = Redeemed {
                record: serde_json::to_vec(&invite).expect("texts and numbers only"),
                device: id.as_str().parse().map_err(|_| Refusal::BadRequest)?,
                user: invite.subject.parse().map_err(|_| Refusal::Invitation)?,
                name: request.name.clone(),
                key,
                serial: certificate.serial.to_string(),
                lease_key: None,
            };
            issued = Some(certificate.certificate);
            Ok(redeemed)
        };
        let digest = Hash::from_bytes(*code.digest().as_bytes());
        let enrolled = shared.backend.enrol(&digest, &mut redeem, now())?;
        let certificate = issued.ok_or(Refusal::Invitation)?;
        let device = enrolled.device.id;
        tracing::info!(device = device.as_str(), "a device has enrolled");
        let lease = shared.backend.lease(&device, &policy(shared), now())?;
        let certificates = [&certificate, shared.identity.server_authority()];
        Ok(answer(&EnrolReply {
            device,
            tenant: shared.backend.tenant().clone(),
            epoch: enrolled.epoch,
            certificates: certificates.into_iter().map(|der| Base64(der.to_vec())).collect(),
            wipe_keys: shared.identity.wipe_keys(),
            lease,
        }))
    });
    done.await?
}
