//! An operator, a server, a device and a clock, on loopback.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use keepwell_tls::{
    Admission, Authority, CertificateDer, CertificateRequest, ClientSettings, Device, DeviceId, Error,
    Identity, Pin, PinEntry, PinSet, PinSigner, Pinning, PrivateKey, PublicKey, Purpose, Role,
    ServerSettings, Signer, TimeProvider, Trust, UnixTime,
};
use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::ServerConnection;
use rustls::{ClientConfig, HandshakeKind, ServerConfig, StreamOwned};

pub(crate) const HOST: &str = "sync.example.org";
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A day in 2027, in seconds since 1970.
pub(crate) const START: u64 = 1_800_000_000;
/// Nothing on loopback takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that moves only when told to.
#[derive(Debug)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::SeqCst)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    /// The time `by` from now.
    pub(crate) fn after(&self, by: Duration) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.now().as_secs()) + by)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

pub(crate) fn key() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate().expect("a key"))
}

/// An operator with a server whose key is pinned, a backup key in a safe, and a root for pin sets.
pub(crate) struct World {
    pub(crate) clock: Arc<Clock>,
    pub(crate) authority: Authority,
    pub(crate) device_authority: Authority,
    pub(crate) server_key: Arc<PrivateKey>,
    pub(crate) backup_key: Arc<PrivateKey>,
    pub(crate) pin_signer: PinSigner,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(Clock(AtomicU64::new(START)));
        let authority =
            |purpose| Authority::create(purpose, key(), clock.now(), 3650 * DAY).expect("an authority");
        Self {
            authority: authority(Purpose::Servers),
            device_authority: authority(Purpose::Devices),
            server_key: key(),
            backup_key: key(),
            pin_signer: PinSigner::generate().expect("a root"),
            clock,
        }
    }

    /// Pin set `number` with the server's key and the backup, for a year.
    pub(crate) fn pins(&self, number: u64) -> PinSet {
        self.pins_of(number, self.server_key.pin(), self.backup_key.pin())
    }

    pub(crate) fn pins_of(&self, number: u64, active: Pin, backup: Pin) -> PinSet {
        let (issued_at, expires_at) = (self.clock.now(), self.clock.after(365 * DAY));
        let entry = |role, pin| PinEntry { pin, role, not_before: issued_at, not_after: expires_at };
        let pins = vec![entry(Role::Active, active), entry(Role::Backup, backup)];
        PinSet { host: HOST.to_owned(), number, issued_at, expires_at, pins }
    }

    pub(crate) fn sign(&self, pins: &PinSet) -> String {
        self.pin_signer.sign(pins).expect("a sound set")
    }

    pub(crate) fn pinning(&self, pins: &PinSet) -> Arc<Pinning> {
        Arc::new(Pinning::new(vec![self.pin_signer.root()], &self.sign(pins)).expect("a signed set"))
    }

    /// A client that trusts the operator's authority and has its pins.
    pub(crate) fn client(&self) -> ClientSettings {
        self.client_with(&self.pins(1))
    }

    pub(crate) fn client_with(&self, pins: &PinSet) -> ClientSettings {
        let trust = Trust::Authorities(vec![self.authority.certificate().clone()]);
        let mut settings = ClientSettings::new(trust, self.pinning(pins));
        settings.clock = self.clock.clone();
        settings
    }

    /// A certificate of the operator's authority for `names`.
    pub(crate) fn certificate(&self, key: &PrivateKey, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let now = self.clock.now();
        self.authority.issue_server(&PublicKey::of(key), &names, now, 90 * DAY).expect("a certificate")
    }

    /// The operator's server, open to anyone.
    pub(crate) fn server(&self) -> ServerSettings {
        let chain = vec![self.certificate(&self.server_key, &[HOST]), self.authority.certificate().clone()];
        self.server_of(chain, self.server_key.clone())
    }

    pub(crate) fn server_of(
        &self,
        chain: Vec<CertificateDer<'static>>,
        signer: Arc<dyn Signer>,
    ) -> ServerSettings {
        let identity = Identity::new(chain, signer).expect("key and certificate fit");
        let mut settings = ServerSettings::new(identity, self.device_authority.certificate().clone());
        settings.admission = Admission::Anyone;
        settings.clock = self.clock.clone();
        settings
    }

    /// A device with a certificate.
    pub(crate) fn device(&self, id: &str) -> Identity {
        let key = key();
        let request = CertificateRequest::create(key.as_ref()).expect("a request");
        let request = CertificateRequest::read(&request).expect("a sound request");
        let id: DeviceId = id.parse().expect("a device id");
        let issued = self.device_authority.issue_device(&request, &id, self.clock.now(), 90 * DAY);
        Identity::new(vec![issued.expect("a certificate").certificate], key).expect("key and certificate fit")
    }
}

