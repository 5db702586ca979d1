//! The tables of a server in the store of a tenant, and what an ordinary interaction means to them.

use std::cell::RefCell;

use keepwell_backend::{Change, Content, Head, NewContent, changed};
use keepwell_protocol::{Body, Position, ResourceKey, Version};
use keepwell_store::fhir::Walker;
use keepwell_store::{Changed, Connection, Error, Extension, Migration, Operation, Result};

use crate::tenant::{Reach, SqlTenant};

thread_local! {
    /// Walks over what interactions write; its memory is kept.
    static WALKER: RefCell<Walker> = RefCell::new(Walker::new());
}

/// Belongs into [`StoreOptions::extensions`](keepwell_store::StoreOptions::extensions) of a tenant's store.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerExtension;

impl Extension for ServerExtension {
    fn name(&self) -> &'static str {
        "server"
    }

    fn migrations(&self) -> &'static [Migration] {
        const MIGRATIONS: &[Migration] = &[
            Migration { number: 1, name: "server", sql: include_str!("../migrations/0001_server.sql") },
            Migration { number: 2, name: "blobs", sql: include_str!("../migrations/0002_blobs.sql") },
            Migration {
                number: 3,
                name: "feed before",
                sql: include_str!("../migrations/0003_feed_before.sql"),
            },
            Migration { number: 4, name: "pins", sql: include_str!("../migrations/0004_pins.sql") },
            Migration { number: 5, name: "life", sql: include_str!("../migrations/0005_life.sql") },
            Migration {
                number: 6,
                name: "archive closed",
                sql: include_str!("../migrations/0006_archive_closed.sql"),
            },
            Migration {
                number: 7,
                name: "grant changed",
                sql: include_str!("../migrations/0007_grant_changed.sql"),
            },
        ];
        MIGRATIONS
    }

    fn changed(&self, connection: &Connection, made: &Changed<'_>) -> Result<()> {
        // What the rules write, they tell the scopes themselves.
        if made.is_foreign { Ok(()) } else { hear(connection, made) }
    }

    /// What a server has is nobody's unsent edit.
    fn unsynced(&self, _: &Connection) -> Result<Option<u64>> {
        Ok(Some(0))
    }
}

fn hear(connection: &Connection, made: &Changed<'_>) -> Result<()> {
    let damaged = |_| Error::Corrupt;
    let key = ResourceKey { kind: made.resource_type, id: made.id().parse().map_err(damaged)? };
    let gone = matches!(made.operation, Operation::Delete | Operation::Purge);
    let head = Head {
        version: Version::new(made.version).ok_or(Error::Corrupt)?,
        position: Position::new(made.sequence.cast_unsigned()).ok_or(Error::Corrupt)?,
        at: made.last_updated,
        deleted: gone,
    };
    let text = made.content(connection)?.map(String::from_utf8).transpose().map_err(|_| Error::Corrupt)?;
    let content = text.map(Body::stored).map(|body| {
        let content = WALKER.with_borrow_mut(|walker| Content::of(walker, &key, &body));
        (body, content)
    });
    let mut tenant = SqlTenant::new(Reach::Hearing(connection, made));
    let told = (|| {
        let content = content.as_ref().map(|(body, content)| NewContent {
            bytes: body.as_bytes(),
            hash: body.hash(),
            scopes: &content.scopes,
            blobs: &content.blobs,
        });
        changed(&mut tenant, &Change { key: &key, head, content, origin: None })?;
        tenant.finish()
    })();
    told.map_err(|error| match error {
        keepwell_backend::Error::Storage { source, .. } => match source.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => Error::Corrupt,
        },
        _ => Error::Argument("a sync server cannot keep this change"),
    })
}
