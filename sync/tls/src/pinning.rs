//! The pins in force for one host, and how newer ones take their place.
//!
//! The host program builds a signed document in as the floor, keeps the newest that it was given, and hands it over
//! again at the next start. Clients share a [`Pinning`], so that a change holds for the next handshake of each.
//!
//! Invariants: the number of the document in force never falls, whatever the clock says and whoever asks; nothing
//! enters without the signature of a root; when the pins have expired there is no connection, and no way around.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::UnixTime;

use crate::pin_root::verify;
use crate::{Error, PINS_MIN, PinRoot, PinSet, Refusal};

/// How long before the end the warning begins, unless the host says otherwise: 60 days.
pub const WARNING: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// How far the clocks of an operator and a device may be apart: 5 minutes.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(5 * 60);

/// How it stands with the pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// At least two pins are in force, and for longer than the warning period.
    Good,
    /// Soon fewer than two pins will be in force, or fewer are already: a new document is overdue.
    Expiring {
        /// When fewer than two are left.
        at: UnixTime,
    },
    /// No pin is in force: nothing connects until a new document comes, by file or by QR code.
    Expired,
}

/// What became of a document that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is in force from now on: keep it.
    Installed,
    /// It was in force before.
    Known,
}

/// The pins in force for one host.
#[derive(Debug)]
pub struct Pinning {
    roots: Vec<PinRoot>,
    warning: Duration,
    current: RwLock<PinSet>,
}

impl Pinning {
    /// Begins with the signed document that is built into the program. It may have expired: a newer one, kept from
    /// an earlier run, can follow with [`Pinning::restore`].
    ///
    /// # Errors
    /// [`Error::PinSetSignature`], [`Error::PinSet`] or [`Error::FewPins`].
    pub fn new(roots: Vec<PinRoot>, built_in: &str) -> Result<Self, Error> {
        let current = verify(built_in, &roots)?;
        Ok(Self::begin(roots, current))
    }

    /// Begins with pins that came another way that is trusted: an invitation.
    pub(crate) fn begin(roots: Vec<PinRoot>, current: PinSet) -> Self {
        Self { roots, warning: WARNING, current: RwLock::new(current) }
    }

    /// Sets how long before the end [`Pinning::standing`] warns.
    #[must_use]
    pub fn with_warning(mut self, warning: Duration) -> Self {
        self.warning = warning;
        self
    }

    /// Takes back the document that the host kept, if it is newer than the one in force. An expired one counts too:
    /// were it passed over, the older pins that it has replaced would be in force again.
    ///
    /// # Errors
    /// As [`Pinning::offer`], but for the times.
    pub fn restore(&self, document: &str) -> Result<(), Error> {
        let kept = self.read(document)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if kept.number > current.number {
            *current = kept;
        }
        Ok(())
    }

    /// Takes a new document: from the server, or by file or QR code when all pins are lost.
    ///
    /// # Errors
    /// - [`Error::PinSetSignature`]: no known root has signed it.
    /// - [`Error::PinSet`], [`Error::FewPins`]: it breaks the rules of a set, or has fewer than two pins in force now.
    /// - [`Error::PinSetHost`]: it is for another host.
    /// - [`Error::PinSetVersion`]: it is older than the one in force, or differs under the same number.
    /// - [`Error::PinSetExpired`], [`Error::PinSetFuture`]: its time is over or has not come.
    pub fn offer(&self, document: &str, now: UnixTime) -> Result<Offer, Error> {
        let offered = self.read(document)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if offered == *current {
            return Ok(Offer::Known);
        }
        if offered.number <= current.number {
            return Err(Error::PinSetVersion { offered: offered.number, current: current.number });
        }
        if now >= offered.expires_at {
            return Err(Error::PinSetExpired);
        }
        if offered.issued_at.as_secs() > now.as_secs().saturating_add(CLOCKS_APART_MAX.as_secs()) {
            return Err(Error::PinSetFuture);
        }
        if offered.in_force(now) < PINS_MIN {
            return Err(Error::FewPins);
        }
        *current = offered;
        Ok(Offer::Installed)
    }

    fn read(&self, document: &str) -> Result<PinSet, Error> {
        let set = verify(document, &self.roots)?;
        if set.host == self.current().host { Ok(set) } else { Err(Error::PinSetHost) }
    }

    /// The pins in force.
    #[must_use]
    pub fn current(&self) -> PinSet {
        self.with_current(PinSet::clone)
    }

    /// How it stands with the pins at `now`.
    #[must_use]
    pub fn standing(&self, now: UnixTime) -> Standing {
        self.with_current(|set| {
            let at = set.thins_out_at();
            if set.in_force(now) == 0 {
                Standing::Expired
            } else if at.as_secs() <= now.as_secs().saturating_add(self.warning.as_secs()) {
                Standing::Expiring { at }
            } else {
                Standing::Good
            }
        })
    }

    /// Refuses to build anything on fewer pins than a set must have.
    pub(crate) fn check_ready(&self, now: UnixTime) -> Result<(), Error> {
        match self.with_current(|set| set.in_force(now)) {
            0 => Err(Refusal::PinsExpired.into()),
            1 => Err(Error::FewPins),
            _ => Ok(()),
        }
    }

    fn with_current<T>(&self, look: impl FnOnce(&PinSet) -> T) -> T {
        look(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}
