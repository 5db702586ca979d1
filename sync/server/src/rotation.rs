//! Another key for the server, without a device that has to be enrolled again.
//!
//! [`prepare_key`] makes the next key and has devices told of it; [`switch_key`] uses it once they know. When the key in
//! use was stolen there is no time for that: the backup key takes its place at once, since every device knows its pin.
//! A server that runs goes on with what it began with: start it anew after each step.
//!
//! Invariants: nothing is signed but by the root, whose key is brought for it and not kept; a step that is cut off has not
//! happened, and can be taken again; the server never uses a key that the newest pin set does not have.

use std::path::Path;

use keepwell_tls::{PinSet, PinSigner, PrivateKey, Role, UnixTime};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::identity::{OFFLINE, Record, pins};
use crate::private_file;

/// Why the key of a server is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationFault {
    /// The file is not the key that signs the pins of this server.
    #[error("the file is not the root of this server's pins")]
    OtherRoot,
    /// No next key has been prepared, so that no device knows of one.
    #[error("no next key has been prepared")]
    NoNextKey,
    /// The file is not the backup key whose pin devices know.
    #[error("the file is not the backup of this server's key")]
    OtherBackup,
}

/// The signed pins of a server: what it gives to devices, and what a person can carry to one that was away for too long.
///
/// # Errors
/// [`Error::Io`], [`Error::Identity`].
pub fn pin_set(config: &Config) -> Result<(PinSet, String)> {
    let record = Record::read(&config.data)?;
    Ok((record.pins()?, record.pin_set))
}

/// Makes the next key, and signs pins that have it beside the one in use. Done before, it does nothing. `root` is the
/// file with the key that signs pins.
///
/// # Errors
/// [`Error::Rotation`], [`Error::Io`], [`Error::Identity`]; those of the keychain.
pub fn prepare_key(config: &Config, root: &Path) -> Result<PinSet> {
    let keychain = crate::server::keychain(config);
    let mut record = Record::read(&config.data)?;
    let (root, before) = (signer(&record, root)?, record.pins()?);
    if record.next.is_some() {
        return Ok(before);
    }
    let next = PrivateKey::generate()?;
    let number = record.key + 1;
    keychain.set(&record.key_item(number), next.pkcs8())?;
    let mut keys: Vec<_> = before.pins.iter().map(|entry| (entry.role, entry.pin)).collect();
    keys.insert(1, (Role::Next, next.pin()));
    record.next = Some(number);
    sign(&mut record, &root, &keys)?;
    record.write(&config.data)?;
    record.pins()
}

/// Uses the next key, or with the file of the backup key that one, and signs pins without the key until now. In place
/// of a backup that was used, another one is put into the folder of what belongs offline.
///
/// # Errors
/// As [`prepare_key`].
pub fn switch_key(config: &Config, root: &Path, backup: Option<&Path>) -> Result<PinSet> {
    let keychain = crate::server::keychain(config);
    let mut record = Record::read(&config.data)?;
    let root = signer(&record, root)?;
    let (retired, prepared) = (record.key, record.next.take());
    let in_backup = record.backup.parse().map_err(|_| Error::Identity)?;
    let used = match backup {
        None => {
            let number = prepared.ok_or(RotationFault::NoNextKey)?;
            let key = keychain.get(&record.key_item(number))?.ok_or(Error::Identity)?;
            record.key = number;
            sign(
                &mut record,
                &root,
                &[(Role::Active, PrivateKey::from_pkcs8(key)?.pin()), (Role::Backup, in_backup)],
            )?;
            None
        }
        Some(file) => {
            let key = Zeroizing::new(std::fs::read(file).map_err(Error::io("while reading the backup key"))?);
            let key = PrivateKey::from_pkcs8(key).ok().filter(|key| key.pin() == in_backup);
            let key = key.ok_or(RotationFault::OtherBackup)?;
            let another = PrivateKey::generate()?;
            record.key = prepared.unwrap_or(retired) + 1;
            keychain.set(&record.key_item(record.key), key.pkcs8())?;
            let offline = config.data.join(OFFLINE);
            let file = offline.join(format!("backup-key-{}.p8", record.key));
            let written = private_file::directory(&offline)
                .and_then(|()| private_file::replace(&file, another.pkcs8()));
            written.map_err(Error::io("while writing what belongs offline"))?;
            record.backup = another.pin().to_string();
            sign(&mut record, &root, &[(Role::Active, key.pin()), (Role::Backup, another.pin())])?;
            prepared
        }
    };
    record.write(&config.data)?;
    for number in [Some(retired), used].into_iter().flatten() {
        keychain.delete(&record.key_item(number))?;
    }
    record.pins()
}

fn signer(record: &Record, file: &Path) -> Result<PinSigner> {
    let seed = Zeroizing::new(std::fs::read(file).map_err(Error::io("while reading the root of pins"))?);
    let seed = <[u8; 32]>::try_from(seed.as_slice()).map(Zeroizing::new);
    let signer = seed.ok().and_then(|seed| PinSigner::from_seed(seed).ok());
    let expected = record.root()?;
    Ok(signer.filter(|signer| signer.root() == expected).ok_or(RotationFault::OtherRoot)?)
}

/// Signs the next set, for the host of the one before.
fn sign(record: &mut Record, root: &PinSigner, keys: &[(Role, keepwell_tls::Pin)]) -> Result<()> {
    let PinSet { host, number, .. } = record.pins()?;
    record.pin_set = root.sign(&pins(host, number + 1, keys, UnixTime::now()))?;
    Ok(())
}
