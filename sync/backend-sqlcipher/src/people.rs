//! The table `server_device`.

use keepwell_backend::{Device, DeviceState, Result};
use keepwell_protocol::{Id, Secret};
use rusqlite::{Row, params};

use crate::convert::{collect, corrupt, failed, first, hash, id, instant, number, position, run};
use crate::tenant::SqlTenant;

const ACTIVE: i64 = 1;
const REVOKED: i64 = 2;
const WIPE: i64 = 3;
const WIPED: i64 = 4;

impl SqlTenant<'_, '_, '_> {
    pub(crate) fn find_device(&mut self, id: &Id) -> Result<Option<Device>> {
        first(
            self.connection(),
            "-- find_device
             SELECT id, user, name, key, serial, lease_key, state, wipe, enrolled, seen, position, pins
             FROM server_device WHERE id = ?1",
            [id.as_str()],
            device,
        )
    }

    pub(crate) fn all_devices(&mut self) -> Result<Vec<Device>> {
        collect(
            self.connection(),
            "-- all_devices
             SELECT id, user, name, key, serial, lease_key, state, wipe, enrolled, seen, position, pins
             FROM server_device ORDER BY id",
            [],
            device,
        )
    }

    pub(crate) fn keep_device(&mut self, device: &Device) -> Result<()> {
        let json = |text: serde_json::Result<String>| text.expect("an order or a receipt is JSON");
        let (state, wipe) = match &device.state {
            DeviceState::Active => (ACTIVE, None),
            DeviceState::Revoked => (REVOKED, None),
            DeviceState::Wipe(order) => (WIPE, Some(json(serde_json::to_string(order)))),
            DeviceState::Wiped(receipt) => (WIPED, Some(json(serde_json::to_string(receipt)))),
        };
        run(
            self.connection(),
            "-- keep_device
             INSERT OR REPLACE INTO server_device
                 (id, user, name, key, serial, lease_key, state, wipe, enrolled, seen, position, pins)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                device.id.as_str(),
                device.user.as_str(),
                device.name,
                device.key.as_bytes(),
                device.serial,
                device.lease_key.as_ref().map(Secret::reveal),
                state,
                wipe,
                device.enrolled.ms(),
                device.seen.ms(),
                number(device.position.get()),
                number(device.pins)
            ],
        )
        .map(|_| ())
    }
}

fn device(row: &Row<'_>) -> Result<Device> {
    let text = |at: usize| row.get::<_, String>(at).map_err(failed);
    let lease_key: Option<String> = row.get(5).map_err(failed)?;
    let state = match row.get(6).map_err(failed)? {
        ACTIVE => DeviceState::Active,
        REVOKED => DeviceState::Revoked,
        WIPE => DeviceState::Wipe(serde_json::from_str(&text(7)?).map_err(|_| corrupt())?),
        WIPED => DeviceState::Wiped(serde_json::from_str(&text(7)?).map_err(|_| corrupt())?),
        _ => return Err(corrupt()),
    };
    Ok(Device {
        id: id(&text(0)?)?,
        user: id(&text(1)?)?,
        name: text(2)?,
        key: hash(row.get(3).map_err(failed)?),
        serial: text(4)?,
        lease_key: lease_key.map(Secret::new),
        state,
        enrolled: instant(row.get(8).map_err(failed)?),
        seen: instant(row.get(9).map_err(failed)?),
        position: position(row.get(10).map_err(failed)?)?,
        pins: row.get::<_, i64>(11).map_err(failed)?.cast_unsigned(),
    })
}
