//! Passcodes and passphrases: from the terminal without echo, or from a file.
//!
//! Invariants: a secret is never an argument and never an environment variable; standard input is read for a secret
//! only when `-` was given; what was read is wiped.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use keepwell_vault::{Error, Passcode};
use zeroize::Zeroizing;

use crate::exit::{Failure, Result, io as io_failure};

/// Bytes of a secret that are read at the most.
const SECRET_BYTES_MAX: u16 = 4_096;

/// A secret that exists: from `file`, or asked for once.
///
/// # Errors
/// [`Error::PasscodeNeeded`] where there is neither a file nor a terminal.
pub(crate) fn existing(file: Option<&Path>, prompt: &str) -> Result<Passcode> {
    match file {
        Some(file) => from_file(file),
        None => ask(prompt),
    }
}

/// A new secret: from `file`, or asked for twice.
///
/// # Errors
/// As [`existing`]; [`Failure::Usage`] when the two differ.
pub(crate) fn new(file: Option<&Path>, prompt: &str) -> Result<Passcode> {
    if let Some(file) = file {
        return from_file(file);
    }
    let first = ask(prompt)?;
    let second = ask("Once more: ")?;
    if first.expose() == second.expose() { Ok(first) } else { Err(Failure::Usage("the two differ")) }
}

/// The first line of a file, without its line feed.
fn from_file(path: &Path) -> Result<Passcode> {
    let failed = io_failure("reading a secret from its file");
    // Read past the limit by one, to tell; the buffer never grows, so no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::from(SECRET_BYTES_MAX) + 1));
    let mut read = |source: &mut dyn Read| {
        source.take(u64::from(SECRET_BYTES_MAX) + 1).read_to_end(&mut bytes).map_err(&failed).map(|_| ())
    };
    if path.as_os_str() == "-" {
        read(&mut io::stdin().lock())?;
    } else {
        read(&mut File::open(path).map_err(&failed)?)?;
    }
    if bytes.len() > usize::from(SECRET_BYTES_MAX) {
        return Err(Failure::Usage("the secret is longer than 4096 bytes"));
    }
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| Failure::Usage("the secret is not UTF-8"))?;
    Ok(Passcode::new(text.to_owned())?)
}

fn ask(prompt: &str) -> Result<Passcode> {
    // rpassword opens the terminal itself; without this it would wait where nobody sees the question.
    if !io::stderr().is_terminal() {
        return Err(Error::PasscodeNeeded.into());
    }
    let text = rpassword::prompt_password(prompt).map_err(|_| Failure::from(Error::PasscodeNeeded))?;
    Ok(Passcode::new(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Passcode> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secret");
        std::fs::write(&path, content).unwrap();
        from_file(&path)
    }

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        for content in [&b"two words"[..], b"two words\n", b"two words\r\n", b"two words\nanother line"] {
            assert_eq!(read(content).unwrap().expose(), "two words");
        }
        assert!(matches!(read(b"\n"), Err(Failure::Store(error)) if error.code() == 207));
        assert!(matches!(read(&[b'x'; 5_000]), Err(Failure::Usage(_))));
        assert!(matches!(read(&[0xff, 0xfe]), Err(Failure::Usage(_))));
    }
}
