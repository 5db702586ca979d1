//! A trail in a plain in-memory database, and the facts about it.

mod chaining;
mod purging;
mod querying;
mod rendering;
mod tampering;

use rusqlite::{Connection, named_params};

use super::*;

pub(super) const KEY: [u8; 32] = [7; 32];
pub(super) const SCHEMA: &str = include_str!("../../../migrations/0001_store.sql");

/// A store's tables with an audit chain, and a clock that moves a second with each event.
pub(super) struct Trail {
    pub(super) connection: Connection,
    pub(super) chain: Chain,
    pub(super) actor: i64,
    pub(super) now_ms: i64,
    changes: i64,
}

impl Trail {
    pub(super) fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let chain = Chain::load(&connection, &KEY).unwrap();
        let actor = Actor::new("dr.jones", "ward-app", "tablet-3").unwrap();
        let actor = actor_key(&connection, &chain, &actor).unwrap();
        Self { connection, chain, actor, now_ms: 1_750_000_000_000, changes: 0 }
    }

    /// A trail of `count` events of several kinds; every third one writes changes.
    pub(super) fn of(count: i64) -> Self {
        let mut trail = Self::new();
        for number in 1..=count {
            match number % 3 {
                0 => trail.write(1 + number % 4),
                1 => trail.append(&Event {
                    detail: Some(r#"{"query":"Patient?name=x"}"#),
                    ..trail.event(Action::Search)
                }),
                _ => trail.append(&Event {
                    resource: Some(4),
                    version: Some(2),
                    patient: Some(9),
                    ..trail.event(Action::Read)
                }),
            };
        }
        trail
    }

    pub(super) fn event(&self, action: Action) -> Event<'static> {
        Event::new(self.actor, action, Outcome::Success)
    }

    pub(super) fn append(&mut self, event: &Event<'_>) -> i64 {
        self.now_ms += 1_000;
        self.chain.append(&self.connection, self.now_ms, event).unwrap()
    }

    /// A transaction that writes `count` changes, each of a resource of its own.
    pub(super) fn write(&mut self, count: i64) -> i64 {
        let mut digest = ChangeDigest::new();
        for _ in 0..count {
            self.changes += 1;
            let key = self.changes;
            self.add_resource(key, key);
            self.add_change(key, key, 1);
            digest.add(key, key, 1, 1, 1, &[9; 16]);
        }
        self.append(&Event { changes: digest.finish(), ..self.event(Action::Transaction) })
    }

    pub(super) fn add_resource(&self, key: i64, change: i64) {
        self.connection
            .execute(
                "INSERT INTO resource (key, type, id, version, last_updated, change, slot, body)
                 VALUES (:key, 1, :id, 1, 0, :change, 0, NULL)",
                named_params! {":key": key, ":id": format!("r{key}"), ":change": change},
            )
            .unwrap();
    }

    fn add_change(&self, sequence: i64, resource: i64, version: i64) {
        self.connection
            .execute(
                "INSERT INTO change_log (sequence, resource, type, version, operation, hash)
                 VALUES (:sequence, :resource, 1, :version, 1, :hash)",
                named_params! {":sequence": sequence, ":resource": resource, ":version": version, ":hash": [9u8; 16]},
            )
            .unwrap();
    }

    /// The hand of someone who has the database key: no trigger, no foreign key stops it.
    pub(super) fn tamper(&self, sql: &str) {
        let triggers: Vec<String> = self
            .connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for trigger in triggers {
            self.connection.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
        }
        self.connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        self.connection.execute_batch(sql).unwrap();
    }

    pub(super) fn anchor(&self) -> AuditAnchor {
        let head = self.chain.head();
        AuditAnchor { sequence: head.sequence, mac: head.mac }
    }

    pub(super) fn verify(&self, anchor: Option<AuditAnchor>) -> AuditReport {
        verify(&self.connection, &KEY, anchor).unwrap()
    }

    /// The findings of a verification without an anchor.
    pub(super) fn findings(&self) -> Vec<(i64, FindingKind)> {
        findings(&self.verify(None))
    }
}

pub(super) fn findings(report: &AuditReport) -> Vec<(i64, FindingKind)> {
    report.findings.iter().map(|finding| (finding.sequence, finding.kind)).collect()
}
