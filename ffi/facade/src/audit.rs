//! The audit trail and the health of a store.

use keepwell_store::audit::AuditQuery;
use keepwell_store::{Error, VerifyOptions};

use crate::boundary::{Result, call, wait};
use crate::options::range;
use crate::records::count;

/// A page of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct AuditPage {
    /// FHIR AuditEvents in JSON, the newest first.
    pub events: Vec<String>,
    /// What `after` is to be for the next page; nothing at the end.
    pub next: Option<i64>,
}

/// What was found when a store was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct VerifyReport {
    /// Nothing is damaged.
    pub is_sound: bool,
    /// The audit trail is whole: nothing was changed, taken out or cut off.
    pub is_audit_whole: bool,
    /// Resources looked at.
    pub resources: i64,
    /// Rows of the change log looked at.
    pub changes: i64,
    /// Attachments looked at.
    pub attachments: i64,
    /// Records of the audit trail looked at.
    pub audit_records: i64,
    /// Defects; `keepwell verify` names them.
    pub defects: i64,
}

/// The audit trail and the health of a store.
#[derive(uniffi::Object)]
pub struct Audit {
    session: keepwell_store::Session,
}

impl Audit {
    pub(crate) fn new(session: keepwell_store::Session) -> Self {
        Self { session }
    }
}

#[uniffi::export]
impl Audit {
    /// The newest records, about one patient where one is named.
    ///
    /// # Errors
    /// 201
    #[uniffi::method(default(count = 100, after = None, patient = None))]
    pub fn page(&self, count: i32, after: Option<i64>, patient: Option<String>) -> Result<AuditPage> {
        call(|| {
            let query = AuditQuery { limit: Some(range(count)?), after, patient, ..AuditQuery::default() };
            let page = self.session.audit_page(&query)?;
            let events = page.records.iter().map(|record| record.to_fhir().to_string()).collect();
            Ok::<_, Error>(AuditPage { events, next: page.next })
        })
    }

    /// Checks database, audit trail, change log, resources, index and attachments.
    ///
    /// # Errors
    /// 5xx when it cannot be looked at.
    pub async fn verify(&self) -> Result<VerifyReport> {
        let session = self.session.clone();
        wait(move || {
            let found = session.verify(VerifyOptions::default(), &mut |_| ())?;
            Ok::<_, Error>(VerifyReport {
                is_sound: found.is_sound(),
                is_audit_whole: found.audit.as_ref().is_some_and(|audit| audit.is_whole()),
                resources: count(found.resources),
                changes: count(found.changes),
                attachments: count(found.attachments),
                audit_records: found.audit.as_ref().map_or(0, |audit| count(audit.records)),
                defects: count(found.defects.len() as u64 + found.further_defects),
            })
        })
        .await
    }
}
