//! The offline keys that sign pin sets, and signed pin sets.
//!
//! A signed document is the text of the [`PinSet`] and one line for each signature:
//! ```text
//! signature ed25519/<root key> <signature>
//! ```
//! Signatures of roots that a client does not know are passed over, so that a document can be signed by the old and
//! the new root while programs that know either are in use.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::pin_set::TEXT_MAX_BYTES;
use crate::{Error, PinSet};

/// Length of an Ed25519 public key, and of the seed of a private one, in bytes.
pub(crate) const ROOT_BYTES: usize = 32;
/// The most signatures under one document.
const SIGNATURES_MAX: usize = 4;
/// The longest signed document in bytes.
const DOCUMENT_MAX_BYTES: usize = TEXT_MAX_BYTES + SIGNATURES_MAX * 160;
/// Stands before the base64 of a root key.
const PREFIX: &str = "ed25519/";
/// Begins a line with a signature.
const SIGNATURE: &str = "signature ";

/// The public half of a key that signs pin sets; built into the host program. Written as `ed25519/` and base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinRoot([u8; ROOT_BYTES]);

impl PinRoot {
    pub(crate) fn from_bytes(bytes: [u8; ROOT_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; ROOT_BYTES] {
        &self.0
    }
}

impl fmt::Display for PinRoot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl FromStr for PinRoot {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let key = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        key.and_then(|key| key.try_into().ok()).map(Self).ok_or(Error::Key)
    }
}

/// The private half. Its place is offline: a file on a medium that is locked away, not the server.
pub struct PinSigner {
    seed: Zeroizing<[u8; ROOT_BYTES]>,
    pair: Ed25519KeyPair,
}

impl PinSigner {
    /// A fresh key from the random generator of the operating system.
    ///
    /// # Errors
    /// [`Error::Key`] if the generator fails.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; ROOT_BYTES]);
        SystemRandom::new().fill(seed.as_mut_slice()).map_err(|_| Error::Key)?;
        Self::from_seed(seed)
    }

    /// The key of a seed from [`PinSigner::seed`].
    ///
    /// # Errors
    /// [`Error::Key`] if it is no seed.
    pub fn from_seed(seed: Zeroizing<[u8; ROOT_BYTES]>) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| Error::Key)?;
        Ok(Self { seed, pair })
    }

    /// What must be kept, offline.
    #[must_use]
    pub fn seed(&self) -> &[u8; ROOT_BYTES] {
        &self.seed
    }

    /// The public half.
    #[must_use]
    pub fn root(&self) -> PinRoot {
        let mut key = [0; ROOT_BYTES];
        key.copy_from_slice(self.pair.public_key().as_ref());
        PinRoot(key)
    }

    /// The signed document of `pins`.
    ///
    /// # Errors
    /// As [`PinSet::check`].
    pub fn sign(&self, pins: &PinSet) -> Result<String, Error> {
        let text = pins.encode()?;
        let line = self.line(&text);
        Ok(text + &line)
    }

    /// Adds a signature to a document, which this checks but for the signatures that it has.
    ///
    /// # Errors
    /// [`Error::PinSet`] if it is no signed document or has as many signatures as it may; as [`PinSet::check`].
    pub fn sign_also(&self, document: &str) -> Result<String, Error> {
        let (text, signatures) = parts(document)?;
        text.parse::<PinSet>()?;
        if signatures.len() == SIGNATURES_MAX {
            return Err(Error::PinSet);
        }
        Ok(format!("{document}{}", self.line(text)))
    }

    fn line(&self, text: &str) -> String {
        let signature = STANDARD.encode(self.pair.sign(text.as_bytes()));
        format!("{SIGNATURE}{} {signature}\n", self.root())
    }
}

impl fmt::Debug for PinSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PinSigner({}, ..)", self.root())
    }
}

/// Reads a signed document that one of `roots` has signed. Nothing of it is parsed before the signature is checked,
/// but for where the signatures begin.
pub(crate) fn verify(document: &str, roots: &[PinRoot]) -> Result<PinSet, Error> {
    let (text, signatures) = parts(document)?;
    let signed = signatures.iter().any(|(root, signature)| {
        roots.contains(root)
            && UnparsedPublicKey::new(&ED25519, root.0).verify(text.as_bytes(), signature).is_ok()
    });
    if signed { text.parse() } else { Err(Error::PinSetSignature) }
}

type Signature = (PinRoot, Vec<u8>);

fn parts(document: &str) -> Result<(&str, Vec<Signature>), Error> {
    let begin = document.find("\nsignature ").ok_or(Error::PinSetSignature)? + 1;
    if document.len() > DOCUMENT_MAX_BYTES || !document.ends_with('\n') {
        return Err(Error::PinSet);
    }
    let (text, lines) = document.split_at(begin);
    let signatures = lines.lines().map(signature).collect::<Option<Vec<_>>>().ok_or(Error::PinSet)?;
    if signatures.len() > SIGNATURES_MAX {
        return Err(Error::PinSet);
    }
    Ok((text, signatures))
}

fn signature(line: &str) -> Option<Signature> {
    let (root, signature) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
    Some((root.parse().ok()?, STANDARD.decode(signature).ok()?))
}
