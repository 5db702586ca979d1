//! A sync server for the tests of those that sync with one.

use std::time::Duration;

use keepwell_backend::Access;
use keepwell_server::{Config, Server, prepare};
use tempfile::TempDir;

const INVITATION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A sync server of the tenant "clinic" on a free port of loopback, with TLS and an encrypted store of its own, that
/// ends with this value. Panics where a server would say what is wrong.
pub struct Clinic {
    server: Server,
    _folder: TempDir,
}

impl Clinic {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let place = folder.path().display();
        let text = format!(
            "tenant = 'clinic'\ndata = '{place}/data'\nkeychain = 'file:{place}/keys'\nlisten = '127.0.0.1:0'\naddress = '127.0.0.1'\nlog = 'error'\n"
        );
        let config = Config::parse(&text, []).expect("the configuration is sound");
        prepare(&config).expect("a server can be made here");
        let server = Server::start(config).expect("the server starts");
        Self { server, _folder: folder }
    }

    /// The text of an invitation for a device of `user`, who may write the records of `Patient/{patient}`.
    #[must_use]
    pub fn invite(&self, user: &str, patient: &str) -> String {
        let user = user.parse().expect("a user is named as FHIR names ids");
        let scope = format!("Patient/{patient}").parse().expect("a scope of a patient");
        let operator = self.server.operator();
        operator.grant(&user, &scope, Access::Write).expect("the backend works");
        let mut invitation = operator.invite(&user, INVITATION_LIFETIME).expect("the backend works");
        let address = format!("https://{}", self.server.address());
        invitation.address = address.parse().expect("an address with the port that was free");
        invitation.text().expect("the server has pins").to_string()
    }

    /// Orders every device to destroy its store when it is here next.
    pub fn wipe_devices(&self) {
        let operator = self.server.operator();
        for device in operator.devices().expect("the backend works") {
            operator.wipe(&device.id).expect("the device is known");
        }
    }
}
