//! How it stands with sync, for people.

use keepwell_fhir::{Instant, ResourceType};
use keepwell_protocol::{Id, Lease};
use keepwell_store::View;
use serde::{Deserialize, Serialize};

use crate::enrolment::DeviceRecord;
use crate::error::Result;
use crate::fhir::address_of;
use crate::tables::{DEVICE, FHIR, LEASE, MET, Tables};

/// How it stands with sync.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The device's id; none before it is enrolled.
    pub device: Option<Id>,
    /// The tenant that it belongs to.
    pub tenant: Option<Id>,
    /// Resources with an edit that the server does not have yet.
    pub pending: u64,
    /// Edits that lost and that a person has to look at.
    pub conflicts: u64,
    /// Attachments that are not here yet.
    pub absent: usize,
    /// Scopes that are held.
    pub scopes: usize,
    /// Those of them that are still being fetched.
    pub hydrating: usize,
    /// When the server was last met, by this device's clock.
    pub met: Option<Instant>,
    /// The right to work without the server.
    pub lease: Option<LeaseState>,
    /// Types that never leave the device.
    pub local_types: Vec<ResourceType>,
    /// The address of the plain FHIR server that this device syncs with, if it does.
    pub fhir_server: Option<String>,
    /// Resources that disappeared from that server: they are hidden, and kept.
    pub unavailable: u64,
}

/// A lease as the server gave it, in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// When it was given.
    pub issued: Instant,
    /// When the next one is asked for.
    pub renew: Instant,
    /// When it runs out.
    pub until: Instant,
}

#[derive(Serialize, Deserialize)]
struct Line {
    issued_ms: i64,
    renew_ms: i64,
    until_ms: i64,
}

impl LeaseState {
    pub(crate) fn of(lease: &Lease) -> Self {
        Self { issued: lease.issued, renew: lease.renew, until: lease.until }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let Self { issued, renew, until } = self;
        let line = Line { issued_ms: issued.ms(), renew_ms: renew.ms(), until_ms: until.ms() };
        serde_json::to_vec(&line).expect("numbers are JSON")
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let Line { issued_ms, renew_ms, until_ms } = serde_json::from_slice(bytes).ok()?;
        let at = Instant::from_ms;
        Some(Self { issued: at(issued_ms), renew: at(renew_ms), until: at(until_ms) })
    }
}

impl Status {
    pub(crate) fn read(view: &View<'_>) -> Result<Self> {
        let tables = Tables::new(view.connection());
        let record = tables.setting(DEVICE)?.map(|bytes| DeviceRecord::read(&bytes)).transpose()?;
        let scopes = tables.scopes()?;
        let met = tables.setting(MET)?.and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
        Ok(Self {
            device: record.as_ref().map(|record| record.device.clone()),
            tenant: record.map(|record| record.tenant),
            pending: tables.count_edits()?,
            conflicts: tables.count_open_conflicts()?,
            absent: view.absent_attachments(usize::MAX)?.len(),
            scopes: scopes.len(),
            hydrating: scopes.iter().filter(|held| !held.is_complete).count(),
            met: met.map(Instant::from_ms),
            lease: tables.setting(LEASE)?.and_then(|bytes| LeaseState::read(&bytes)),
            local_types: tables.local_types()?,
            fhir_server: tables.setting(FHIR)?.map(|record| address_of(&record)).transpose()?,
            unavailable: tables.count_fhir_unavailable()?,
        })
    }
}
