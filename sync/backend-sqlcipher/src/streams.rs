//! The tables `server_stream`, `server_decided` and `server_archive`.

use keepwell_backend::{Archived, Closed, Decided, Result};
use keepwell_protocol::{Body, Id, Incarnation, ParkKind, Sequence};
use rusqlite::{Row, params};

use crate::convert::{
    collect, corrupt, failed, first, hash, id, instant, number, own_key, run, sequence, version,
};
use crate::tenant::SqlTenant;

impl SqlTenant<'_, '_, '_> {
    fn known_stream(&mut self, device: &Id, incarnation: Incarnation) -> Result<Option<i64>> {
        if let Some(key) = self.streams.get(&(device.clone(), incarnation)) {
            return Ok(Some(*key));
        }
        let key = first(
            self.connection(),
            "-- known_stream\nSELECT key FROM server_stream WHERE device = ?1 AND incarnation = ?2",
            params![device.as_str(), incarnation.bits().cast_signed()],
            |row| row.get(0).map_err(failed),
        )?;
        if let Some(key) = key {
            self.streams.insert((device.clone(), incarnation), key);
        }
        Ok(key)
    }

    /// The row of a stream, which is written down if it is new.
    pub(crate) fn stream(&mut self, device: &Id, incarnation: Incarnation) -> Result<i64> {
        if let Some(key) = self.known_stream(device, incarnation)? {
            return Ok(key);
        }
        let key = first(
            self.connection(),
            "-- stream
             INSERT INTO server_stream (device, incarnation, last) VALUES (?1, ?2, 0) RETURNING key",
            params![device.as_str(), incarnation.bits().cast_signed()],
            |row| row.get(0).map_err(failed),
        )?
        .ok_or_else(corrupt)?;
        self.streams.insert((device.clone(), incarnation), key);
        Ok(key)
    }

    pub(crate) fn stream_last(&mut self, device: &Id, incarnation: Incarnation) -> Result<Sequence> {
        let Some(key) = self.known_stream(device, incarnation)? else { return Ok(Sequence::ZERO) };
        let sql = "-- stream_last\nSELECT last FROM server_stream WHERE key = ?1";
        let last = first(self.connection(), sql, [key], |row| sequence(row.get(0).map_err(failed)?))?;
        last.ok_or_else(corrupt)
    }

    pub(crate) fn set_stream_last(
        &mut self,
        device: &Id,
        incarnation: Incarnation,
        last: Sequence,
    ) -> Result<()> {
        let key = self.stream(device, incarnation)?;
        let sql = "-- set_stream_last\nUPDATE server_stream SET last = ?2 WHERE key = ?1";
        run(self.connection(), sql, [key, number(last.get())]).map(|_| ())
    }

    pub(crate) fn decided_after(
        &mut self,
        device: &Id,
        incarnation: Incarnation,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Decided>> {
        let Some(key) = self.known_stream(device, incarnation)? else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        collect(
            self.connection(),
            "-- decided_after
             SELECT sequence, line, settlement, type, id FROM server_decided
             WHERE stream = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
            [key, number(after.get()), limit],
            |row| {
                Ok(Decided {
                    sequence: sequence(row.get(0).map_err(failed)?)?,
                    line: hash(row.get(1).map_err(failed)?),
                    settlement: row.get(2).map_err(failed)?,
                    key: own_key(row, 3)?,
                })
            },
        )
    }

    pub(crate) fn put_decided(
        &mut self,
        device: &Id,
        incarnation: Incarnation,
        decided: &Decided,
    ) -> Result<()> {
        let key = self.stream(device, incarnation)?;
        run(
            self.connection(),
            "-- put_decided
             INSERT INTO server_decided (stream, sequence, line, type, id, settlement)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                key,
                number(decided.sequence.get()),
                decided.line.as_bytes(),
                decided.key.kind.code(),
                decided.key.id.as_str(),
                decided.settlement
            ],
        )
        .map(|_| ())
    }

    pub(crate) fn remove_decided(
        &mut self,
        device: &Id,
        incarnation: Incarnation,
        upto: Sequence,
    ) -> Result<()> {
        let Some(key) = self.known_stream(device, incarnation)? else { return Ok(()) };
        let sql = "-- remove_decided\nDELETE FROM server_decided WHERE stream = ?1 AND sequence <= ?2";
        run(self.connection(), sql, [key, number(upto.get())]).map(|_| ())
    }

    pub(crate) fn put_archived(&mut self, record: &Archived) -> Result<()> {
        run(
            self.connection(),
            "-- put_archived
             INSERT OR IGNORE INTO server_archive
                 (device, user, cid, kind, type, id, base, theirs, at, received, paths, mine)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                record.device.as_str(),
                record.user.as_str(),
                record.cid,
                serde_json::to_string(&record.kind).expect("a kind is a text"),
                record.key.kind.code(),
                record.key.id.as_str(),
                number(record.base.get()),
                record.theirs.map(|theirs| number(theirs.get())),
                record.at.map(|at| at.ms()),
                record.received.ms(),
                serde_json::to_string(&record.paths).expect("a list of texts is JSON"),
                record.mine.as_ref().map(|mine| mine.as_bytes())
            ],
        )?;
        self.keep_blobs_of(record.mine.as_ref())
    }

    pub(crate) fn note_closed(&mut self, device: &Id, cid: &str, closed: &Closed) -> Result<()> {
        run(
            self.connection(),
            "-- note_closed
             UPDATE server_archive SET decision = ?3, closed_by = ?4, closed_at = ?5
             WHERE device = ?1 AND cid = ?2 AND decision IS NULL",
            params![
                device.as_str(),
                cid,
                serde_json::to_string(&closed.decision).expect("a decision is a text"),
                closed.by.as_str(),
                closed.at.ms()
            ],
        )
        .map(|_| ())
    }

    pub(crate) fn archived_after(&mut self, after: u64, limit: usize) -> Result<Vec<Archived>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        collect(
            self.connection(),
            "-- archived_after
             SELECT number, device, user, cid, kind, type, id, base, theirs, at, received, paths, mine, decision,
                    closed_by, closed_at
             FROM server_archive WHERE number > ?1 ORDER BY number LIMIT ?2",
            [number(after), limit],
            archived,
        )
    }
}

