//! A sync server for the tests of those that sync with one.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use keepwell_backend::Access;
use keepwell_server::{Config, Server, TokenUse, Tokens, pin_set, prepare, prepare_key};
use keepwell_tls::Invitation;
use tempfile::TempDir;

const INVITATION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A sync server of the tenant "clinic" on a free port of loopback, with TLS and an encrypted store of its own, that
/// ends with this value. Panics where a server would say what is wrong.
pub struct Clinic {
    server: Option<Server>,
    token: String,
    folder: TempDir,
}

impl Clinic {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let config = Self::config(folder.path(), "127.0.0.1:0");
        prepare(&config).expect("a server can be made here");
        let tokens = Tokens::open(&config.data).expect("the folder was just made");
        let token = tokens.issue("reader", TokenUse::Fhir).expect("the folder was just made").to_string();
        let server = Server::start(config).expect("the server starts");
        Self { server: Some(server), token, folder }
    }

    /// The configuration of a server whose data lies in `folder`, and which listens there.
    #[must_use]
    pub fn config(folder: &Path, listen: &str) -> Config {
        let place = folder.display();
        let text = format!(
            "tenant = 'clinic'\ndata = '{place}/data'\nkeychain = 'file:{place}/keys'\nlisten = '{listen}'\naddress = '127.0.0.1'\nlog = 'error'\n"
        );
        Config::parse(&text, []).expect("the configuration is sound")
    }

    /// Stops the server, for another process to go on with its data; where it listened.
    pub fn stop(&mut self) -> SocketAddr {
        let address = self.server().address();
        self.server = None;
        address
    }

    /// Starts the server anew, where it listened.
    ///
    /// # Panics
    /// Where a server would say what is wrong.
    pub fn restart(&mut self) {
        let address = self.stop().to_string();
        self.start_at(&address);
    }

    /// Starts a server that was stopped, to listen there.
    ///
    /// # Panics
    /// As [`Self::restart`].
    pub fn start_at(&mut self, address: &str) {
        let server = Server::start(Self::config(self.folder(), address));
        self.server = Some(server.expect("the server starts again"));
    }

    /// The server itself.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it was not stopped")
    }

    /// The bearer token of a FHIR client, the user "reader".
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where an ordinary FHIR client finds it.
    #[must_use]
    pub fn fhir_address(&self) -> String {
        format!("https://{}/fhir", self.server().address())
    }

    /// The certificate of the authority that vouches for it, in PEM.
    #[must_use]
    pub fn authorities(&self) -> String {
        let identity = std::fs::read(self.folder().join("data/identity.json")).expect("the server made it");
        let identity: serde_json::Value = serde_json::from_slice(&identity).expect("the server writes JSON");
        let certificate = identity["servers"].as_str().expect("it has the authority of its servers");
        format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n")
    }

    /// The folder where its data lies, in `data`; what a test puts beside it goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets `user` write the records of `Patient/{patient}`.
    pub fn grant(&self, user: &str, patient: &str) {
        let user = user.parse().expect("a user is named as FHIR names ids");
        let scope = format!("Patient/{patient}").parse().expect("a scope of a patient");
        self.server().operator().grant(&user, &scope, Access::Write).expect("the backend works");
    }

    /// An invitation for a device of `user`.
    #[must_use]
    pub fn invitation(&self, user: &str) -> Invitation {
        let user = user.parse().expect("a user is named as FHIR names ids");
        let made = self.server().operator().invite(&user, INVITATION_LIFETIME);
        let mut invitation = made.expect("the backend works");
        let address = format!("https://{}", self.server().address());
        invitation.address = address.parse().expect("an address with the port that was free");
        invitation
    }

    /// The text of an invitation for a device of `user`, who may write the records of `Patient/{patient}`.
    #[must_use]
    pub fn invite(&self, user: &str, patient: &str) -> String {
        self.grant(user, patient);
        self.invitation(user).text().expect("the server has pins").to_string()
    }

    /// The document of its newest pins, which have a next key: devices do not have them from the server, which goes on
    /// with what it began with.
    ///
    /// # Panics
    /// Where the operator's program would say what is wrong.
    #[must_use]
    pub fn pins(&self) -> String {
        let config = Self::config(self.folder(), "127.0.0.1:0");
        let root = self.folder().join("data/offline/pin-root.seed");
        prepare_key(&config, &root).expect("the folder has the key that signs");
        pin_set(&config).expect("the server has pins").1
    }

    /// Orders every device to destroy its store when it is here next.
    pub fn wipe_devices(&self) {
        let operator = self.server().operator();
        for device in operator.devices().expect("the backend works") {
            operator.wipe(&device.id).expect("the device is known");
        }
    }
}
