//! What happened: the kinds of audited events and how FHIR names them.
//!
//! One table gives each [`Action`] its stored code, its name in queries and its coding as a FHIR R4 AuditEvent:
//! `type`, `subtype` and `action`. RESTful interactions are coded as IHE BALP asks; everything else with the
//! DICOM and ISO 21089 codes of the AuditEvent value sets.
//!
//! Invariant: a code, once released, keeps its meaning; new actions take new codes.

/// A code of a code system, as AuditEvent shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coding {
    pub(crate) system: &'static str,
    pub(crate) code: &'static str,
    pub(crate) display: &'static str,
}

const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";

/// `AuditEvent.type` of every RESTful interaction.
pub(crate) const REST: Coding = Coding {
    system: "http://terminology.hl7.org/CodeSystem/audit-event-type",
    code: "rest",
    display: "RESTful Operation",
};
const APPLICATION: Coding = dicom("110100", "Application Activity");
const AUDIT_LOG_USED: Coding = dicom("110101", "Audit Log Used");
const EXPORT: Coding = dicom("110106", "Export");
const IMPORT: Coding = dicom("110107", "Import");
/// Purging is no RESTful interaction.
const PATIENT_RECORD: Coding = dicom("110110", "Patient Record");
const ALERT: Coding = dicom("110113", "Security Alert");
const AUTHENTICATION: Coding = dicom("110114", "User Authentication");

const LOGIN: Coding = dicom("110122", "Login");
const LOGOUT: Coding = dicom("110123", "Logout");
const SECURITY_CONFIGURATION: Coding = dicom("110129", "Security Configuration");
const RESTRICTED: Coding = dicom("110132", "Use of Restricted Function");
const USER_SECURITY: Coding = dicom("110137", "User security Attributes Changed");

/// How an action is shown whose code this version does not know.
pub(crate) const OTHER_TYPE: Coding = APPLICATION;
/// The subtype that goes with [`OTHER_TYPE`].
pub(crate) const OTHER_SUBTYPE: Coding = RESTRICTED;

const fn dicom(code: &'static str, display: &'static str) -> Coding {
    Coding { system: DCM, code, display }
}
const fn rest(interaction: &'static str) -> Coding {
    Coding { system: INTERACTION, code: interaction, display: interaction }
}
const fn lifecycle(code: &'static str, display: &'static str) -> Coding {
    Coding { system: LIFECYCLE, code, display }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $letter:literal, $type:expr, $subtype:expr;)*) => {
        /// What an audited event was about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Action {
            $($(#[$doc])* $variant = $code,)*
        }

        impl Action {
            /// Every action, by rising code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in queries and listings, e.g. `login-failed`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// `AuditEvent.action`: C, R, U, D or E.
            pub(crate) const fn letter(self) -> &'static str {
                match self { $(Self::$variant => $letter,)* }
            }

            /// `AuditEvent.type`.
            pub(crate) const fn event_type(self) -> Coding {
                match self { $(Self::$variant => $type,)* }
            }

            /// `AuditEvent.subtype`.
            pub(crate) const fn subtype(self) -> Coding {
                match self { $(Self::$variant => $subtype,)* }
            }
        }
    };
}

