//! The cipher settings of every Keepwell database.
//!
//! SQLCipher does not record them in the file: a file made with other settings looks like a wrong key.
//! They are therefore constants, set before the first read and read back. The choice is measured in
//! docs/adr/0002-cipher-settings.md.

use rusqlite::Connection;

use crate::OpenError;

/// Bytes of a database page: the unit of encryption, authentication and input/output.
pub const PAGE_SIZE_BYTES: u32 = 4096;

/// Each setting as a pragma and the answer it must give when read back.
const SETTINGS: [(&str, &str); 5] = [
    ("cipher_page_size", "4096"),
    ("cipher_hmac_algorithm", "HMAC_SHA256"),
    // Derives only the HMAC key, in two rounds, since the database key is raw.
    ("cipher_kdf_algorithm", "PBKDF2_HMAC_SHA512"),
    // Without the HMAC a page can be changed without notice.
    ("cipher_use_hmac", "1"),
    // No byte of a page stands in clear.
    ("cipher_plaintext_header_size", "0"),
];

/// Sets all on a keyed connection that has read nothing yet.
pub(crate) fn apply(connection: &Connection) -> Result<(), rusqlite::Error> {
    SETTINGS
        .iter()
        .try_for_each(|(pragma, value)| connection.execute_batch(&format!("PRAGMA {pragma} = {value}")))
}

/// Reads all back through `answer`.
pub(crate) fn check(answer: impl Fn(&str) -> Result<String, rusqlite::Error>) -> Result<(), OpenError> {
    for (setting, expected) in SETTINGS {
        if answer(setting)? != expected {
            return Err(OpenError::EngineSetting { setting });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_size_is_the_one_that_is_set() {
        assert_eq!(SETTINGS[0], ("cipher_page_size", PAGE_SIZE_BYTES.to_string().as_str()));
    }

    #[test]
    fn setting_that_was_not_taken_is_named() {
        for (setting, _) in SETTINGS {
            let answer = |pragma: &str| {
                let known = SETTINGS.iter().find(|(name, _)| *name == pragma && pragma != setting);
                Ok(known.map_or_else(String::new, |(_, value)| (*value).to_owned()))
            };
            assert_eq!(check(answer), Err(OpenError::EngineSetting { setting }));
        }
    }
}
