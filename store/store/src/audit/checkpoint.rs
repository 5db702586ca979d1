//! Checkpoints: signed statements of how far the chain had come.
//!
//! A checkpoint is a signed note in the text of C2SP `tlog-checkpoint`: the origin, the last sequence as the size,
//! the chain's head as the root, and an Ed25519 signature line. The root is a chain head, not a Merkle root: one
//! device writes in one line, and a server builds the tree over many. Whoever holds a checkpoint can show that a
//! shorter or different trail is not the one that was signed.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rusqlite::{Connection, named_params};

use super::chain::{Chain, Mac, sha256};

/// Records after which a checkpoint is due.
pub const CHECKPOINT_RECORDS: i64 = 1_000;

/// Milliseconds after which a checkpoint is due when there are records that none covers.
pub const CHECKPOINT_INTERVAL_MS: i64 = 10 * 60 * 1_000;

/// The signature type of Ed25519 in a signed note (C2SP signed-note).
const ED25519_TYPE: u8 = 1;
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// The Ed25519 key that signs checkpoints, and its name.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pair: Arc<Ed25519KeyPair>,
    origin: String,
}

impl Signer {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("an Ed25519 seed is any 32 bytes");
        let origin = format!("keepwell/audit/{}", hex::encode(&sha256(pair.public_key().as_ref())[..8]));
        Self { pair: Arc::new(pair), origin }
    }

    /// The key that verifies checkpoints, as a C2SP verifier key: `name+id+base64`.
    pub(crate) fn verifier_key(&self) -> String {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(self.pair.public_key().as_ref());
        format!("{}+{}+{}", self.origin, hex::encode(self.key_id()), STANDARD.encode(key))
    }

    /// The first four bytes of SHA-256 over name, line feed, type and public key.
    fn key_id(&self) -> [u8; 4] {
        let mut named = self.origin.clone().into_bytes();
        named.extend_from_slice(&[b'\n', ED25519_TYPE]);
        named.extend_from_slice(self.pair.public_key().as_ref());
        let [a, b, c, d, ..] = sha256(&named);
        [a, b, c, d]
    }

    pub(super) fn sign(&self, sequence: i64, head: &Mac) -> String {
        let text = format!("{}\n{sequence}\n{}\n", self.origin, STANDARD.encode(head));
        let mut signature = self.key_id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n{SIGNATURE_PREFIX}{} {}\n", self.origin, STANDARD.encode(signature))
    }

    /// The sequence and head that `note` states, if this key signed it.
    pub(super) fn open(&self, note: &str) -> Option<(i64, Mac)> {
        let (text, signatures) = note.split_at(note.rfind("\n\n")? + 1);
        let line = signatures.strip_prefix('\n')?.lines().find_map(|line| {
            line.strip_prefix(SIGNATURE_PREFIX)?.strip_prefix(self.origin.as_str())?.strip_prefix(' ')
        })?;
        let signature = STANDARD.decode(line).ok()?;
        let signature = signature.strip_prefix(self.key_id().as_slice())?;
        UnparsedPublicKey::new(&ED25519, self.pair.public_key()).verify(text.as_bytes(), signature).ok()?;
        let mut lines = text.strip_prefix(self.origin.as_str())?.strip_prefix('\n')?.lines();
        let sequence = lines.next()?.parse().ok()?;
        let head = STANDARD.decode(lines.next()?).ok()?;
        Some((sequence, head.try_into().ok()?))
    }
}

/// A checkpoint as stored and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditCheckpoint {
    /// The last audit sequence that it covers.
    pub sequence: i64,
    /// The signed note.
    pub note: String,
}

const INSERT: &str = "
    -- audit::checkpoint::write
    INSERT INTO audit_checkpoint (sequence, note) VALUES (:sequence, :note)";
const LATEST: &str = "
    -- audit::checkpoint::latest
    SELECT sequence, note FROM audit_checkpoint ORDER BY sequence DESC LIMIT 1";

impl Chain {
    /// Whether a checkpoint should be written now: enough records, or enough time with any record.
    pub(crate) fn checkpoint_due(&self, now_ms: i64) -> bool {
        let head = self.head();
        head.sequence - head.checkpoint >= CHECKPOINT_RECORDS
            || head
                .uncovered_since
                .is_some_and(|since| now_ms.saturating_sub(since) >= CHECKPOINT_INTERVAL_MS)
    }

    /// Signs the head, unless the last checkpoint covers it already. Called when due, at lock and at close.
    ///
    /// # Errors
    /// Those of the database; the chain is then unchanged.
    pub(crate) fn write_checkpoint(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let head = self.head();
        if head.sequence == head.checkpoint {
            return Ok(());
        }
        let note = self.keys().signer.sign(head.sequence, &head.mac);
        connection
            .prepare_cached(INSERT)?
            .execute(named_params! {":sequence": head.sequence, ":note": note})?;
        self.covered();
        Ok(())
    }

    /// The key that verifies checkpoints, as a C2SP verifier key line.
    pub(crate) fn verifier_key(&self) -> String {
        self.keys().signer.verifier_key()
    }
}

/// The latest checkpoint, to be kept elsewhere.
///
/// # Errors
/// Those of the database.
pub(crate) fn latest(connection: &Connection) -> rusqlite::Result<Option<AuditCheckpoint>> {
    use rusqlite::OptionalExtension as _;
    connection
        .query_row(LATEST, [], |row| Ok(AuditCheckpoint { sequence: row.get(0)?, note: row.get(1)? }))
        .optional()
}
