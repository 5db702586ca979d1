//! A plain FHIR server, and how to reach it.

use keepwell_plain::{Search, Writes};
use keepwell_protocol::{Base64, Secret};
use keepwell_tls::{Address, AuthoritySettings};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, Result, corrupt};

/// A plain FHIR server, and what is held of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FhirServer {
    /// Its address: `https://host/fhir`.
    pub address: String,
    /// What it knows this device by: a bearer token.
    pub token: Option<Secret>,
    /// The certificates of the authorities that may vouch for it, in PEM.
    pub authorities: Vec<u8>,
    /// Accepts TLS 1.2 from it.
    pub allow_tls12: bool,
    /// What is held of it.
    pub searches: Vec<Search>,
    /// What is written to it.
    pub writes: Writes,
}

impl FhirServer {
    /// A server that is read and written, without a token.
    #[must_use]
    pub fn new(address: impl Into<String>, authorities: impl Into<Vec<u8>>, searches: Vec<Search>) -> Self {
        let (address, authorities) = (address.into(), authorities.into());
        Self { address, token: None, authorities, allow_tls12: false, searches, writes: Writes::default() }
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let Record { address, token, authorities, allow_tls12, searches, writes } =
            serde_json::from_slice(bytes).map_err(corrupt)?;
        let writes = match writes {
            Written::Never => Writes::Never,
            Written::Guarded => Writes::Guarded,
            Written::Consented => Writes::Consented,
        };
        Ok(Self { address, token, authorities: authorities.0, allow_tls12, searches, writes })
    }

    pub(super) fn write(&self) -> Zeroizing<Vec<u8>> {
        let writes = match self.writes {
            Writes::Never => Written::Never,
            Writes::Guarded => Written::Guarded,
            Writes::Consented => Written::Consented,
        };
        let record = Record {
            address: self.base().to_owned(),
            token: self.token.clone(),
            authorities: Base64(self.authorities.clone()),
            allow_tls12: self.allow_tls12,
            searches: self.searches.clone(),
            writes,
        };
        Zeroizing::new(serde_json::to_vec(&record).expect("texts are JSON"))
    }

    /// The address without a slash at its end.
    pub(super) fn base(&self) -> &str {
        self.address.trim_end_matches('/')
    }

    /// How to connect, where to, and the path of the address.
    pub(super) fn settings(&self) -> Result<(AuthoritySettings, Address, String)> {
        let rest = self.base().strip_prefix("https://");
        let rest = rest.ok_or(Error::Connection(keepwell_tls::Error::Address))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
            return Err(Error::Connection(keepwell_tls::Error::Address));
        }
        let mut settings = AuthoritySettings::from_pem(&self.authorities)?;
        settings.allow_tls12 = self.allow_tls12;
        Ok((settings, host.parse()?, path.to_owned()))
    }
}

/// The address of the server that is kept.
pub(crate) fn address_of(record: &[u8]) -> Result<String> {
    Ok(FhirServer::read(record)?.address)
}

/// What is kept of it, in the encrypted database.
#[derive(Serialize, Deserialize)]
struct Record {
    address: String,
    token: Option<Secret>,
    authorities: Base64,
    allow_tls12: bool,
    searches: Vec<Search>,
    writes: Written,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Written {
    Never,
    Guarded,
    Consented,
}
