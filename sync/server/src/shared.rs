//! What all requests of a server share.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Request};
use keepwell_backend::Backend;
use keepwell_tls::Device;
use tokio::sync::{Semaphore, watch};

use crate::config::{Config, seconds};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::sync::Hub;
use crate::tenant::Tenant;
use crate::token::{Bearer, TokenUse, Tokens};

/// What all requests of a server share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) tenant: Tenant,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) hub: Hub,
    pub(crate) tokens: Tokens,
    pub(crate) metrics: Metrics,
    /// One for each request that may work on the store at the same time.
    working: Arc<Semaphore>,
    capabilities: OnceLock<Vec<u8>>,
    /// Becomes true when the server stops.
    stopping: watch::Receiver<bool>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The device whose certificate the handshake has accepted.
    pub(crate) device: Option<Arc<Device>>,
}

/// What kind of call an answer belongs to, for the log and the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call(pub(crate) &'static str);

/// A request did not get its turn in time, or the server stops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy;

impl Shared {
    pub(crate) fn new(
        config: Config,
        identity: Identity,
        tenant: Tenant,
        backend: Arc<dyn Backend>,
        tokens: Tokens,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let working = Arc::new(Semaphore::new(config.limits.working as usize));
        let hub = Hub::new(backend.as_ref());
        Self {
            config,
            identity,
            tenant,
            backend,
            hub,
            tokens,
            metrics: Metrics::default(),
            working,
            capabilities: OnceLock::new(),
            stopping,
        }
    }

    /// Does `work` on a thread that may wait, when it is this request's turn.
    pub(crate) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let turn = self.working.clone().acquire_owned();
        let turn = tokio::time::timeout(self.turn(), turn).await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let shared = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&shared)
        });
        done.await.map_err(|_| Busy)
    }

    /// How long a request waits for its turn.
    pub(crate) fn turn(&self) -> Duration {
        seconds(self.config.limits.turn_s)
    }

    /// Whose token a request brings.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Option<Bearer> {
        self.tokens.bearer(token(headers)?)
    }

    /// What a request may do by its token; that of the console counts on this machine only.
    pub(crate) fn purpose<B>(&self, request: &Request<B>) -> Option<TokenUse> {
        let token = token(request.headers())?;
        if self.is_near(request) && self.tokens.is_consoles(token) {
            return Some(TokenUse::Operator);
        }
        self.tokens.bearer(token).map(|bearer| bearer.purpose)
    }

    /// Whether a request comes from the machine that the server is on.
    pub(crate) fn is_near<B>(&self, request: &Request<B>) -> bool {
        let is_own = |from: IpAddr| from.is_loopback() || from == self.config.listen.ip();
        request.extensions().get::<Peer>().is_some_and(|peer| is_own(peer.address.ip()))
    }

    /// The CapabilityStatement, as of the first time that somebody asked.
    pub(crate) fn capabilities(&self) -> &[u8] {
        self.capabilities
            .get_or_init(|| crate::fhir::statement(&self.config.fhir_base(), jiff::Timestamp::now()))
    }

    /// Whether the server stops.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when the server stops.
    pub(crate) async fn stops(&self) {
        // Its other end is gone only when the server is.
        let _ = self.stopping.clone().wait_for(|stops| *stops).await;
    }
}

/// The bearer token of a request.
fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
