//! The pass over the records that finds where they do not follow each other.
//!
//! Invariant: it holds at most [`SUSPECTS_MAX`] records at a time.

use rusqlite::{Connection, OptionalExtension, Statement, named_params};

use super::chain::{Fields, GENESIS, Keys, Mac, StoredRecord};
use super::change_check::ChangeCheck;
use super::verify::{AuditAnchor, AuditReport, FindingKind};

/// Records that may have been put in or taken out at one place for the renumbering to be recognised.
const SHIFT_MAX: i64 = 256;

/// Changed records that are compared with each other to recognise a swap.
const SUSPECTS_MAX: usize = 64;

const CHECKPOINT_AT: &str = "
    -- audit::pass
    SELECT note FROM audit_checkpoint WHERE sequence = :sequence";

/// Where the pass ended, for the checks of what bounds the chain from outside.
pub(super) struct End {
    /// The last sequence, as it was before any renumbering.
    pub(super) last: i64,
    /// From here on records do not stand at their own sequence.
    pub(super) shifted_from: i64,
}

/// Records whose macs do not fit, one after the other.
struct Run {
    first: i64,
    length: i64,
    /// The mac before the first of them.
    base: Mac,
}

/// A record whose mac does not fit where it stands.
struct Suspect {
    sequence: i64,
    /// Its sequence before any renumbering.
    own: i64,
    previous: Mac,
    mac: Option<Mac>,
    owned: OwnedFields,
}

/// The columns of a suspect, kept until the pass has seen the others.
struct OwnedFields {
    plain: Fields<'static>,
    digest: Option<Vec<u8>>,
    detail: Option<Vec<u8>>,
}

impl OwnedFields {
    fn new(fields: &Fields<'_>) -> Self {
        Self {
            plain: Fields { digest: None, detail: None, ..*fields },
            digest: fields.digest.map(<[u8]>::to_vec),
            detail: fields.detail.map(<[u8]>::to_vec),
        }
    }

    fn fields(&self) -> Fields<'_> {
        Fields { digest: self.digest.as_deref(), detail: self.detail.as_deref(), ..self.plain }
    }
}

