//! The audit trail and the health of a store.

use keepwell_store::audit::AuditQuery;
use keepwell_store::{Session, VerifyOptions};
use serde_json::json;

use crate::boundary::boundary;
use crate::buffer::{self, KeepwellBuffer};
use crate::handle::{KeepwellError, KeepwellSession};
use crate::input::KeepwellText;
use crate::output;
use crate::registry;

/// The newest records of the audit trail, about one patient unless `patient` is empty, as a JSON array of FHIR
/// AuditEvents. `after`, unless 0, is what the call for the page before gave in `next`, which is 0 after the last page.
///
/// # Safety
/// `patient` is as it says, `events` points to memory for a buffer, `next` and `error` are null or point to memory for theirs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_audit_page(
    session: KeepwellSession,
    patient: KeepwellText,
    count: u32,
    after: i64,
    events: *mut KeepwellBuffer,
    next: *mut i64,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let query = AuditQuery {
            limit: Some(count as usize),
            after: Some(after).filter(|&after| after > 0),
            // SAFETY: by the contract above.
            patient: unsafe { patient.given() }?.map(str::to_owned),
            ..AuditQuery::default()
        };
        let page = registry::get::<Session>(session.id)?.audit_page(&query)?;
        let records: Vec<_> = page.records.iter().map(|record| record.to_fhir()).collect();
        // SAFETY: by the contract above.
        unsafe {
            buffer::give(serde_json::Value::from(records).to_string().into_bytes(), events)?;
            output::offer(page.next.unwrap_or(0), next);
        }
        Ok(())
    })
}

/// Checks database, audit trail, change log, resources, index and attachments. Gives a JSON object: "sound", counts,
/// and how many defects there are; `keepwell verify` names them.
///
/// # Safety
/// `report` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_verify(
    session: KeepwellSession,
    report: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        let found = session.verify(VerifyOptions::default(), &mut |_| ())?;
        let report_json = json!({
            "sound": found.is_sound(),
            "auditWhole": found.audit.as_ref().is_some_and(|audit| audit.is_whole()),
            "resources": found.resources,
            "changes": found.changes,
            "attachments": found.attachments,
            "defects": found.defects.len() as u64 + found.further_defects,
        });
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(report_json.to_string().into_bytes(), report) }?)
    })
}
