//! From when to when a certificate is valid.

use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};

use crate::Error;
use crate::der::{INTEGER, SEQUENCE, UTC_TIME, VERSION, element};

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second in which it is.
    pub from: UnixTime,
    /// The last one.
    pub until: UnixTime,
}

impl Validity {
    /// What a certificate of an [`crate::Authority`] says. That it is genuine is not looked at.
    ///
    /// # Errors
    /// [`Error::Key`] if it cannot be read; also if it ends after 2049, which no certificate from here does.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        read(certificate).ok_or(Error::Key)
    }

    /// Whether two thirds of its time are over at `now`: a new certificate should come.
    #[must_use]
    pub fn is_ageing(&self, now: UnixTime) -> bool {
        let lasts_s = self.until.as_secs().saturating_sub(self.from.as_secs());
        now.as_secs() >= self.until.as_secs().saturating_sub(lasts_s / 3)
    }
}

fn read(mut certificate: &[u8]) -> Option<Validity> {
    let mut rest = element(&mut certificate, SEQUENCE)?;
    let mut signed = element(&mut rest, SEQUENCE)?;
    let signed = &mut signed;
    // Version, serial number, algorithm and issuer come first.
    for tag in [VERSION, INTEGER, SEQUENCE, SEQUENCE] {
        element(signed, tag)?;
    }
    let mut validity = element(signed, SEQUENCE)?;
    let from = time(element(&mut validity, UTC_TIME)?)?;
    Some(Validity { from, until: time(element(&mut validity, UTC_TIME)?)? })
}

/// `YYMMDDHHMMSSZ`, of this century.
fn time(text: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii() && text.len() == 13)?;
    let part = |at: usize| &text[at..at + 2];
    let [year, month, day, hour, minute] = [0, 2, 4, 6, 8].map(part);
    let date = format!("20{year}-{month}-{day}T{hour}:{minute}:{}", &text[10..]);
    let seconds = u64::try_from(date.parse::<Timestamp>().ok()?.as_second()).ok()?;
    (year < "50").then(|| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Authority, BACKDATED, PrivateKey, PublicKey, Purpose};

    const DAY_S: u64 = 24 * 60 * 60;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn certificate(made: u64, days: u64) -> CertificateDer<'static> {
        let key = Arc::new(PrivateKey::generate().expect("a key"));
        let life = Duration::from_secs(365 * DAY_S);
        let authority =
            Authority::create(Purpose::Servers, key.clone(), at(made), life).expect("an authority");
        let names = ["sync.example.org".to_owned()];
        let lifetime = Duration::from_secs(days * DAY_S);
        authority
            .issue_server(&PublicKey::of(key.as_ref()), &names, at(made), lifetime)
            .expect("a certificate")
    }

    #[test]
    fn a_certificate_says_when_it_ends_and_ages_in_its_last_third() {
        let made = 1_800_000_000;
        let validity = Validity::of(&certificate(made, 90)).expect("made here");
        let until = made + 90 * DAY_S;
        assert_eq!((validity.from, validity.until), (at(made - BACKDATED.as_secs()), at(until)));
        assert!(!validity.is_ageing(at(until - 31 * DAY_S)));
        assert!(validity.is_ageing(at(until - 30 * DAY_S)));
        assert!(validity.is_ageing(at(until + 1)));
    }

    #[test]
    fn a_damaged_certificate_has_no_validity_and_never_panics() {
        let sound = certificate(1_800_000_000, 90);
        let expected = Validity::of(&sound);
        for place in 0..sound.len() {
            assert!(Validity::of(&sound[..place].to_vec().into()).is_err(), "cut at {place}");
            let mut altered = sound.to_vec();
            altered[place] ^= 0x80;
            let read = Validity::of(&altered.into());
            assert!(read.is_err() || read.ok() == expected.as_ref().ok().copied(), "byte {place}");
        }
    }
}