actions! {
    /// A resource was created.
    Create = 1, "create", "C", REST, rest("create");
    /// The current version of a resource was read.
    Read = 2, "read", "R", REST, rest("read");
    /// One version of a resource was read.
    Vread = 3, "vread", "R", REST, rest("vread");
    /// A resource was replaced.
    Update = 4, "update", "U", REST, rest("update");
    /// A resource was changed by a patch.
    Patch = 5, "patch", "U", REST, rest("patch");
    /// A resource was deleted; its history stays.
    Delete = 6, "delete", "D", REST, rest("delete");
    /// The history of a resource, a type or the store was read.
    History = 7, "history", "R", REST, rest("history");
    /// A search was run.
    Search = 8, "search", "E", REST, rest("search");
    /// A transaction Bundle was committed or refused.
    Transaction = 9, "transaction", "E", REST, rest("transaction");
    /// A batch Bundle was processed.
    Batch = 10, "batch", "E", REST, rest("batch");
    /// A resource and its history were removed for good.
    Purge = 11, "purge", "D", PATIENT_RECORD, lifecycle("destroy", "Destroy/Delete Record Lifecycle Event");
    /// The content of an attachment was read.
    AttachmentRead = 12, "attachment-read", "R", REST, rest("operation");

    /// Resources were imported.
    Import = 20, "import", "C", IMPORT, lifecycle("receive", "Receive/Retain Record Lifecycle Event");
    /// Resources were exported in clear.
    Export = 21, "export", "R", EXPORT, lifecycle("extract", "Extract Record Lifecycle Event");
    /// The store was written to an encrypted archive.
    Archive = 22, "archive", "R", EXPORT, lifecycle("archive", "Archive Record Lifecycle Event");
    /// The store was filled from an archive.
    Restore = 23, "restore", "C", IMPORT, lifecycle("restore", "Restore Record Lifecycle Event");

    /// The store was opened.
    Opened = 30, "opened", "E", APPLICATION, dicom("110120", "Application Start");
    /// The store was closed.
    Closed = 31, "closed", "E", APPLICATION, dicom("110121", "Application Stop");
    /// A person began a session.
    Login = 32, "login", "E", AUTHENTICATION, LOGIN;
    /// A session was refused.
    LoginFailed = 33, "login-failed", "E", AUTHENTICATION, LOGIN;
    /// A session ended.
    Logout = 34, "logout", "E", AUTHENTICATION, LOGOUT;
    /// The store was locked: by the user, by idleness or at the session's limit.
    Lock = 35, "lock", "E", AUTHENTICATION, LOGOUT;
    /// The store was unlocked.
    Unlock = 36, "unlock", "E", AUTHENTICATION, LOGIN;
    /// An unlock failed: a wrong passcode or a missing key.
    UnlockFailed = 37, "unlock-failed", "E", AUTHENTICATION, LOGIN;
    /// The store let go of its files while the app is in the background.
    Suspend = 38, "suspend", "E", APPLICATION, dicom("110121", "Application Stop");
    /// The store took its files up again.
    Resume = 39, "resume", "E", APPLICATION, dicom("110120", "Application Start");
    /// Emergency access began.
    BreakGlass = 40, "break-glass", "E", ALERT, dicom("110127", "Emergency Override Started");
    /// Emergency access ended.
    BreakGlassEnded = 41, "break-glass-ended", "E", ALERT, dicom("110138", "Emergency Override Stopped");
    /// An act was refused for want of permission or fresh authentication.
    AccessDenied = 42, "access-denied", "E", ALERT, RESTRICTED;

    /// The store was created.
    Initialised = 50, "initialised", "C", ALERT, SECURITY_CONFIGURATION;
    /// The key that wraps the other keys was replaced.
    KeyRotated = 51, "key-rotated", "U", ALERT, SECURITY_CONFIGURATION;
    /// The database was encrypted anew under another key.
    DatabaseRekeyed = 52, "database-rekeyed", "U", ALERT, SECURITY_CONFIGURATION;
    /// The passcode was set or changed.
    PasscodeChanged = 53, "passcode-changed", "U", ALERT, USER_SECURITY;
    /// The passcode was removed.
    PasscodeRemoved = 54, "passcode-removed", "D", ALERT, USER_SECURITY;
    /// A recovery passphrase was set.
    RecoverySet = 55, "recovery-set", "U", ALERT, SECURITY_CONFIGURATION;
    /// The keys were recovered with the recovery passphrase.
    Recovered = 56, "recovered", "E", ALERT, RESTRICTED;
    /// A setting was changed.
    Configured = 57, "configured", "U", ALERT, SECURITY_CONFIGURATION;
    /// The schema was brought to a newer version.
    Migrated = 58, "migrated", "U", ALERT, dicom("110131", "Software Configuration");
    /// The keys were destroyed, and with them the data.
    Erased = 59, "erased", "D", ALERT, lifecycle("destroy", "Destroy/Delete Record Lifecycle Event");

    /// Versions were taken over from another store.
    SyncReceive = 60, "sync-receive", "U", IMPORT, lifecycle("receive", "Receive/Retain Record Lifecycle Event");
    /// Versions were handed to another store.
    SyncSend = 61, "sync-send", "R", EXPORT, lifecycle("transmit", "Transmit Record Lifecycle Event");
    /// Access to records was given or taken: grants, invitations, devices.
    SyncAccess = 62, "sync-access", "U", ALERT, USER_SECURITY;
    /// A person decided between two edits.
    SyncResolve = 63, "sync-resolve", "U", APPLICATION, lifecycle("merge", "Merge Record Lifecycle Event");

    /// The store was checked for damage.
    Verify = 70, "verify", "E", APPLICATION, lifecycle("verify", "Verify Record Lifecycle Event");
    /// The file is older than its anchor outside says.
    RollbackSuspected = 71, "rollback-suspected", "E", ALERT, RESTRICTED;
    /// An operator accepted an older file.
    RollbackAccepted = 72, "rollback-accepted", "E", ALERT, SECURITY_CONFIGURATION;
    /// Another device seems to run a copy of this store.
    CloneSuspected = 73, "clone-suspected", "E", ALERT, RESTRICTED;
    /// The store was set aside because its keys do not fit.
    Quarantined = 74, "quarantined", "E", ALERT, SECURITY_CONFIGURATION;

    /// The audit trail was searched or listed.
    AuditRead = 80, "audit-read", "R", AUDIT_LOG_USED, lifecycle("access", "Access/View Record Lifecycle Event");
    /// The audit trail was exported.
    AuditExport = 81, "audit-export", "R", AUDIT_LOG_USED, lifecycle("extract", "Extract Record Lifecycle Event");
    /// The audit trail was verified.
    AuditVerify = 82, "audit-verify", "R", AUDIT_LOG_USED, lifecycle("verify", "Verify Record Lifecycle Event");
    /// Audit records beyond their retention were removed.
    AuditPurged = 83, "audit-purged", "D", AUDIT_LOG_USED, lifecycle("destroy", "Destroy/Delete Record Lifecycle Event");
}

impl Action {
    /// The stored code.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The action with this stored code; `None` for a code of a later version, or a damaged one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.code() == code)
    }

    /// The action with this [`name`](Self::name).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }
}