fn archived(row: &Row<'_>) -> Result<Archived> {
    let text = |at: usize| row.get::<_, String>(at).map_err(failed);
    let number: i64 = row.get(0).map_err(failed)?;
    let kind: ParkKind = serde_json::from_str(&text(4)?).map_err(|_| corrupt())?;
    let theirs: Option<i64> = row.get(8).map_err(failed)?;
    let at: Option<i64> = row.get(9).map_err(failed)?;
    let mine: Option<Vec<u8>> = row.get(12).map_err(failed)?;
    Ok(Archived {
        number: number.cast_unsigned(),
        device: id(&text(1)?)?,
        user: id(&text(2)?)?,
        cid: text(3)?,
        kind,
        key: own_key(row, 5)?,
        base: version(row.get(7).map_err(failed)?)?,
        theirs: theirs.map(version).transpose()?,
        at: at.map(instant),
        received: instant(row.get(10).map_err(failed)?),
        paths: serde_json::from_str(&text(11)?).map_err(|_| corrupt())?,
        mine: mine.map(Body::new).transpose().map_err(|_| corrupt())?,
        closed: closed(row)?,
    })
}

fn closed(row: &Row<'_>) -> Result<Option<Closed>> {
    let Some(decision) = row.get::<_, Option<String>>(13).map_err(failed)? else { return Ok(None) };
    Ok(Some(Closed {
        decision: serde_json::from_str(&decision).map_err(|_| corrupt())?,
        by: id(&row.get::<_, String>(14).map_err(failed)?)?,
        at: instant(row.get(15).map_err(failed)?),
    }))
}
