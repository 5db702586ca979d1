//! HTTP to one server, and to nothing else.
//!
//! ```no_run
//! # async fn ask(settings: &keepwell_tls::ClientSettings) -> Result<(), Box<dyn std::error::Error>> {
//! use keepwell_tls::{HttpClient, HttpLimits};
//!
//! let client = HttpClient::new(settings, "https://sync.example.org".parse()?, HttpLimits::default())?;
//! let request = hyper::Request::get("/sync/v1/events").body(bytes::Bytes::new())?;
//! let answer = client.send(request).await?;
//! let body = answer.into_body().whole().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: the server is fixed when the client is made, and a request names a path only; no redirect is followed, no
//! proxy or cookie known, no variable of the environment read; each step has a limit of time, each answer one of size; a
//! connection that was made under other pins is not used again.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Address, AuthoritySettings, ClientSettings, Error, Pinning};

/// The longest head of an answer in bytes. hyper looks at it before it reads on, so that twice as much may come.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// How long to wait, and how much to take.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// For the connection and its handshake: 15 seconds.
    pub connect: Duration,
    /// For a request up to the head of its answer, a new connection included: 60 seconds.
    pub answer: Duration,
    /// From one part of a body to the next: 60 seconds. A stream of events has its heartbeat within.
    pub idle: Duration,
    /// For the body of an answer in bytes, as it comes over the wire: 64 MiB. A stream of events ends there too, and is
    /// asked for again.
    pub body_bytes: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            body_bytes: 64 * 1024 * 1024,
        }
    }
}

/// A client of one server. Keeps one connection open between requests; requests at the same time have their own.
pub struct HttpClient {
    tls: TlsConnector,
    /// None for a server without pins.
    pinning: Option<Arc<Pinning>>,
    address: Address,
    /// Where to connect to, if not where the name in the address leads.
    place: Option<SocketAddr>,
    host: HeaderValue,
    limits: HttpLimits,
    idle: Idle,
}

/// Where a connection waits for the next request.
type Idle = Arc<Mutex<Option<Connection>>>;

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The number of the pin set that its server was judged by; none without pins.
    pin_set: Option<u64>,
}

impl HttpClient {
    /// A client of the server at `address`.
    ///
    /// # Errors
    /// As [`ClientSettings::build`].
    pub fn new(settings: &ClientSettings, address: Address, limits: HttpLimits) -> Result<Self, Error> {
        let tls = TlsConnector::from(settings.build()?);
        Self::over(tls, Some(settings.pinning.clone()), address, limits)
    }

    /// A client of a server of somebody else at `address`, judged by its certificate alone.
    ///
    /// # Errors
    /// As [`AuthoritySettings::build`].
    pub fn unpinned(
        settings: &AuthoritySettings,
        address: Address,
        limits: HttpLimits,
    ) -> Result<Self, Error> {
        Self::over(TlsConnector::from(settings.build()?), None, address, limits)
    }

    fn over(
        tls: TlsConnector,
        pinning: Option<Arc<Pinning>>,
        address: Address,
        limits: HttpLimits,
    ) -> Result<Self, Error> {
        let host = HeaderValue::try_from(address.to_string()).map_err(|_| Error::Address)?;
        Ok(Self { tls, pinning, address, place: None, host, limits, idle: Idle::default() })
    }

    /// Connects to `place`, whatever the name in the address leads to. The server's certificate is that of the name.
    #[must_use]
    pub fn connecting_to(mut self, place: SocketAddr) -> Self {
        self.place = Some(place);
        self
    }

    fn pin_set(&self) -> Option<u64> {
        self.pinning.as_ref().map(|pinning| pinning.current().number)
    }

    /// Sends a request whose target is a path, with a query perhaps, and gives the answer once its head is there.
    ///
    /// A request is sent once: it is repeated only if the connection that waited has closed before any of it went out.
    ///
    /// # Errors
    /// - [`Error::Address`]: the target is not a path.
    /// - [`Error::Refused`], [`Error::Protocol`], [`Error::DeviceRefused`], [`Error::Connection`].
    /// - [`Error::Redirected`], [`Error::Timeout`], [`Error::TooLarge`], [`Error::NotHttp`].
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<HttpBody>, Error> {
        self.send_on(self.waiting(), request).await
    }

