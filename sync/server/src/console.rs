//! The operator's calls from another process on the server's machine.
//!
//! A server that runs keeps a file in its data directory that says where it listens, with a token of this run. Whoever
//! may read that directory needs no other token, and nothing else of the server is opened.
//!
//! Invariants: the token is drawn anew at each start and ends with the server; only its hash is compared; it counts for
//! the operator's calls and from the same machine alone. The certificate is checked as any FHIR client checks it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use bytes::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request};
use keepwell_protocol::Secret;
use keepwell_tls::{AuthoritySettings, Error as TlsError, HttpClient, HttpLimits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::identity::authority_pem;
use crate::private_file;

/// The file of a server that runs, in the data directory.
const FILE: &str = "running.json";

/// The file.
#[derive(Serialize, Deserialize)]
struct Running {
    address: SocketAddr,
    token: Secret,
}

/// Says in the data directory that a server listens at `address`, and by which token its console is known.
pub(crate) fn open(directory: &Path, address: SocketAddr, token: &Secret) -> Result<()> {
    let running = Running { address, token: token.clone() };
    let text = Zeroizing::new(serde_json::to_vec(&running).expect("texts only"));
    private_file::replace(&directory.join(FILE), &text)
        .map_err(Error::io("while saying that the server runs"))
}

/// Takes back what [`open`] said.
pub(crate) fn close(directory: &Path) {
    // A file that stays, as after a crash, holds a token that no server knows.
    let _ = std::fs::remove_file(directory.join(FILE));
}

/// The operator's calls to a server that runs on this machine, over its own HTTP interface.
#[derive(Debug)]
pub struct Console {
    http: HttpClient,
    token: Secret,
    runtime: Runtime,
}

impl Console {
    /// Finds the server whose data is where `config` says.
    ///
    /// # Errors
    /// [`Error::NotRunning`] if there is none, or it has no TLS; [`Error::Io`] if its files cannot be read.
    pub fn open(config: &Config) -> Result<Self> {
        let text = match std::fs::read(config.data.join(FILE)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::NotRunning),
            text => Zeroizing::new(text.map_err(Error::io("while looking for the server"))?),
        };
        let running: Running = serde_json::from_slice(&text).map_err(|_| Error::NotRunning)?;
        let settings = AuthoritySettings::from_pem(authority_pem(&config.data)?.as_bytes())?;
        let http = HttpClient::unpinned(&settings, config.address.clone(), HttpLimits::default())?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::io("while starting the console"))?;
        Ok(Self { http: http.connecting_to(reachable(running.address)), token: running.token, runtime })
    }

    /// Reads what is at `path`, which is what follows `/admin/v1/`.
    ///
    /// # Errors
    /// [`Error::Answered`] for what the server does not do; [`Error::NotRunning`] if it ended without saying so;
    /// [`Error::Tls`] for a connection that fails otherwise.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, &Value::Null)
    }

    /// Has something done.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, body)
    }

    /// Sets what is at `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PUT, path, body)
    }

    /// Takes back what is at `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.call(Method::DELETE, path, &Value::Null)
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let bearer = Zeroizing::new(format!("Bearer {}", self.token.reveal()));
        let request = Request::builder().method(method).uri(format!("/admin/v1/{path}"));
        let request = request.header(AUTHORIZATION, bearer.as_str()).body(Bytes::from(body.to_string()));
        let request = request.map_err(|_| TlsError::Address)?;
        let (status, body) = self.runtime.block_on(async {
            let answer = self.http.send(request).await?;
            Ok::<_, TlsError>((answer.status(), answer.into_body().whole().await?))
        })?;
        let value: Value = serde_json::from_slice(&body).map_err(|_| TlsError::NotHttp)?;
        match status.as_u16() {
            200 => Ok(value),
            // Another run's token: this one was killed before it could take its file back, or has begun since.
            401 => Err(Error::NotRunning),
            status => Err(Error::Answered {
                status,
                code: value["error"].as_u64().and_then(|code| u16::try_from(code).ok()),
                message: value["message"].as_str().unwrap_or("it does not say why").to_owned(),
            }),
        }
    }
}

/// Where a process on the same machine reaches what listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
