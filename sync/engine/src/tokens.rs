//! Tokens of attachments in bodies.

use std::collections::BTreeMap;

use keepwell_protocol::{Blob, BlobToken, Body};
use memchr::memmem;

/// Bodies in which a text stands for each token, as FHIR has one there and whoever reads it expects.
#[derive(Debug, Default)]
pub struct Texts(BTreeMap<String, BlobToken>);

impl Texts {
    /// A body with texts.
    #[must_use]
    pub fn put(&mut self, body: &Body) -> Vec<u8> {
        let bytes = body.as_bytes();
        let (mut out, mut copied) = (Vec::with_capacity(bytes.len()), 0);
        for (place, token) in BlobToken::all(bytes).unwrap_or_default() {
            // Letters of base64, four at a time: 4 and 64.
            let kind = if token.text { "text" } else { "blob" };
            let digits: String =
                token.blob.sha256.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("\"{kind}{digits}\"");
            out.extend_from_slice(&bytes[copied..place.start]);
            out.extend_from_slice(text.as_bytes());
            copied = place.end;
            self.0.insert(text, token);
        }
        out.extend_from_slice(&bytes[copied..]);
        out
    }

    /// A body with the tokens again.
    #[must_use]
    pub fn take_back(&self, bytes: Vec<u8>) -> Vec<u8> {
        let mut bytes = bytes;
        for (text, token) in &self.0 {
            while let Some(start) = memmem::find(&bytes, text.as_bytes()) {
                bytes.splice(start..start + text.len(), token.to_string().into_bytes());
            }
        }
        bytes
    }
}

/// The attachments that a body refers to.
pub(crate) fn tokens(body: &Body) -> Vec<Blob> {
    let found = BlobToken::all(body.as_bytes()).unwrap_or_default();
    found.into_iter().map(|(_, token)| token.blob).collect()
}

#[cfg(test)]
mod tests {
    use keepwell_protocol::Hash;

    use super::*;

    #[test]
    fn tokens_are_found_and_texts_about_them_are_not() {
        let hash = Hash::of(b"x");
        let token = format!(r#"{{"_blob":{{"sha256":"{hash}","size":20000}}}}"#);
        let body = format!(
            r#"{{"resourceType":"Binary","id":"1","data":{token},"a":"{{\"_blob\":1}}","b":{{"blob":2}}}}"#
        );
        let body = Body::new(body).unwrap();
        assert_eq!(tokens(&body), [Blob { sha256: hash, size: 20_000 }]);
    }

    #[test]
    fn texts_become_the_tokens_that_they_stand_for() {
        let token = |content: &[u8], text| {
            let blob = Blob { sha256: Hash::of(content), size: 20_000 };
            BlobToken { blob, text }
        };
        let (one, two) = (token(b"x", false), token(b"x", true));
        let body = Body::new(format!(r#"{{"a":{one},"b":{two},"c":{one}}}"#)).unwrap();
        let mut texts = Texts::default();
        let plain = texts.put(&body);
        assert!(!plain.windows(5).any(|part| part == b"_blob"));
        assert_eq!(texts.take_back(plain), body.as_bytes());
    }
}
