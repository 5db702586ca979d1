//! The tables of a server in the store of a tenant, and what an ordinary interaction means to them.

use std::cell::RefCell;

use keepwell_backend::{Change, Content, Head, NewContent, changed};
use keepwell_protocol::{Body, Hash, Position, ResourceKey, Version};
use keepwell_store::fhir::Walker;
use keepwell_store::{Changed, Connection, Error, Extension, Migration, Operation, Result};

use crate::tenant::{Reach, SqlTenant};

/// Stands in a stored body where a large attachment was taken out; no JSON text has it.
const APART: u8 = 0x01;

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
        const MIGRATIONS: &[Migration] =
            &[Migration { number: 1, name: "server", sql: include_str!("../migrations/0001_server.sql") }];
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
    let stored = made.stored_after()?;
    let is_apart = stored.as_ref().is_some_and(|stored| stored.contains(&APART));
    // The texts that were taken out name no scope.
    let body = stored.map(|stored| Body::new(without_tokens(stored))).transpose().map_err(damaged)?;
    let content = body.map(|body| {
        let content = WALKER.with_borrow_mut(|walker| Content::of(walker, &key, &body));
        (body, content)
    });
    let mut tenant = SqlTenant::new(Reach::Hearing(connection, made));
    let hash = match &content {
        Some(_) if is_apart => tenant.owe_hash(made.key),
        Some((body, _)) => Ok(body.hash()),
        None => Ok(Hash::from_bytes([0; 32])),
    };
    let told = hash.and_then(|hash| {
        let content = content.as_ref().map(|(body, content)| NewContent {
            bytes: body.as_bytes(),
            hash,
            scopes: &content.scopes,
            blobs: &content.blobs,
        });
        changed(&mut tenant, &Change { key: &key, head, content, origin: None })?;
        tenant.finish()
    });
    told.map_err(|error| match error {
        keepwell_backend::Error::Storage { source, .. } => match source.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => Error::Corrupt,
        },
        _ => Error::Argument("a sync server cannot keep this change"),
    })
}

/// The same with blanks in the place of what marks an attachment: it becomes JSON again.
fn without_tokens(stored: Vec<u8>) -> Vec<u8> {
    let mut bytes = stored;
    for byte in &mut bytes {
        if *byte == APART {
            *byte = b'A';
        }
    }
    bytes
}
