//! Where a server is: a host and a port, reached by HTTPS and by nothing else.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::ServerName;

use crate::Error;
use crate::pin_set::is_host;

/// The port of HTTPS.
const HTTPS: u16 = 443;
/// Before an address, it may be left out.
const SCHEME: &str = "https://";

/// The address of a server: `host`, `host:port`, or either after `https://`.
///
/// ```
/// use keepwell_tls::Address;
///
/// let address: Address = "https://Sync.example.org/".parse()?;
/// assert_eq!(address.to_string(), "sync.example.org:443");
/// assert!("http://sync.example.org".parse::<Address>().is_err());
/// # Ok::<(), keepwell_tls::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The host: a DNS name in lower case, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as the name that a certificate must have.
    #[must_use]
    pub fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.host.clone()).expect("checked when the address was read")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_ascii_lowercase();
        let text = lower.strip_prefix(SCHEME).unwrap_or(&lower);
        let text = text.strip_suffix('/').unwrap_or(text);
        let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, rest))) => (host, Some(rest.strip_prefix(':').ok_or(Error::Address)?)),
            Some(None) => return Err(Error::Address),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let digits = |port: &&str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            Some(port) => {
                Some(port).filter(digits).and_then(|port| port.parse().ok()).ok_or(Error::Address)?
            }
            None => HTTPS,
        };
        if is_host(host) && port != 0 {
            Ok(Self { host: host.to_owned(), port })
        } else {
            Err(Error::Address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_others_refused() {
        for (text, expected) in [
            ("sync.example.org", "sync.example.org:443"),
            ("sync.example.org:8443", "sync.example.org:8443"),
            ("https://127.0.0.1:8443/", "127.0.0.1:8443"),
            ("[::1]:8443", "[::1]:8443"),
            ("HTTPS://[::1]", "[::1]:443"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), expected);
            assert_eq!(address.to_string().parse::<Address>().expect("as written"), address);
        }
        for text in [
            "",
            "http://host",
            "host:",
            "host:0",
            "host:+1",
            "host:65536",
            "host/path",
            "user@host",
            "[::1",
            "::1",
            "a b",
        ] {
            assert!(matches!(text.parse::<Address>(), Err(Error::Address)), "{text}");
        }
    }
}
