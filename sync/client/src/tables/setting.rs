//! Values by name, and the types that stay here.

use keepwell_fhir::ResourceType;
use keepwell_store::Result;
use rusqlite::OptionalExtension;

use super::Tables;

/// The engine's own values.
pub(crate) const STATE: &str = "state";
/// The keys and certificates of this device.
pub(crate) const DEVICE: &str = "device";
/// The private key of this device, as PKCS #8.
pub(crate) const KEY: &str = "key";
/// The plain FHIR server that this device syncs with.
pub(crate) const FHIR: &str = "fhir";
/// The own values of the engine of that.
pub(crate) const FHIR_STATE: &str = "fhir-state";
/// Up to which change the resources that were there before the enrolment have been noted.
pub(crate) const ADOPTED: &str = "adopted";
/// The life of the store in which it was last synced.
pub(crate) const LIFE: &str = "life";
/// When the server was last met, in milliseconds since 1970.
pub(crate) const MET: &str = "met";
/// When certificate and pins were last looked after, in milliseconds since 1970; 0: the server is to be told of new ones.
pub(crate) const UPKEEP: &str = "upkeep";
/// Servers that were refused and that no good one has been told of.
pub(crate) const REFUSED: &str = "refused";
/// The lease.
pub(crate) const LEASE: &str = "lease";

impl Tables<'_> {
    /// A value.
    pub(crate) fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let mut statement = self
            .connection
            .prepare_cached("-- Tables::setting\nSELECT value FROM sync_setting WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Keeps a value.
    pub(crate) fn set_setting(&self, name: &str, value: &[u8]) -> Result<()> {
        self.connection
            .prepare_cached(
                "-- Tables::set_setting
                 INSERT INTO sync_setting (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = ?2",
            )?
            .execute((name, value))?;
        Ok(())
    }

    /// Whether edits are to be noted.
    pub(crate) fn is_enrolled(&self) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::is_enrolled\nSELECT EXISTS (SELECT 1 FROM sync_setting WHERE name IN ('device', 'fhir'))",
        )?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Whether a type never leaves the device.
    pub(crate) fn is_local(&self, kind: ResourceType) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "-- Tables::is_local\nSELECT EXISTS (SELECT 1 FROM sync_local_type WHERE name = ?1)",
        )?;
        Ok(statement.query_row([kind.name()], |row| row.get(0))?)
    }

    /// The types that never leave the device.
    pub(crate) fn local_types(&self) -> Result<Vec<ResourceType>> {
        let mut statement = self
            .connection
            .prepare_cached("-- Tables::local_types\nSELECT name FROM sync_local_type ORDER BY name")?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?;
        let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
        Ok(names.iter().filter_map(|name| ResourceType::parse(name)).collect())
    }

    /// Sets them.
    pub(crate) fn set_local_types(&self, kinds: &[ResourceType]) -> Result<()> {
        self.connection.execute("-- Tables::set_local_types\nDELETE FROM sync_local_type", [])?;
        for kind in kinds {
            self.connection
                .prepare_cached(
                    "-- Tables::set_local_types\nINSERT OR IGNORE INTO sync_local_type VALUES (?1)",
                )?
                .execute([kind.name()])?;
        }
        Ok(())
    }
}