    /// As [`Self::send`], on a connection of its own: for an answer that does not end. The connection that waits stays
    /// for the next request.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_apart(&self, request: Request<Bytes>) -> Result<Response<HttpBody>, Error> {
        self.send_on(None, request).await
    }

    async fn send_on(
        &self,
        waiting: Option<Connection>,
        request: Request<Bytes>,
    ) -> Result<Response<HttpBody>, Error> {
        let target = request.uri();
        if target.scheme().is_some() || target.authority().is_some() || !target.path().starts_with('/') {
            return Err(Error::Address);
        }
        let mut request = request.map(Full::new);
        request.headers_mut().insert(HOST, self.host.clone());
        let (connection, answer) = within(self.limits.answer, self.exchange(waiting, request)).await?;
        if answer.status().is_redirection() && answer.status() != StatusCode::NOT_MODIFIED {
            return Err(Error::Redirected);
        }
        let left = self.limits.body_bytes;
        if answer.body().size_hint().lower() > left {
            return Err(Error::TooLarge);
        }
        let place = Some((connection, self.idle.clone()));
        Ok(answer.map(|body| HttpBody { body, left, idle: self.limits.idle, place }))
    }

    async fn exchange(
        &self,
        waiting: Option<Connection>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), Error> {
        if let Some(mut waiting) = waiting {
            match waiting.sender.try_send_request(request).await {
                Ok(answer) => return Ok((waiting, answer)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(of_http(failed.error())),
                },
            }
        }
        let mut fresh = self.connect().await?;
        let answer = fresh.sender.send_request(request).await.map_err(|error| of_http(&error))?;
        Ok((fresh, answer))
    }

    /// The connection that waits, if it was judged by the pins of now. Another one is closed.
    fn waiting(&self) -> Option<Connection> {
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        waiting.filter(|connection| connection.pin_set == self.pin_set())
    }

    async fn connect(&self) -> Result<Connection, Error> {
        // Read before the handshake: pins that change meanwhile make the connection older than it is, not newer.
        let pin_set = self.pin_set();
        let sender = within(self.limits.connect, async {
            let failed = |error: std::io::Error| Error::of_connection(&error);
            let stream = match self.place {
                Some(place) => TcpStream::connect(place).await,
                None => TcpStream::connect((self.address.host(), self.address.port())).await,
            };
            let stream = stream.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            let stream = self.tls.connect(self.address.server_name(), stream).await.map_err(failed)?;
            let (sender, connection) = Builder::new()
                .max_buf_size(HEAD_MAX_BYTES)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|error| of_http(&error))?;
            // It ends with its sender, and whoever waits for an answer is told what went wrong.
            tokio::spawn(connection);
            Ok(sender)
        });
        Ok(Connection { sender: sender.await?, pin_set })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpClient").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The body of an answer, part by part. Once it is read to its end, its connection serves the next request.
pub struct HttpBody {
    body: Incoming,
    left: u64,
    idle: Duration,
    place: Option<(Connection, Idle)>,
}

impl HttpBody {
    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::TooLarge`], [`Error::Connection`]: what came before is then not the whole body.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = within(self.idle, async { Ok(self.body.frame().await) }).await?;
            let Some(frame) = frame else {
                if let Some((connection, idle)) = self.place.take() {
                    *idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
                }
                return Ok(None);
            };
            // Trailers are passed over.
            if let Ok(part) = frame.map_err(|error| of_http(&error))?.into_data() {
                self.left = self.left.checked_sub(part.len() as u64).ok_or(Error::TooLarge)?;
                return Ok(Some(part));
            }
        }
    }

    /// The whole body, in memory.
    ///
    /// # Errors
    /// As [`HttpBody::next`].
    pub async fn whole(mut self) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        while let Some(part) = self.next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }
}

impl fmt::Debug for HttpBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpBody").field("left", &self.left).finish_non_exhaustive()
    }
}

async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, step).await.map_err(|_| Error::Timeout)?
}

/// Texts of hyper quote what the peer sent; only the kind is kept.
fn of_http(error: &hyper::Error) -> Error {
    match Error::of_connection(error) {
        Error::Connection if error.is_parse() => Error::NotHttp,
        other => other,
    }
}
