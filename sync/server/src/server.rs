//! A server from its start to its end. It has threads of its own; whoever starts it needs no runtime.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keepwell_backend::Backend;
use keepwell_protocol::Secret;
use keepwell_store::vault::{FileKeychain, Keychain, SystemKeychain};
use keepwell_store::{Actor, Session};
use keepwell_tls::{UnixTime, WARNING};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::config::{Config, KeychainChoice};
use crate::console;
use crate::error::{Error, Result};
use crate::identity::{Identity, OFFLINE, SERVER_RENEWAL, later};
use crate::listener::Listener;
use crate::operator::Operator;
use crate::private_file;
use crate::routes::routes;
use crate::shared::Shared;
use crate::sync::Hub;
use crate::tenant::{self, Tenant};
use crate::token::{self, OPERATOR, TokenUse, Tokens};

/// The service that secrets have in the keychain of the operating system.
const SERVICE: &str = "keepwell-server";

/// What is shown once, when a server has been made.
pub struct Welcome {
    /// The operator's token.
    pub operator_token: Zeroizing<String>,
    /// The folder whose files belong on another medium.
    pub offline: std::path::PathBuf,
}

/// Makes what a server needs: keys, certificates, the tenant's store, the operator's token. Does nothing, and gives
/// nothing, if it has been made.
///
/// # Errors
/// [`Error::Unsafe`], [`Error::Incomplete`], [`Error::Io`]; those of the keychain and of the store.
pub fn prepare(config: &Config) -> Result<Option<Welcome>> {
    refuse_unsafe(config)?;
    private_file::directory(&config.data).map_err(Error::io("while making the data directory"))?;
    match (Identity::exists(&config.data), Tenant::exists(&config.data)) {
        (true, true) => return Ok(None),
        (false, false) => {}
        _ => return Err(Error::Incomplete),
    }
    let keychain = keychain(config);
    Tenant::create(config, keychain.clone())?;
    let operator_token = Tokens::open(&config.data)?.issue(OPERATOR, TokenUse::Operator)?;
    // Last: a directory with an identity has everything.
    Identity::create(config, keychain.as_ref(), UnixTime::now())?;
    Ok(Some(Welcome { operator_token, offline: config.data.join(OFFLINE) }))
}

fn refuse_unsafe(config: &Config) -> Result<()> {
    config.check().first().map_or(Ok(()), |found| Err(Error::Unsafe(*found)))
}

pub(crate) fn keychain(config: &Config) -> Arc<dyn Keychain> {
    match &config.keychain {
        KeychainChoice::System => Arc::new(SystemKeychain::new(SERVICE)),
        KeychainChoice::File(directory) => Arc::new(FileKeychain::new(directory)),
    }
}

/// A running server. Dropped, it stops.
pub struct Server {
    runtime: Runtime,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    listener: Option<JoinHandle<()>>,
}

/// Stops a server from another thread.
#[derive(Clone)]
pub struct StopHandle(watch::Sender<bool>);

