//! Tokens of attachments in bodies.

use keepwell_protocol::{Blob, BlobToken, Body, limits};
use memchr::memmem;

/// How a token begins, as every sender of this protocol writes it.
const TOKEN: &[u8] = br#"{"_blob":"#;

/// The attachments that a body refers to.
pub(crate) fn tokens(body: &Body) -> Vec<Blob> {
    let bytes = body.as_bytes();
    let token = |at: usize| {
        let mut values = serde_json::Deserializer::from_slice(&bytes[at..]).into_iter::<BlobToken>();
        values.next()?.ok().map(|token| token.blob).filter(|blob| blob.size <= limits::BLOB_BYTES_MAX)
    };
    memmem::find_iter(bytes, TOKEN).filter_map(token).collect()
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
            r#"{{"resourceType":"Binary","id":"1","data":{token},"a":"{{\"_blob\":1}}","b":{{"_blob":2}}}}"#
        );
        let body = Body::new(body).unwrap();
        assert_eq!(tokens(&body), [Blob { sha256: hash, size: 20_000 }]);
    }
}
