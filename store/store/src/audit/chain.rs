//! The chain: each record is bound by its mac to the record before it.
//!
//! `mac(n) = HMAC-SHA-256(key, label, mac(n-1), every other column of record n)`, with mac(0) = 32 zero bytes. The
//! key is derived from the vault's audit key, so the database key alone forges nothing. The input is the frozen
//! encoding of [`Encoder`]; a golden test holds it.
//!
//! Invariants: sequences are dense and rise by commit order; `recorded` never falls; a record names an actor.

use ring::{digest, hkdf, hmac};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Actor, Event, checkpoint::Signer};

/// A mac, a digest or a chain head.
pub(crate) type Mac = [u8; 32];

/// The head of an empty chain.
pub(crate) const GENESIS: Mac = [0; 32];

const MAC_KEY_LABEL: &[u8] = b"keepwell/audit/mac/v1";
const SIGNER_SEED_LABEL: &[u8] = b"keepwell/audit/checkpoint/v1";
const RECORD_LABEL: &[u8] = b"keepwell/audit/record/v1";
const ACTOR_LABEL: &[u8] = b"keepwell/audit/actor/v1";
const PURGED_LABEL: &[u8] = b"keepwell/audit/purged/v1";

/// Writes values so that no two lists of values have the same bytes: a tag, for text and bytes the length as 32
/// bits, then the value; integers as 64 bits, all big-endian.
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    /// Room for a record without a long detail.
    const CAPACITY: usize = 320;

    fn new(label: &[u8]) -> Self {
        let mut encoder = Self(Vec::with_capacity(Self::CAPACITY));
        encoder.bytes(label);
        encoder
    }

    fn integer(&mut self, value: i64) {
        self.0.push(1);
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.0.push(2);
        let length = u32::try_from(value.len()).expect("SQLite holds no value of 4 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
    }

    fn optional_integer(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.integer(value),
            None => self.0.push(0),
        }
    }

    fn optional_bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bytes(value),
            None => self.0.push(0),
        }
    }
}

/// The keys of the chain, derived from the vault's audit key.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    mac: hmac::Key,
    pub(super) signer: Signer,
}

impl Keys {
    pub(crate) fn derive(audit_key: &[u8; 32]) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(audit_key);
        let mac = hmac::Key::new(hmac::HMAC_SHA256, expand(&root, MAC_KEY_LABEL).as_slice());
        let signer = Signer::new(&expand(&root, SIGNER_SEED_LABEL));
        Self { mac, signer }
    }

    fn mac(&self, encoded: &Encoder) -> Mac {
        to_mac(hmac::sign(&self.mac, &encoded.0).as_ref())
    }

    /// Binds the texts of an actor to its number.
    pub(super) fn actor_mac(&self, key: i64, actor: &Actor) -> Mac {
        let mut encoder = Encoder::new(ACTOR_LABEL);
        encoder.integer(key);
        for text in [actor.user(), actor.app(), actor.device(), actor.purpose()] {
            encoder.bytes(text.as_bytes());
        }
        self.mac(&encoder)
    }

    /// Binds the proof of a purged segment.
    pub(super) fn purged_mac(
        &self,
        first: i64,
        last: i64,
        before: &Mac,
        last_mac: &Mac,
        digest: &Mac,
    ) -> Mac {
        let mut encoder = Encoder::new(PURGED_LABEL);
        encoder.integer(first);
        encoder.integer(last);
        for value in [before, last_mac, digest] {
            encoder.bytes(value);
        }
        self.mac(&encoder)
    }

    /// The mac of a record that follows the one with mac `previous`.
    pub(super) fn record_mac(&self, previous: &Mac, sequence: i64, fields: &Fields<'_>) -> Mac {
        let mut encoder = Encoder::new(RECORD_LABEL);
        encoder.bytes(previous);
        encoder.integer(sequence);
        encoder.integer(fields.recorded);
        encoder.optional_integer(fields.skew);
        encoder.integer(fields.actor);
        encoder.integer(fields.action);
        encoder.integer(fields.outcome);
        encoder.optional_integer(fields.resource);
        encoder.optional_integer(fields.version);
        encoder.optional_integer(fields.patient);
        encoder.optional_integer(fields.first_change);
        encoder.optional_integer(fields.last_change);
        encoder.optional_bytes(fields.digest);
        encoder.optional_bytes(fields.detail);
        self.mac(&encoder)
    }
}

/// The columns of a record between its sequence and its mac.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) recorded: i64,
    pub(super) skew: Option<i64>,
    pub(super) actor: i64,
    pub(super) action: i64,
    pub(super) outcome: i64,
    pub(super) resource: Option<i64>,
    pub(super) version: Option<i64>,
    pub(super) patient: Option<i64>,
    pub(super) first_change: Option<i64>,
    pub(super) last_change: Option<i64>,
    pub(super) digest: Option<&'a [u8]>,
    pub(super) detail: Option<&'a [u8]>,
}

/// The columns of `audit` in the order that [`StoredRecord::read`] expects.
macro_rules! record_columns {
    () => {
        "sequence, recorded, skew, actor, action, outcome, resource, version, patient, first_change, last_change,
         digest, detail, mac"
    };
}
pub(super) use record_columns;

/// A record as it stands in the file, true or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredRecord<'a> {
    pub(super) sequence: i64,
    pub(super) fields: Fields<'a>,
    /// `None` when what stands there is no mac.
    pub(super) mac: Option<Mac>,
}

