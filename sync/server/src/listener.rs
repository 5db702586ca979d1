//! The accept loop: who may connect, how long each step may take, and how it all ends.
//!
//! Invariants: no more connections than the limits say, in all and from one address; a connection that does not get on
//! is closed; when the server stops, nothing new is taken, requests in flight are finished, and what is not done in
//! time is dropped.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keepwell_tls::{Device, rustls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::config::seconds;
use crate::metrics::Present;
use crate::routes;
use crate::shared::{Peer, Shared};
use crate::stalling::Stalling;
use crate::waiting::{opens_events, serve_events};

/// A failure to accept, such as for want of file descriptors, passes by itself.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Listens for the connections of a server.
pub(crate) struct Listener {
    shared: Arc<Shared>,
    router: Router,
    /// How TLS is spoken now; nothing for plain HTTP.
    tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
    room: Arc<Semaphore>,
    sources: Arc<Sources>,
}

impl Listener {
    pub(crate) fn new(
        shared: Arc<Shared>,
        router: Router,
        tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(shared.config.limits.connections as usize));
        Self { shared, router, tls, room, sources: Arc::default() }
    }

    /// Takes connections until the server stops, then waits for those that are open.
    pub(crate) async fn run(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.shared.stops() => break,
            };
            let Ok((stream, address)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            match (self.room.clone().try_acquire_owned(), self.sources.enter(address.ip(), &self.shared)) {
                (Ok(place), Some(source)) => self.take(stream, Peer { address, device: None }, place, source),
                // Closed at once: a client knows at the first byte that it should come later.
                _ => {
                    self.shared.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        drop(listener);
        let everybody = self.room.acquire_many(self.shared.config.limits.connections);
        let _ = tokio::time::timeout(seconds(self.shared.config.limits.stop_s), everybody).await;
    }

    fn take(&self, stream: TcpStream, peer: Peer, place: OwnedSemaphorePermit, source: Source) {
        let (shared, router) = (self.shared.clone(), self.router.clone());
        let tls = self.tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
        shared.metrics.accepted.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let _held = (place, source, Present::new(&shared.metrics.connections));
            // Answers go out when they are written, not when a packet is full.
            let _ = stream.set_nodelay(true);
            match tls {
                None => serve(stream, peer, &shared, router).await,
                Some(tls) => match handshake(stream, &tls, &shared).await {
                    Some((stream, device)) => {
                        serve(stream, Peer { device: device.map(Arc::new), ..peer }, &shared, router).await;
                    }
                    None => {
                        shared.metrics.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(from = peer.address.ip().to_string(), "no handshake");
                    }
                },
            }
        });
    }
}

type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// Boxed, so that a connection that waits does not hold the room of its handshake.
async fn handshake(
    stream: TcpStream,
    tls: &TlsAcceptor,
    shared: &Shared,
) -> Option<(TlsStream, Option<Device>)> {
    let handshake =
        Box::pin(tokio::time::timeout(seconds(shared.config.limits.handshake_s), tls.accept(stream)));
    let stream = tokio::select! {
        done = handshake => done.ok()?.ok()?,
        () = shared.stops() => return None,
    };
    let device = Device::of_peer(stream.get_ref().1.peer_certificates()).ok()?;
    Some((stream, device))
}

/// Answers the requests of one connection.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    shared: &Arc<Shared>,
    router: Router,
) {
    let limits = &shared.config.limits;
    let mut stream = Stalling::new(stream, seconds(limits.write_s));
    // Boxed, like all that follows: a connection that waits for hints holds the room of nothing else.
    let first = Box::pin(opens_events(&mut stream, limits.head_bytes as usize));
    let first = tokio::select! {
        first = tokio::time::timeout(seconds(limits.head_s), first) => first,
        () = shared.stops() => return,
    };
    // How a connection ends is for its client to tell.
    match first {
        Ok(Ok(true)) => drop(serve_events(&mut stream, &peer, shared, router).await),
        Ok(Ok(false)) => Box::pin(serve_requests(stream, peer, shared, router)).await,
        Ok(Err(_)) | Err(_) => {}
    }
}

/// Answers the requests of a connection, with hyper.
async fn serve_requests(
    stream: Stalling<impl AsyncRead + AsyncWrite + Unpin>,
    peer: Peer,
    shared: &Arc<Shared>,
    router: Router,
) {
    let limits = &shared.config.limits;
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let (router, peer) = (router.clone(), peer.clone());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        async move { Ok::<_, Infallible>(routes::answer(shared, router, request, &peer).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(seconds(limits.head_s))
            .max_buf_size(limits.head_bytes as usize)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shared.stops() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(seconds(limits.stop_s), connection).await;
        }
    }
}

/// How many connections each address has.
#[derive(Default)]
struct Sources(Mutex<HashMap<IpAddr, u32>>);

impl Sources {
    fn enter(self: &Arc<Self>, address: IpAddr, shared: &Shared) -> Option<Source> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sources.entry(address).or_default();
        if *count >= shared.config.limits.connections_per_address {
            return None;
        }
        *count += 1;
        Some(Source { address, sources: self.clone() })
    }
}

/// A connection's place among those of its address.
struct Source {
    address: IpAddr,
    sources: Arc<Sources>,
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut sources = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&self.address);
            }
        }
    }
}
