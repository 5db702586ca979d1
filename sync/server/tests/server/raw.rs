//! A connection on which any bytes can be sent, at any pace.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use keepwell_tls::ClientSettings;
use keepwell_tls::rustls::pki_types::ServerName;
use keepwell_tls::rustls::{ClientConnection, StreamOwned};

use crate::world::{HOST, World};

/// Nothing on loopback takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Connects as `settings` says, handshake included.
pub(crate) fn connect(world: &World, settings: &ClientSettings) -> Tls {
    let stream = TcpStream::connect(world.server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from(HOST.to_owned()).unwrap();
    let client = ClientConnection::new(settings.build().unwrap(), name).unwrap();
    let mut tls = StreamOwned::new(client, stream);
    tls.flush().unwrap();
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock).unwrap();
    }
    tls
}

/// Everything that comes until the connection ends; however it ends.
pub(crate) fn rest(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the connection stays open")
            }
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status in what came; 0 if nothing came.
pub(crate) fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").map_or(0, |rest| rest[..3].parse().unwrap())
}
