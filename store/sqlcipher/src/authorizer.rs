//! What a statement may do on an open database.
//!
//! `ATTACH ... KEY ''` with `sqlcipher_export` writes the whole store in clear without any error
//! (requirement R-06), and a pragma can switch protection off. So an ordinary statement may read and
//! write rows of our tables, and whatever is not listed here is denied. Only [`Lifted`], which never
//! leaves this crate, allows a change of the schema.
//!
//! Invariant: a connection that leaves this crate has the strict policy installed.

use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};

/// Functions that reach out of the database.
const DENIED_FUNCTIONS: [&str; 3] = ["sqlcipher_export", "load_extension", "fts3_tokenizer"];

/// Pragmas that only report, with or without an argument.
const REPORTING_PRAGMAS: [&str; 11] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "foreign_key_check",
    "integrity_check",
    "quick_check",
    "wal_checkpoint",
];

/// Pragmas that may be read; setting them is another matter.
const READABLE_PRAGMAS: [&str; 17] = [
    "user_version",
    "data_version",
    "schema_version",
    "page_count",
    "page_size",
    "freelist_count",
    "max_page_count",
    "compile_options",
    "cipher_version",
    "cipher_provider",
    "cipher_provider_version",
    "cipher_status",
    "cipher_fips_status",
    "cipher_integrity_check",
    "synchronous",
    "wal_autocheckpoint",
    "shrink_memory",
];

/// Pragmas that may be set to any value: they bound or defer work and protect nothing.
const SETTABLE_PRAGMAS: [&str; 3] = ["wal_autocheckpoint", "max_page_count", "defer_foreign_keys"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Rows of our tables.
    Strict,
    /// Also the schema and its version: migrations and `VACUUM`.
    Maintenance,
}

/// Puts the strict policy on a connection.
pub(crate) fn install(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    set(connection, Policy::Strict)
}

/// A connection whose schema may be changed, until this is dropped.
pub(crate) struct Lifted<'c>(&'c mut Connection);

impl<'c> Lifted<'c> {
    pub(crate) fn new(connection: &'c mut Connection) -> Result<Self, rusqlite::Error> {
        set(connection, Policy::Maintenance)?;
        Ok(Self(connection))
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.0
    }
}

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        set(self.0, Policy::Strict).expect("an open connection takes an authorizer");
    }
}

fn set(connection: &mut Connection, policy: Policy) -> Result<(), rusqlite::Error> {
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        if allows(policy, context.action) { Authorization::Allow } else { Authorization::Deny }
    }))
}

fn allows(policy: Policy, action: AuthAction<'_>) -> bool {
    let maintenance = policy == Policy::Maintenance;
    match action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. } => true,
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => maintenance || !is_internal(table_name),
        AuthAction::Function { function_name } => !is_one_of(&DENIED_FUNCTIONS, function_name),
        AuthAction::Pragma { pragma_name, pragma_value } => {
            allows_pragma(pragma_name, pragma_value)
                || (maintenance && pragma_name.eq_ignore_ascii_case("user_version"))
        }
        // `VACUUM` attaches a nameless database, which lives in memory.
        AuthAction::Attach { filename } => maintenance && filename.is_empty(),
        AuthAction::Detach { .. } => maintenance,
        // What is left changes the schema.
        AuthAction::Unknown { .. } => false,
        _ => maintenance,
    }
}

fn allows_pragma(name: &str, value: Option<&str>) -> bool {
    match value {
        None => is_one_of(&READABLE_PRAGMAS, name) || is_one_of(&REPORTING_PRAGMAS, name),
        // Never OFF: an acknowledged write must survive a crash of the process.
        Some(value) if name.eq_ignore_ascii_case("synchronous") => is_one_of(&["FULL", "NORMAL"], value),
        Some(_) => is_one_of(&SETTABLE_PRAGMAS, name) || is_one_of(&REPORTING_PRAGMAS, name),
    }
}

/// SQLite's own tables: the schema, counters and statistics.
fn is_internal(table: &str) -> bool {
    table.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("sqlite_"))
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}
