//! A server in this process, for the demo and the bench: what it keeps lies in a folder that its caller removes.

use std::path::Path;
use std::time::Duration;

use keepwell_backend::Access;
use keepwell_protocol::Id;
use keepwell_server::{Config, Operator, Server};
use keepwell_store::{Actor, ImportOptions, ImportSource};
use keepwell_tls::Invitation;

use crate::exit::{Failure, Result, io as io_failure};

const APP: &str = "keepwell-server";
/// How long an invitation counts.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server on loopback. Dropped, it stops.
pub(crate) struct LocalServer {
    server: Server,
}

impl LocalServer {
    /// Makes a server in `folder` and starts it.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(io_failure("making a folder for the server"))?;
        let shown = folder.display();
        let text = format!(
            "tenant = 'clinic'\ndata = '{shown}/data'\nkeychain = 'file:{shown}/keys'\nlisten = '127.0.0.1:0'\naddress = '127.0.0.1'\nlog = 'error'\n"
        );
        let config = Config::parse(&text, [])?;
        keepwell_server::prepare(&config)?;
        Ok(Self { server: Server::start(config)? })
    }

    pub(crate) fn operator(&self) -> Operator<'_> {
        self.server.operator()
    }

    /// An invitation of a device of `user`, with the port that was free.
    pub(crate) fn invite(&self, user: &str) -> Result<Invitation> {
        let mut invitation = self.operator().invite(&id(user)?, DAY)?;
        let address = format!("https://{}", self.server.address());
        invitation.address = address.parse().map_err(keepwell_client::Error::from)?;
        Ok(invitation)
    }

    /// Gives a user a scope to write.
    pub(crate) fn grant(&self, user: &str, scope: &str) -> Result<()> {
        let scope = scope.parse().map_err(keepwell_client::Error::from)?;
        Ok(self.operator().grant(&id(user)?, &scope, Access::Write)?)
    }

    /// Imports resources, a line each, as the server's own.
    pub(crate) fn fill(&self, lines: &[u8]) -> Result<()> {
        let actor =
            Actor::new("operator", APP, "server").map_err(|_| Failure::NotHeld("the operator has a name"))?;
        let session = self.server.session(actor)?;
        session.import(ImportSource::reader("data", lines), &ImportOptions::default(), &mut |_| ())?;
        Ok(session.close()?)
    }
}

fn id(text: &str) -> Result<Id> {
    text.parse().map_err(|_| Failure::NotHeld("ids are as FHIR has them"))
}
