//! Cursors: how far a device has read a tenant's history.
//!
//! A cursor is the epoch and a position, `9f3c52d1c0a84e77:184905`. A device stores and echoes it, or makes one of
//! the epoch and the position before that of the last whole row when a page was cut off; nothing else in it is the device's
//! business. A cursor grants nothing (a server decides by grants alone what it sends), so it is not signed: whoever
//! forges one can only make their own device miss or repeat rows, and the digests at the next checkpoint tell.
//!
//! Invariant: a cursor has one spelling.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::hex64::Epoch;
use crate::number::Position;
use crate::text::as_text;

/// A place between two positions: everything up to `position` has been read.
///
/// ```
/// use keepwell_protocol::{Cursor, CursorError, Epoch, Horizon, Position};
/// let position = |number| Position::new(number).expect("a small number");
/// let epoch = Epoch::new(7);
/// let server = Horizon { epoch, floor: position(100), clock: position(200) };
/// assert_eq!(server.resolve(Cursor::new(epoch, position(150))), Ok(position(150)));
/// assert_eq!(server.resolve(Cursor::new(epoch, position(99))), Err(CursorError::Stale));
/// assert_eq!(server.resolve(Cursor::new(Epoch::new(8), position(150))), Err(CursorError::OtherEpoch));
/// assert_eq!(server.resolve(Cursor::new(epoch, position(201))), Err(CursorError::Ahead));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    epoch: Epoch,
    position: Position,
}

impl Cursor {
    /// The cursor behind `position` of `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, position: Position) -> Self {
        Self { epoch, position }
    }

    /// The position, for whoever made the cursor or knows that it is not void.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }
}

/// Why a cursor is void. Each is answered with a resync, in which nothing local is lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// The server's history is another one: it was restored or imported.
    #[error("the cursor is of another epoch")]
    OtherEpoch,
    /// Tombstones behind it have been collected.
    #[error("the cursor is older than the server remembers")]
    Stale,
    /// It lies ahead of the server: forged, or the server lost its end without noticing.
    #[error("the cursor is ahead of the server")]
    Ahead,
}

impl CursorError {
    /// The stable number of this error (docs/error-codes.md).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::OtherEpoch => 411,
            Self::Stale => 412,
            Self::Ahead => 413,
        }
    }
}

/// What a server's history reaches over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Horizon {
    /// The history.
    pub epoch: Epoch,
    /// The highest position at which a tombstone has been collected.
    pub floor: Position,
    /// The highest position.
    pub clock: Position,
}

impl Horizon {
    /// The position after which rows are due.
    ///
    /// # Errors
    /// See [`CursorError`].
    pub fn resolve(&self, cursor: Cursor) -> Result<Position, CursorError> {
        if cursor.epoch == self.epoch { self.check(cursor.position) } else { Err(CursorError::OtherEpoch) }
    }

    /// The same for a scope that is being hydrated: from the start, nothing can have been missed.
    ///
    /// # Errors
    /// See [`CursorError`].
    pub fn resolve_hydration(&self, position: Position) -> Result<Position, CursorError> {
        if position == Position::ZERO { Ok(position) } else { self.check(position) }
    }

    fn check(&self, position: Position) -> Result<Position, CursorError> {
        if position < self.floor {
            Err(CursorError::Stale)
        } else if position > self.clock {
            Err(CursorError::Ahead)
        } else {
            Ok(position)
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.position.get())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (epoch, digits) = text.split_once(':').ok_or(Error::MALFORMED)?;
        let canonical = digits == "0" || !digits.starts_with(['0', '+']);
        let position = digits.parse().ok().filter(|_| canonical).and_then(Position::new);
        Ok(Self { epoch: epoch.parse()?, position: position.ok_or(Error::MALFORMED)? })
    }
}

as_text!(Cursor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        for text in ["9f3c52d1c0a84e77:0", "0000000000000000:9007199254740991"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for text in [
            "",
            ":",
            "9f3c52d1c0a84e77",
            "9f3c52d1c0a84e77:",
            "9f3c52d1c0a84e77:01",
            "9f3c52d1c0a84e77:+1",
            "9f3c52d1c0a84e77:-1",
            "9f3c52d1c0a84e77:1 ",
            "9f3c52d1c0a84e77:1:2",
            "9F3C52D1C0A84E77:1",
            "9f3c52d1c0a84e7:1",
            "9f3c52d1c0a84e77:9007199254740992",
            "9f3c52d1c0a84e77:99999999999999999999",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(Error::MALFORMED), "{text}");
        }
    }

    #[test]
    fn hydration_from_the_start_is_never_stale() {
        let position = |number| Position::new(number).unwrap();
        let horizon = Horizon { epoch: Epoch::new(1), floor: position(100), clock: position(200) };
        assert_eq!(horizon.resolve_hydration(Position::ZERO), Ok(Position::ZERO));
        assert_eq!(horizon.resolve_hydration(position(50)), Err(CursorError::Stale));
        assert_eq!(horizon.resolve_hydration(position(100)), Ok(position(100)));
        assert_eq!(horizon.resolve_hydration(position(300)), Err(CursorError::Ahead));
        assert_eq!(horizon.resolve(Cursor::new(Epoch::new(1), Position::ZERO)), Err(CursorError::Stale));
    }
}