impl StopHandle {
    /// Tells the server to stop; returns at once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Starts a server that [`prepare`] has made.
    ///
    /// # Errors
    /// [`Error::Unsafe`], [`Error::Identity`], [`Error::Listen`], [`Error::Io`]; those of the keychain and of the
    /// store.
    pub fn start(config: Config) -> Result<Self> {
        refuse_unsafe(&config)?;
        let keychain = keychain(&config);
        let identity = Identity::open(&config.data, keychain.as_ref())?;
        let (tenant, backend) = Tenant::open(&config, keychain)?;
        let tokens = Tokens::open(&config.data)?;
        let tokens = tokens.with_operator(config.operator_token.as_ref().map(|token| token.as_str()));
        let console = Secret::new(token::random()?.to_string());
        let tokens = tokens.with_console(console.reveal());
        if config.data.join(OFFLINE).exists() {
            tracing::warn!("the files of the folder offline are still on the server");
        }
        if identity.pins.expires_at <= later(UnixTime::now(), WARNING) {
            tracing::warn!("the pins of the server end soon: prepare another key");
        }
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::new(config, identity, tenant, backend, tokens, stopping));
        Self::run(shared, stop, &console)
    }

    fn run(shared: Arc<Shared>, stop: watch::Sender<bool>, token: &Secret) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("keepwell").build();
        let runtime = runtime.map_err(Error::io("while starting the threads"))?;
        let failed = |error: std::io::Error| Error::Listen(error.kind());
        let listener = runtime.block_on(TcpListener::bind(shared.config.listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = match shared.config.plain_http {
            true => None,
            false => {
                let (renew, tls) = watch::channel(shared.identity.listener(&shared.config, UnixTime::now())?);
                runtime.spawn(keep_certificate(shared.clone(), renew));
                console::open(&shared.config.data, address, token)?;
                Some(tls)
            }
        };
        runtime.spawn(keep_open(shared.clone()));
        runtime.spawn(Hub::run(shared.clone()));
        let listening = Listener::new(shared.clone(), routes(shared.clone()), tls);
        let task = runtime.spawn(listening.run(listener));
        Ok(Self { runtime, address, shared, stop, listener: Some(task) })
    }

    /// Where it listens: with port 0 in the configuration, the port that was free.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The tenant as sync sees it, for what the host itself brings in.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        self.shared.backend.as_ref()
    }

    /// A session of the tenant's store, for what the host itself imports.
    ///
    /// # Errors
    /// Those of the store.
    pub fn session(&self, actor: Actor) -> Result<Session> {
        Ok(self.shared.tenant.store().session(actor)?)
    }

    /// The operator's calls.
    #[must_use]
    pub fn operator(&self) -> Operator<'_> {
        Operator(&self.shared)
    }

    /// Stops this server from another thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.stop.clone())
    }

    /// Waits until the server was told to stop, by a [`StopHandle`] or by the operating system (SIGTERM, SIGINT), and
    /// its requests have been answered; then closes the store.
    ///
    /// # Errors
    /// [`Error::Io`] if signals cannot be listened to; those of closing the store.
    pub fn wait(mut self) -> Result<()> {
        let (shared, port) = (self.shared.clone(), u64::from(self.address.port()));
        let told = self.runtime.block_on(async {
            tokio::select! {
                signal = signal(|| tracing::info!(port, "listening")) => signal,
                () = shared.stops() => Ok(()),
            }
        });
        self.close()?;
        told.map_err(Error::io("while listening to signals"))
    }

    fn close(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        let Some(listener) = self.listener.take() else { return Ok(()) };
        tracing::info!("stopping");
        console::close(&self.shared.config.data);
        // It ends by itself when it is told to.
        let _ = self.runtime.block_on(listener);
        let closed = self.shared.tenant.close();
        tracing::info!("stopped");
        Ok(closed?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `wait`.
        let _ = self.close();
    }
}

/// Waits for the operating system to say that it is time to go; `ready` is called as soon as it would be heard.
#[cfg(unix)]
async fn signal(ready: impl FnOnce()) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    ready();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal(ready: impl FnOnce()) -> std::io::Result<()> {
    ready();
    tokio::signal::ctrl_c().await
}

/// Makes the certificate anew long before it ends; its key stays, and so do the pins.
async fn keep_certificate(
    shared: Arc<Shared>,
    renew: watch::Sender<Arc<keepwell_tls::rustls::ServerConfig>>,
) {
    while pause(&shared, SERVER_RENEWAL).await {
        match shared.identity.listener(&shared.config, UnixTime::now()) {
            Ok(new) => {
                renew.send_replace(new);
            }
            Err(error) => tracing::error!(code = u64::from(error.code()), "no new certificate"),
        }
    }
}

/// Visits the store so that it does not lock itself.
async fn keep_open(shared: Arc<Shared>) {
    while pause(&shared, tenant::VISIT).await {
        if let Ok(Err(error)) = shared.work(|shared| shared.tenant.visit()).await {
            tracing::error!(code = u64::from(error.code()), "the store does not answer");
        }
    }
}

/// Waits; false if the server stops meanwhile.
async fn pause(shared: &Shared, time: Duration) -> bool {
    tokio::time::timeout(time, shared.stops()).await.is_err()
}
