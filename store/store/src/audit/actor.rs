//! Who acts: the person, the app and the device that every event names.
//!
//! Each distinct [`Actor`] is one row, written once and bound by a mac to its number, so that a later edit of a
//! name is found by `verify` although events carry the number only.
//!
//! Invariant: user, app and device are never empty.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::chain::Chain;

/// The longest text of a user, app or device, in bytes.
pub const ACTOR_TEXT_MAX: usize = 256;

/// The purpose of use when none is named: treatment.
pub const PURPOSE_DEFAULT: &str = "TREAT";

/// The purpose of use of emergency access ("break the glass").
pub const PURPOSE_BREAK_GLASS: &str = "BTG";

/// Why an actor was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorError {
    /// A user, app or device was empty or blank.
    #[error("an actor needs a user, an app and a device")]
    Empty,
    /// A text was longer than [`ACTOR_TEXT_MAX`].
    #[error("a text of the actor is longer than 256 bytes")]
    TooLong,
    /// A text held a control character.
    #[error("a text of the actor holds a control character")]
    Control,
    /// The purpose of use was no code.
    #[error("the purpose of use is no v3 ActReason code")]
    Purpose,
}

/// Who acts, through what, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    user: String,
    app: String,
    device: String,
    purpose: String,
}

impl Actor {
    /// An actor who treats a patient: purpose of use `TREAT`.
    ///
    /// # Errors
    /// [`ActorError`] when a text is blank, longer than [`ACTOR_TEXT_MAX`] bytes or holds a control character.
    pub fn new(user: &str, app: &str, device: &str) -> Result<Self, ActorError> {
        for text in [user, app, device] {
            if text.trim().is_empty() {
                return Err(ActorError::Empty);
            }
            if text.len() > ACTOR_TEXT_MAX {
                return Err(ActorError::TooLong);
            }
            if text.chars().any(char::is_control) {
                return Err(ActorError::Control);
            }
        }
        Ok(Self {
            user: user.to_owned(),
            app: app.to_owned(),
            device: device.to_owned(),
            purpose: PURPOSE_DEFAULT.to_owned(),
        })
    }

    /// The same actor with another purpose of use: a code of v3 ActReason such as `BTG` or `HOPERAT`.
    ///
    /// # Errors
    /// [`ActorError::Purpose`] unless it is 1 to 16 upper-case letters.
    pub fn with_purpose(mut self, purpose: &str) -> Result<Self, ActorError> {
        if !(1..=16).contains(&purpose.len()) || !purpose.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(ActorError::Purpose);
        }
        purpose.clone_into(&mut self.purpose);
        Ok(self)
    }

    /// The person, as the host app names them.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The app.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The purpose of use, a code of v3 ActReason.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// An actor as stored, not checked again: listings show what is there, and `verify` judges it.
    pub(super) fn stored([user, app, device, purpose]: [String; 4]) -> Self {
        Self { user, app, device, purpose }
    }
}

const FIND: &str = "
    -- audit::actor::key
    SELECT key FROM actor WHERE user = :user AND app = :app AND device = :device AND purpose = :purpose";
const NEXT: &str = "
    -- audit::actor::key
    SELECT coalesce(max(key), 0) + 1 FROM actor";
const INSERT: &str = "
    -- audit::actor::key
    INSERT INTO actor (key, user, app, device, purpose, mac)
    VALUES (:key, :user, :app, :device, :purpose, :mac)";

/// The number of `actor`, which is written if it is new.
///
/// # Errors
/// Those of the database.
pub(crate) fn actor_key(connection: &Connection, chain: &Chain, actor: &Actor) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached(FIND)?
        .query_row(
            named_params! {
                ":user": actor.user, ":app": actor.app, ":device": actor.device, ":purpose": actor.purpose,
            },
            |row| row.get(0),
        )
        .optional()?;
    if let Some(key) = found {
        return Ok(key);
    }
    let key = connection.query_row(NEXT, [], |row| row.get(0))?;
    let mac = chain.keys().actor_mac(key, actor);
    connection.execute(
        INSERT,
        named_params! {
            ":key": key, ":user": actor.user, ":app": actor.app, ":device": actor.device,
            ":purpose": actor.purpose, ":mac": mac.as_slice(),
        },
    )?;
    Ok(key)
}
