//! A plain FHIR server, and the tokens that it wants.

use std::sync::Arc;

use keepwell_client::{SearchError, Writes};
use keepwell_protocol::Secret;
use keepwell_store::Error;

use crate::boundary::callback;
use crate::progress::ListenerFault;

/// What is written to a plain FHIR server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FhirWrites {
    /// Edits, if the server was seen to refuse writes on old versions.
    Guarded,
    /// Nothing: the device reads.
    Never,
    /// Edits, whatever the server does: between a look and a write another one's write may be overwritten.
    Consented,
}

/// A plain FHIR server, and what is held of it.
#[derive(Clone, Debug, uniffi::Record)]
pub struct FhirServer {
    /// Its address: `https://host/fhir`.
    pub address: String,
    /// The certificates of the authorities that may vouch for it, in PEM.
    pub authorities: String,
    /// The searches whose results are held, such as `Patient/7/$everything`.
    pub searches: Vec<String>,
    /// A bearer token that does not expire, kept in the encrypted store: otherwise `set_token_provider`.
    #[uniffi(default = None)]
    pub token: Option<String>,
    /// What is written to it; guarded if not given.
    #[uniffi(default = None)]
    pub writes: Option<FhirWrites>,
    /// Accepts TLS 1.2 from it.
    #[uniffi(default = false)]
    pub allow_tls12: bool,
}

impl TryFrom<FhirServer> for keepwell_client::FhirServer {
    type Error = Error;

    fn try_from(server: FhirServer) -> Result<Self, Error> {
        let searches = server.searches.iter().map(|search| search.parse());
        let searches = searches
            .collect::<Result<_, SearchError>>()
            .map_err(|_| Error::Argument("not a search that can be kept up to date"))?;
        let mut made = Self::new(server.address, server.authorities, searches);
        made.token = server.token.map(Secret::new);
        made.allow_tls12 = server.allow_tls12;
        made.writes = match server.writes {
            None | Some(FhirWrites::Guarded) => Writes::Guarded,
            Some(FhirWrites::Never) => Writes::Never,
            Some(FhirWrites::Consented) => Writes::Consented,
        };
        Ok(made)
    }
}

/// Gives bearer tokens for a plain FHIR server, such as those of OAuth. It is asked on a thread of the library, by one
/// thread at a time; it may block, and whoever ends the round waits for it then. It must not call the library.
#[uniffi::export(with_foreign)]
pub trait TokenProvider: Send + Sync {
    /// A token: there is none yet, or the server has just refused the last one (`is_refused`).
    ///
    /// # Errors
    /// Whatever fails, or a text that is no token: the round stops with problem 448 and is tried again later.
    fn token(&self, is_refused: bool) -> Result<String, ListenerFault>;
}

/// The app's tokens as sync asks for them.
pub(crate) struct OfHost(pub(crate) Arc<dyn TokenProvider>);

impl keepwell_client::TokenProvider for OfHost {
    fn token(&self, is_refused: bool) -> Option<Secret> {
        callback(|| self.0.token(is_refused)).ok().map(Secret::new)
    }
}