/// The pass over the records.
pub(super) struct Pass<'a> {
    keys: &'a Keys,
    checkpoint_at: Statement<'a>,
    changes: ChangeCheck<'a>,
    report: AuditReport,
    /// The sequence that comes next in a whole file.
    next: i64,
    /// The mac of the record before; `None` when that record is gone.
    previous: Option<Mac>,
    /// What the mac of the record before should have been, when it did not fit.
    repaired: Option<Mac>,
    /// By how much a record's own sequence is ahead of where it stands.
    shift: i64,
    shifted_from: i64,
    run: Option<Run>,
    suspects: Vec<Suspect>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        keys: &'a Keys,
        purged: AuditAnchor,
        report: AuditReport,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            keys,
            checkpoint_at: connection.prepare(CHECKPOINT_AT)?,
            changes: ChangeCheck::new(connection, purged.sequence == 0)?,
            report,
            next: purged.sequence + 1,
            previous: Some(purged.mac),
            repaired: None,
            shift: 0,
            shifted_from: i64::MAX,
            run: None,
            suspects: Vec::new(),
        })
    }

    pub(super) fn record(&mut self, record: &StoredRecord<'_>) -> rusqlite::Result<()> {
        self.report.records += 1;
        if record.sequence > self.next {
            self.gap(record.sequence)?;
        }
        self.next = record.sequence + 1;
        if self.fits(record) {
            self.run = None;
            self.repaired = None;
            self.changes.check(record, &mut self.report)?;
        } else {
            self.suspect(record);
            self.changes.lose_track();
        }
        self.previous = record.mac.or(self.repaired);
        Ok(())
    }

    /// Sequences are gone. A checkpoint at the last of them still tells its mac.
    fn gap(&mut self, found: i64) -> rusqlite::Result<()> {
        self.report.add(self.next, FindingKind::Missing(found - self.next));
        let note: Option<String> = self
            .checkpoint_at
            .query_row(named_params! {":sequence": found - 1}, |row| row.get(0))
            .optional()?;
        let head = note.and_then(|note| self.keys.signer.open(&note));
        self.previous = head.filter(|(sequence, _)| *sequence == found - 1).map(|(_, mac)| mac);
        self.repaired = None;
        self.run = None;
        self.changes.lose_track();
        Ok(())
    }

    /// Whether the record belongs where it stands, as far as can be told. Recognises what happened before it.
    fn fits(&mut self, record: &StoredRecord<'_>) -> bool {
        let Some(mac) = record.mac else { return false };
        let Some(previous) = self.previous else { return true };
        let own = record.sequence + self.shift;
        let is_at =
            |previous: &Mac, sequence| self.keys.record_mac(previous, sequence, &record.fields) == mac;
        if is_at(&previous, own) || self.repaired.is_some_and(|repaired| is_at(&repaired, own)) {
            return true;
        }
        let Some(run) = &self.run else { return false };
        if self.report.further_findings > 0 {
            return false;
        }
        let (first, length) = (run.first, run.length);
        if is_at(&run.base, own - length) && !self.is_swapped(run, mac, own) {
            self.explain(first, length, FindingKind::Inserted(length));
            self.renumber(first, -length);
            return true;
        }
        let shift = (1..=SHIFT_MAX).flat_map(|by| [by, -by]).find(|by| is_at(&previous, own + by));
        let Some(by) = shift else { return false };
        // The record before this one is the first after the place, and its own predecessor is gone.
        let place = record.sequence - 1;
        let kind = if by > 0 { FindingKind::Missing(by) } else { FindingKind::Inserted(-by) };
        self.explain(place, 1, kind);
        self.renumber(place, by);
        true
    }

    /// Whether a record of `run` belongs at `sequence`: then they changed places and nothing was put in.
    fn is_swapped(&self, run: &Run, mac: Mac, sequence: i64) -> bool {
        let members = || self.suspects.iter().filter(|suspect| suspect.sequence >= run.first);
        let predecessors: Vec<Mac> = members().filter_map(|member| member.mac).chain([mac]).collect();
        members().any(|member| {
            predecessors.iter().any(|previous| {
                Some(self.keys.record_mac(previous, sequence, &member.owned.fields())) == member.mac
            })
        })
    }

    fn suspect(&mut self, record: &StoredRecord<'_>) {
        let previous = self.previous.unwrap_or(GENESIS);
        let own = record.sequence + self.shift;
        self.repaired = Some(self.keys.record_mac(&previous, own, &record.fields));
        match &mut self.run {
            Some(run) => run.length += 1,
            None => self.run = Some(Run { first: record.sequence, length: 1, base: previous }),
        }
        if self.suspects.len() < SUSPECTS_MAX {
            let owned = OwnedFields::new(&record.fields);
            self.suspects.push(Suspect { sequence: record.sequence, own, previous, mac: record.mac, owned });
        } else {
            self.report.add(record.sequence, FindingKind::Edited);
        }
    }

    /// One finding takes the place of `count` suspects from `first` on.
    fn explain(&mut self, first: i64, count: i64, kind: FindingKind) {
        let explained = first..first + count;
        self.suspects.retain(|suspect| !explained.contains(&suspect.sequence));
        self.report
            .findings
            .retain(|finding| finding.kind != FindingKind::Edited || !explained.contains(&finding.sequence));
        self.report.add(first, kind);
    }

    fn renumber(&mut self, from: i64, by: i64) {
        self.shift += by;
        self.shifted_from = self.shifted_from.min(from);
        self.changes.lose_track();
    }

    /// The findings, and where the chain ends.
    pub(super) fn finish(mut self) -> rusqlite::Result<(AuditReport, End)> {
        for suspect in &self.suspects {
            if let Some(kind) = self.judge(suspect) {
                self.report.add(suspect.sequence, kind);
            }
        }
        self.changes.finish(self.next, &mut self.report)?;
        let last = self.next - 1;
        Ok((self.report, End { last: last + self.shift, shifted_from: self.shifted_from }))
    }

    /// A suspect that fits at the place of another was moved; one that fits at its own place after another's mac
    /// is only the neighbour of one that was moved.
    fn judge(&self, suspect: &Suspect) -> Option<FindingKind> {
        let fits = |place: &Suspect, previous: &Mac| {
            Some(self.keys.record_mac(previous, place.own, &suspect.owned.fields())) == suspect.mac
        };
        for place in &self.suspects {
            let others = self.suspects.iter().filter_map(|other| other.mac);
            if others.chain([place.previous]).any(|previous| fits(place, &previous)) {
                let is_own = place.sequence == suspect.sequence;
                return (!is_own).then_some(FindingKind::Reordered(place.sequence));
            }
        }
        Some(FindingKind::Edited)
    }
}
