//! The pins of one host, as a document that its operator numbers and signs.
//!
//! The text is for people to review and has one spelling: what does not come out byte for byte when it is written
//! again is refused, so the bytes that were signed are the meaning.
//! ```text
//! keepwell pin set 1
//! host sync.example.org
//! number 3
//! issued 2026-11-22T00:00:00Z
//! expires 2027-11-22T00:00:00Z
//! active 2026-11-22T00:00:00Z 2027-11-22T00:00:00Z sha256/…
//! backup 2026-11-22T00:00:00Z 2028-11-22T00:00:00Z sha256/…
//! ```
//!
//! Invariants: at least two distinct pins, an active one and a backup; each window ends after it begins.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::{ServerName, UnixTime};

use crate::{Error, Pin, PinRoot};

/// The fewest pins of a set: with one, the loss of its key locks every device out.
pub const PINS_MIN: usize = 2;
/// The most pins of a set.
pub const PINS_MAX: usize = 16;
/// The longest text of a set in bytes.
pub(crate) const TEXT_MAX_BYTES: usize = 4096;
/// First line; the number is that of the format.
const HEADING: &str = "keepwell pin set 1";

/// What the key of a pin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server uses it.
    Active,
    /// Kept offline, for the day when the active key is lost or stolen.
    Backup,
    /// Will be active soon.
    Next,
}

impl Role {
    const ALL: [Self; 3] = [Self::Active, Self::Backup, Self::Next];

    fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Backup => "backup",
            Self::Next => "next",
        }
    }
}

/// A pin and the time in which it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinEntry {
    /// The pin.
    pub pin: Pin,
    /// What its key is for.
    pub role: Role,
    /// The first second in which it counts.
    pub not_before: UnixTime,
    /// The first second in which it no longer counts.
    pub not_after: UnixTime,
}

impl PinEntry {
    pub(crate) fn in_force(&self, now: UnixTime) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

/// The pins of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinSet {
    /// The host that they are for: a DNS name in lower case, or an IP address.
    pub host: String,
    /// Rises with each document; a client never goes back.
    pub number: u64,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// The first second in which it is no longer valid.
    pub expires_at: UnixTime,
    /// The pins.
    pub pins: Vec<PinEntry>,
}

impl PinSet {
    /// Reads a signed document that one of `roots` has signed.
    ///
    /// # Errors
    /// [`Error::PinSetSignature`] if none has; otherwise as [`PinSet::check`].
    pub fn verify(document: &str, roots: &[PinRoot]) -> Result<Self, Error> {
        crate::pin_root::verify(document, roots)
    }

    /// Whether the set keeps its rules; time plays no part.
    ///
    /// # Errors
    /// [`Error::FewPins`] if there are fewer than two pins, no active one or no backup; [`Error::PinSet`] for the
    /// rest.
    pub fn check(&self) -> Result<(), Error> {
        let has = |role| self.pins.iter().any(|entry| entry.role == role);
        let mut pins: Vec<Pin> = self.pins.iter().map(|entry| entry.pin).collect();
        pins.sort_unstable();
        pins.dedup();
        if pins.len() < PINS_MIN || !has(Role::Active) || !has(Role::Backup) {
            return Err(Error::FewPins);
        }
        let sound = pins.len() == self.pins.len()
            && pins.len() <= PINS_MAX
            && is_host(&self.host)
            && self.issued_at < self.expires_at
            && self.pins.iter().all(|entry| entry.not_before < entry.not_after);
        if sound { Ok(()) } else { Err(Error::PinSet) }
    }

    /// How many pins count at `now`.
    #[must_use]
    pub fn in_force(&self, now: UnixTime) -> usize {
        if now < self.expires_at { self.pins.iter().filter(|entry| entry.in_force(now)).count() } else { 0 }
    }

    /// Whether `pin` counts at `now`.
    #[must_use]
    pub fn holds(&self, pin: &Pin, now: UnixTime) -> bool {
        now < self.expires_at && self.pins.iter().any(|entry| entry.pin == *pin && entry.in_force(now))
    }

    /// When fewer than two pins will be left: until then a new document should come.
    pub(crate) fn thins_out_at(&self) -> UnixTime {
        let mut ends: Vec<UnixTime> = self.pins.iter().map(|entry| entry.not_after).collect();
        ends.sort_unstable();
        ends.iter().rev().nth(PINS_MIN - 1).map_or(self.expires_at, |end| self.expires_at.min(*end))
    }

    /// The text that is reviewed and signed.
    ///
    /// # Errors
    /// As [`PinSet::check`].
    pub fn encode(&self) -> Result<String, Error> {
        self.check()?;
        let mut text = format!("{HEADING}\nhost {}\nnumber {}\n", self.host, self.number);
        let (issued, expires) = (date(self.issued_at)?, date(self.expires_at)?);
        write!(text, "issued {issued}\nexpires {expires}\n").expect("a string takes any text");
        for PinEntry { pin, role, not_before, not_after } in &self.pins {
            let (from, to) = (date(*not_before)?, date(*not_after)?);
            writeln!(text, "{} {from} {to} {pin}", role.text()).expect("a string takes any text");
        }
        Ok(text)
    }
}

impl FromStr for PinSet {
    type Err = Error;

    /// Reads the one spelling of a set; errors as [`PinSet::check`].
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > TEXT_MAX_BYTES {
            return Err(Error::PinSet);
        }
        let mut lines = text.lines();
        let mut value =
            |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).ok_or(Error::PinSet);
        value(HEADING)?;
        let host = value("host ")?.to_owned();
        let number = value("number ")?.parse().map_err(|_| Error::PinSet)?;
        let issued_at = time(value("issued ")?)?;
        let expires_at = time(value("expires ")?)?;
        let pins = lines.map(entry).collect::<Result<_, _>>()?;
        let set = Self { host, number, issued_at, expires_at, pins };
        if set.encode()? == text { Ok(set) } else { Err(Error::PinSet) }
    }
}

fn entry(line: &str) -> Result<PinEntry, Error> {
    let words: Vec<&str> = line.split(' ').collect();
    let [role, from, to, pin] = words[..] else { return Err(Error::PinSet) };
    let role = Role::ALL.into_iter().find(|known| known.text() == role).ok_or(Error::PinSet)?;
    Ok(PinEntry { pin: pin.parse()?, role, not_before: time(from)?, not_after: time(to)? })
}

/// A host as documents and invitations spell it.
pub(crate) fn is_host(host: &str) -> bool {
    ServerName::try_from(host).is_ok() && !host.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn date(time: UnixTime) -> Result<Timestamp, Error> {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(Error::PinSet)
}

fn time(text: &str) -> Result<UnixTime, Error> {
    let seconds = text.parse::<Timestamp>().ok().and_then(|date| u64::try_from(date.as_second()).ok());
    seconds.map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds))).ok_or(Error::PinSet)
}

#[cfg(test)]
mod tests;
