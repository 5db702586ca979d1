//! A connection to the server on which requests are written by hand, so that next to nothing of what is measured is the
//! client's.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use keepwell_client::Error;
use keepwell_protocol::{
    Base64, Endpoint, EnrolReply, EnrolRequest, Hint, Incarnation, Secret, VERSION_MAX, from_bytes, to_bytes,
};
use keepwell_tls::rustls::{ClientConnection, StreamOwned};
use keepwell_tls::{Address, CertificateRequest, ClientSettings, Identity, Invitation, PrivateKey};

use crate::exit::{Failure, Result, io as io_failure};

const INVITATION: &str = "invitation";
const KEY: &str = "key";
const CERTIFICATE: &str = "certificate";
/// Bytes that an answer may have.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// A device that is enrolled; what it needs lies in a folder.
pub(super) struct Enrolled {
    settings: ClientSettings,
    address: Address,
}

/// A connection of such a device.
pub(super) struct Line {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Enrolled {
    /// Uses an invitation, and leaves what the device needs in `folder`.
    pub(super) fn new(folder: &Path, invitation: &Invitation) -> Result<Self> {
        let failed = io_failure("writing what a device needs");
        fs::create_dir_all(folder).map_err(&failed)?;
        let key = PrivateKey::generate().map_err(Error::from)?;
        let request = EnrolRequest {
            v: VERSION_MAX,
            code: Secret::new(invitation.code.text().to_string()),
            csr: Base64(CertificateRequest::create(&key).map_err(Error::from)?),
            name: String::new(),
            incarnation: Incarnation::new(1),
        };
        let (trust, pinning) = invitation.pinning().map_err(Error::from)?;
        let unknown =
            Self { settings: ClientSettings::new(trust, pinning), address: invitation.address.clone() };
        let reply = unknown.connect()?.post(&Endpoint::Enrol, "", &to_bytes(&request))?;
        let reply: EnrolReply = from_bytes(&reply).map_err(Error::from)?;
        let certificate =
            reply.certificates.first().ok_or(Failure::NotHeld("a device gets a certificate"))?;
        let text = invitation.text().map_err(Error::from)?;
        fs::write(folder.join(INVITATION), text.as_bytes()).map_err(&failed)?;
        fs::write(folder.join(KEY), key.pkcs8()).map_err(&failed)?;
        fs::write(folder.join(CERTIFICATE), &certificate.0).map_err(&failed)?;
        Self::read(folder)
    }

    /// The device whose folder this is.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let failed = io_failure("reading what a device needs");
        let text = fs::read_to_string(folder.join(INVITATION)).map_err(&failed)?;
        let invitation: Invitation =
            text.parse().map_err(|_| Failure::NotHeld("an invitation can be read"))?;
        let (trust, pinning) = invitation.pinning().map_err(Error::from)?;
        let mut settings = ClientSettings::new(trust, pinning);
        let key = fs::read(folder.join(KEY)).map_err(&failed)?;
        let key = PrivateKey::from_pkcs8(key.into()).map_err(Error::from)?;
        let chain = vec![fs::read(folder.join(CERTIFICATE)).map_err(&failed)?.into()];
        settings.device = Some(Identity::new(chain, Arc::new(key)).map_err(Error::from)?);
        Ok(Self { settings, address: invitation.address })
    }

    pub(super) fn connect(&self) -> Result<Line> {
        let address = &self.address;
        let config = self.settings.build().map_err(Error::from)?;
        let client = ClientConnection::new(config, address.server_name())
            .map_err(|_| Failure::NotHeld("a client speaks TLS"))?;
        let socket = TcpStream::connect((address.host(), address.port()));
        let socket = socket.map_err(io_failure("connecting to the server"))?;
        socket.set_nodelay(true).map_err(io_failure("connecting to the server"))?;
        Ok(Line { stream: BufReader::with_capacity(4 << 10, StreamOwned::new(client, socket)) })
    }
}

impl Line {
    /// Sends a request and reads the whole answer. `headers` are lines, each with its end.
    pub(super) fn post(&mut self, endpoint: &Endpoint, headers: &str, body: &[u8]) -> Result<Vec<u8>> {
        let length = body.len();
        let head =
            format!("POST {endpoint} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n{headers}\r\n");
        self.write(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        if let Some(length) = self.head()? {
            self.take(length, &mut answer)?;
            return Ok(answer);
        }
        // In chunks (RFC 9112, 7.1), each between its length and the end of a line.
        loop {
            let length = u64::from_str_radix(self.line()?.trim_end(), 16).ok();
            let length = length.filter(|length| *length <= ANSWER_BYTES_MAX - answer.len() as u64);
            let length = length.ok_or(Failure::NotHeld("an answer says how long it is"))?;
            self.take(length, &mut answer)?;
            self.line()?;
            if length == 0 {
                return Ok(answer);
            }
        }
    }

    /// Opens the stream of hints, and reads no more than that it is open.
    pub(super) fn listen(&mut self) -> Result<()> {
        self.write(format!("GET {} HTTP/1.1\r\nhost: a\r\n\r\n", Endpoint::Events).as_bytes())?;
        self.head().map(|_| ())
    }

    /// Waits for the next hint.
    pub(super) fn hint(&mut self) -> Result<Hint> {
        loop {
            if let Some(hint) = self.line()?.strip_prefix("data:") {
                return Ok(from_bytes(hint.trim().as_bytes()).map_err(Error::from)?);
            }
        }
    }

    fn take(&mut self, length: u64, answer: &mut Vec<u8>) -> Result<()> {
        let taken = (&mut self.stream).take(length).read_to_end(answer);
        taken.map(|_| ()).map_err(io_failure("reading an answer"))
    }

    /// The next line of an answer with its end.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).map_err(io_failure("reading an answer"))? {
            0 => Err(Failure::NotHeld("the server answers")),
            _ => Ok(line),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush()).map_err(io_failure("writing a request"))
    }

    /// Reads the head of an answer that is none of a refusal: the length of its body, if it says so.
    fn head(&mut self) -> Result<Option<u64>> {
        if !self.line()?.contains(" 200 ") {
            return Err(Failure::NotHeld("the server does what it is asked for"));
        }
        let mut length = None;
        loop {
            let line = self.line()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok().filter(|length| *length <= ANSWER_BYTES_MAX);
                }
                Some(_) => {}
                None if line.trim_end().is_empty() => return Ok(length),
                None => {}
            }
        }
    }
}