impl<'a> StoredRecord<'a> {
    pub(super) fn read(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        let fields = Fields {
            recorded: row.get(1)?,
            skew: row.get(2)?,
            actor: row.get(3)?,
            action: row.get(4)?,
            outcome: row.get(5)?,
            resource: row.get(6)?,
            version: row.get(7)?,
            patient: row.get(8)?,
            first_change: row.get(9)?,
            last_change: row.get(10)?,
            digest: row.get_ref(11)?.as_bytes_or_null()?,
            detail: row.get_ref(12)?.as_bytes_or_null()?,
        };
        let mac = row.get_ref(13)?.as_blob()?.try_into().ok();
        Ok(Self { sequence: row.get(0)?, fields, mac })
    }
}

/// Where the chain ends. Taken before a transaction and put back if that is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last sequence; 0 of an empty chain.
    pub(crate) sequence: i64,
    /// The mac of the last record.
    pub(crate) mac: Mac,
    /// When the last record was made, ms since 1970.
    pub(crate) recorded: i64,
    /// The last sequence that a checkpoint covers.
    pub(super) checkpoint: i64,
    /// When the first record after the last checkpoint was made.
    pub(super) uncovered_since: Option<i64>,
}

/// The audit chain of one store: its keys and its head.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    keys: Keys,
    head: Head,
}

const LOAD: &str = "
    -- audit::chain::load
    SELECT sequence, mac, recorded FROM audit ORDER BY sequence DESC LIMIT 1";
const LOAD_CHECKPOINT: &str = "
    -- audit::chain::load
    SELECT coalesce(max(sequence), 0) FROM audit_checkpoint";
const LOAD_UNCOVERED: &str = "
    -- audit::chain::load
    SELECT recorded FROM audit WHERE sequence > :checkpoint ORDER BY sequence LIMIT 1";
const APPEND: &str = "
    -- audit::chain::append
    INSERT INTO audit (sequence, recorded, skew, actor, action, outcome, resource, version, patient,
                       first_change, last_change, digest, detail, mac)
    VALUES (:sequence, :recorded, :skew, :actor, :action, :outcome, :resource, :version, :patient,
            :first_change, :last_change, :digest, :detail, :mac)";

impl Chain {
    /// The chain of the store behind `connection`.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn load(connection: &Connection, audit_key: &[u8; 32]) -> rusqlite::Result<Self> {
        let last: Option<(i64, Mac, i64)> =
            connection.query_row(LOAD, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        let (sequence, mac, recorded) = last.unwrap_or((0, GENESIS, i64::MIN));
        let checkpoint: i64 = connection.query_row(LOAD_CHECKPOINT, [], |row| row.get(0))?;
        let uncovered_since = connection
            .query_row(LOAD_UNCOVERED, named_params! {":checkpoint": checkpoint}, |row| row.get(0))
            .optional()?;
        let head = Head { sequence, mac, recorded, checkpoint, uncovered_since };
        Ok(Self { keys: Keys::derive(audit_key), head })
    }

    /// Appends `event` at the wall clock `now_ms` (ms since 1970) and returns its sequence.
    ///
    /// A wall clock behind the last record does not turn time back: `recorded` stays and `skew` says by how much.
    ///
    /// # Errors
    /// Those of the database; the chain is then unchanged.
    pub(crate) fn append(
        &mut self,
        connection: &Connection,
        now_ms: i64,
        event: &Event<'_>,
    ) -> rusqlite::Result<i64> {
        let recorded = now_ms.max(self.head.recorded);
        let sequence = self.head.sequence + 1;
        let changes = event.changes.as_ref();
        let fields = Fields {
            recorded,
            skew: (recorded > now_ms).then(|| recorded - now_ms),
            actor: event.actor,
            action: event.action.code(),
            outcome: event.outcome.code(),
            resource: event.resource,
            version: event.version,
            patient: event.patient,
            first_change: changes.map(|changes| changes.first),
            last_change: changes.map(|changes| changes.last),
            digest: changes.map(|changes| changes.digest.as_slice()),
            detail: event.detail.map(str::as_bytes),
        };
        let mac = self.keys.record_mac(&self.head.mac, sequence, &fields);
        connection.prepare_cached(APPEND)?.execute(named_params! {
            ":sequence": sequence, ":recorded": fields.recorded, ":skew": fields.skew, ":actor": fields.actor,
            ":action": fields.action, ":outcome": fields.outcome, ":resource": fields.resource,
            ":version": fields.version, ":patient": fields.patient, ":first_change": fields.first_change,
            ":last_change": fields.last_change, ":digest": fields.digest, ":detail": event.detail,
            ":mac": mac.as_slice(),
        })?;
        let uncovered_since = self.head.uncovered_since.or(Some(recorded));
        self.head = Head { sequence, mac, recorded, uncovered_since, ..self.head };
        Ok(sequence)
    }

    /// Where the chain ends.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Puts back a head that was taken before a transaction which was then rolled back.
    pub(crate) fn restore(&mut self, head: Head) {
        self.head = head;
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn covered(&mut self) {
        self.head.checkpoint = self.head.sequence;
        self.head.uncovered_since = None;
    }
}

/// The length that HKDF is asked for.
struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        size_of::<Mac>()
    }
}

fn expand(root: &hkdf::Prk, label: &[u8]) -> zeroize::Zeroizing<Mac> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    root.expand(&[label], KeyLength)
        .and_then(|key_material| key_material.fill(key.as_mut_slice()))
        .expect("HKDF-SHA-256 gives up to 8160 bytes");
    key
}

pub(super) fn to_mac(bytes: &[u8]) -> Mac {
    bytes.try_into().expect("SHA-256 gives 32 bytes")
}

/// SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> Mac {
    to_mac(digest::digest(&digest::SHA256, bytes).as_ref())
}
