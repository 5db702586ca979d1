//! Who gets in: lock, unlock, passcode, rotate, recover.

use std::time::{Duration, Instant};

use keepwell_store::{Session, Store};
use keepwell_vault::{Passcode, Suspicion, Vault};
use serde_json::json;

use crate::args::{KeyChoice, PasscodeSetArgs, RecoverSetArgs, RecoverUseArgs, RotateArgs, UnlockArgs};
use crate::context::Context;
use crate::exit::Result;
use crate::progress;
use crate::secret;

const RECOVERY_PASSPHRASE: &str = "Recovery passphrase: ";

pub(super) fn lock(context: &Context) -> Result<()> {
    let vault = Vault::open(context.directory()?, context.vault_config())?;
    vault.forget()?;
    let has_passcode = vault.key_status().has_passcode;
    context.out.show(
        || json!({ "locked": has_passcode }),
        |out| {
            if has_passcode {
                writeln!(out, "locked: the next command asks for the passcode")
            } else {
                writeln!(out, "no passcode is set: the keychain alone opens the store. Set one with `keepwell passcode set`")
            }
        },
    )
}

pub(super) fn unlock(context: &Context, args: &UnlockArgs) -> Result<()> {
    let actor = context.actor()?;
    let suspicion = if args.adopt { Suspicion::Adopt } else { Suspicion::Refuse };
    let store = Store::open(context.directory()?, context.options())?;
    let status = store.vault().key_status();
    // Asked for even if it is remembered: to unlock is to prove that one knows it.
    let passcode = status.has_passcode.then(|| context.passcode()).transpose()?;
    store.unlock_with(passcode, suspicion)?;
    let remembers = status.has_passcode && status.keychain.is_some();
    if remembers {
        store.vault().remember(Duration::from_secs(args.minutes.saturating_mul(60)))?;
    }
    store.session(actor)?.close()?;
    store.lock()?;
    context.out.show(
        || json!({ "remembered_minutes": if remembers { args.minutes } else { 0 } }),
        |out| match (status.has_passcode, remembers) {
            (_, true) => {
                writeln!(out, "unlocked: commands do not ask until none has run for {} minutes", args.minutes)
            }
            (true, false) => writeln!(
                out,
                "the passphrase is right; it is asked for each time, since there is no keychain to remember it"
            ),
            (false, false) => writeln!(out, "no passcode is set: the keychain alone opens the store"),
        },
    )
}

pub(super) fn set_passcode(context: &Context, args: &PasscodeSetArgs) -> Result<()> {
    context.with(|session| {
        // The old one is proved before the new one is asked for.
        context.elevate(session, |privileged| {
            let passcode = context.next_passcode(args.new_passcode_file.as_deref())?;
            Ok(privileged.set_passcode(&passcode)?)
        })
    })?;
    done(context, "the passcode is set; losing it and the recovery passphrase loses the data")
}

pub(super) fn remove_passcode(context: &Context) -> Result<()> {
    context.elevated(|privileged| Ok(privileged.remove_passcode()?))?;
    done(context, "no passcode is set: the keychain alone opens the store")
}

pub(super) fn rotate(context: &Context, args: &RotateArgs) -> Result<()> {
    let bar = progress::bar("rotating", None);
    let started = Instant::now();
    context.elevated(|privileged| {
        let rotated = match args.key {
            KeyChoice::Kek => privileged.rotate_kek(),
            KeyChoice::Database => privileged.rotate_database_key(),
        };
        Ok(rotated?)
    })?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    context.out.show(
        || json!({ "done": true, "seconds": seconds }),
        |out| writeln!(out, "the key is replaced ({seconds:.2} s)"),
    )
}

pub(super) fn set_recovery(context: &Context, args: &RecoverSetArgs) -> Result<()> {
    context.with(|session| {
        context.elevate(session, |privileged| {
            let (passphrase, is_made) = if args.generate {
                (Passcode::generate(), true)
            } else {
                (secret::new(args.passphrase_file.as_deref(), RECOVERY_PASSPHRASE)?, false)
            };
            privileged.set_recovery(&passphrase)?;
            // After it is set: a passphrase that was shown must be one that works.
            if is_made { context.out.raw(passphrase.expose().as_bytes()) } else { Ok(()) }
        })
    })?;
    if args.generate {
        return Ok(());
    }
    done(context, "the recovery passphrase is set; keep it away from this device")
}

pub(super) fn recover(context: &Context, args: &RecoverUseArgs) -> Result<()> {
    let actor = context.actor()?;
    let passphrase = secret::existing(args.passphrase_file.as_deref(), RECOVERY_PASSPHRASE)?;
    let passcode = context.first_passcode(args.with_passcode)?;
    let store = Store::recover(context.directory()?, context.options(), &passphrase, passcode.as_ref())?;
    store.session(actor).and_then(Session::close)?;
    store.lock()?;
    done(context, "the store is back, under a new key in the keychain")
}

fn done(context: &Context, text: &str) -> Result<()> {
    context.out.show(|| json!({ "done": true }), |out| writeln!(out, "{text}"))
}