/// Serves each connection on a thread: `answer` to one line of request. Gives the port.
pub(crate) fn serve(
    config: Arc<ServerConfig>,
    answer: impl Fn(Option<Device>, &str) -> String + Send + Sync + 'static,
) -> u16 {
    let answer = Arc::new(answer);
    listen(move |stream| {
        let mut stream = StreamOwned::new(ServerConnection::new(config.clone())?, stream);
        let Ok(line) = line(&mut stream) else { return part(stream.sock) };
        let device = Device::of_peer(stream.conn.peer_certificates()).map_err(io::Error::other)?;
        writeln!(stream, "{}", answer(device, &line))?;
        stream.conn.send_close_notify();
        Ok(stream.flush()?)
    })
}

/// Parts from a refused client so that it gets the alert: closing with bytes unread would throw the alert away.
fn part(mut stream: TcpStream) -> Result<(), Failed> {
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Accepts connections on a free port for as long as the process lives.
pub(crate) fn listen(serve: impl Fn(TcpStream) -> Result<(), Failed> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // What the client was refused for is for the client to tell.
            thread::spawn(move || stream.set_read_timeout(Some(PATIENCE)).map(|()| serve(stream)));
        }
    });
    port
}

/// Any failure of a connection on the server's side.
pub(crate) struct Failed;

impl<E: std::error::Error> From<E> for Failed {
    fn from(_: E) -> Self {
        Self
    }
}

/// Serves who is there: `hello` and the id of the device.
pub(crate) fn serve_hello(settings: &ServerSettings) -> u16 {
    serve(settings.build().expect("a sound server"), |device, _| {
        format!("hello {}", device.map_or_else(|| "stranger".to_owned(), |device| device.id.to_string()))
    })
}

/// Connects as `settings` says and gives the answer to `line`.
pub(crate) fn ask(settings: &ClientSettings, port: u16, line: &str) -> Result<String, Error> {
    exchange(&settings.build()?, port, line).map(|(answer, _)| answer)
}

/// Connects and gives the answer, and whether the handshake was a full one.
pub(crate) fn exchange(
    config: &Arc<ClientConfig>,
    port: u16,
    request: &str,
) -> Result<(String, HandshakeKind), Error> {
    exchange_with(config, HOST, port, request)
}

pub(crate) fn exchange_with(
    config: &Arc<ClientConfig>,
    host: &str,
    port: u16,
    request: &str,
) -> Result<(String, HandshakeKind), Error> {
    let failed = |error: io::Error| Error::of_connection(&error);
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let client = ClientConnection::new(config.clone(), name).map_err(|error| Error::of_connection(&error))?;
    let mut stream = StreamOwned::new(client, stream);
    assert!(stream.conn.early_data().is_none(), "data was offered before the server is known");
    writeln!(stream, "{request}").map_err(failed)?;
    let answer = line(&mut stream).map_err(failed)?;
    // Tickets come after the handshake: whoever wanted to resume would have them now.
    stream.read_to_end(&mut Vec::new()).map_err(failed)?;
    let kind = stream.conn.handshake_kind().expect("the handshake is done");
    Ok((answer, kind))
}

fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return String::from_utf8(text).map_err(io::Error::other);
        }
        text.push(byte[0]);
    }
}
