//! Bodies whose large attachments are elsewhere: as sync carries them, and as clients see one that has not come yet.
//!
//! | To whom | What stands for the attachment |
//! |---|---|
//! | the store itself | a string that is a token ([`crate::attachment`]) |
//! | sync | `{"_blob":{"sha256":"…","size":1300000}}`: the SHA-256 of the content in base64url, its size in bytes; then `,"text":true` if the content is the text and not what the text stands for |
//! | a client, while the content is not here | no `data`, but `"_data":{"extension":[{"url":"urn:keepwell:attachment","valueString":"…"}]}` |
//!
//! Invariant: each form gives back the stored one, byte for byte; a client cannot name an attachment that the resource
//! did not have.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keepwell_fhir::{ATTACHMENT_INLINE_BYTES, Span};
use memchr::memmem;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;

use crate::attachment::{Attachments, Staged, TOKEN, TOKEN_BYTES, Token};
use crate::error::{Error, Result};
use crate::head::Head;

/// How an attachment apart begins.
const OBJECT: &[u8] = br#"{"_blob":"#;
/// The extension that a client sees in place of content that is not here.
const MARKER_URL: &str = "urn:keepwell:attachment";

/// A stored body as sync carries it.
///
/// # Errors
/// [`Error::Corrupt`].
pub(crate) fn apart(connection: &Connection, content: Vec<u8>) -> Result<Vec<u8>> {
    if !content.contains(&TOKEN) {
        return Ok(content);
    }
    let mut out = Vec::with_capacity(content.len() + 64);
    let mut rest = content.as_slice();
    while let Some(at) = memchr::memchr(TOKEN, rest) {
        let token = Token::read(&rest[at..])?;
        let size: i64 = connection
            .prepare_cached("-- apart\nSELECT size FROM blob WHERE hash = ?1")?
            .query_row([token.hash], |row| row.get(0))
            .optional()?
            .ok_or(Error::Corrupt)?;
        out.extend_from_slice(rest[..at].strip_suffix(b"\"").ok_or(Error::Corrupt)?);
        out.extend_from_slice(&object(token, size.unsigned_abs()));
        rest = rest[at + TOKEN_BYTES..].strip_prefix(b"\"").ok_or(Error::Corrupt)?;
    }
    out.extend_from_slice(rest);
    Ok(out)
}

fn object(token: Token, size: u64) -> Vec<u8> {
    let hash = URL_SAFE_NO_PAD.encode(token.hash);
    let text = if token.is_text { r#","text":true"# } else { "" };
    format!(r#"{{"_blob":{{"sha256":"{hash}","size":{size}}}{text}}}"#).into_bytes()
}

/// What [`object`] writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    #[serde(rename = "_blob")]
    blob: Blob,
    #[serde(default)]
    text: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Blob {
    sha256: String,
    size: u64,
}

/// What [`show_absent`] writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    extension: [MarkerExtension; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkerExtension {
    url: String,
    #[serde(rename = "valueString")]
    value: String,
}

/// Ends a body that is being written before the string that a token stands in, with what a client sees of content that
/// is not here. `out` ends with the opening quote; the closing one is the caller's to leave out.
///
/// # Errors
/// [`Error::AttachmentAbsent`] where there is no room for it: the element has an extension already.
pub(crate) fn show_absent(body: &[u8], token: Token, out: &mut Vec<u8>) -> Result<()> {
    let (start, name) = last_name(out).ok_or(Error::AttachmentAbsent)?;
    let name = [b"\"_", name, b"\""].concat();
    if memmem::find(body, &name).is_some() {
        return Err(Error::AttachmentAbsent);
    }
    out.truncate(start);
    out.extend_from_slice(&name);
    out.extend_from_slice(br#":{"extension":[{"url":""#);
    out.extend_from_slice(MARKER_URL.as_bytes());
    out.extend_from_slice(br#"","valueString":""#);
    // The token without its mark, which JSON does not allow.
    out.extend_from_slice(&token.write()[1..]);
    out.extend_from_slice(br#""}]}"#);
    Ok(())
}

/// Where the member begins whose string was just opened, and its name.
fn last_name(out: &[u8]) -> Option<(usize, &[u8])> {
    let before = out.strip_suffix(b"\"")?.trim_ascii_end();
    let before = before.strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    let start = memchr::memrchr(b'"', before)?;
    Some((start, &before[start + 1..]))
}

/// A body as it came, with a stand-in for each attachment that is elsewhere: base64 text that is long enough for a
/// walk to list it.
pub(crate) struct Incoming<'b> {
    bytes: Cow<'b, [u8]>,
    apart: Vec<(u32, Staged, Token)>,
}

impl<'b> Incoming<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), apart: Vec::new() }
    }

    /// A body with all that belongs to it.
    ///
    /// # Errors
    /// [`Error::AttachmentAbsent`] when it was read where an attachment was not.
    pub(crate) fn whole(bytes: &'b [u8]) -> Result<Self> {
        match memmem::find(bytes, MARKER_URL.as_bytes()) {
            Some(_) => Err(Error::AttachmentAbsent),
            None => Ok(Self::new(bytes)),
        }
    }

    /// A body of sync: attachments that are not here may come later.
    ///
    /// # Errors
    /// [`Error::Argument`] when one is not named as it should be.
    pub(crate) fn synced(
        bytes: &'b [u8],
        attachments: &Attachments,
        connection: &Connection,
    ) -> Result<Self> {
        let wrong = || Error::Argument("an attachment is not named as it should be");
        let mut incoming = Self::new(bytes);
        let (mut out, mut copied) = (Vec::new(), 0);
        for start in memmem::find_iter(bytes, OBJECT) {
            let mut values = serde_json::Deserializer::from_slice(&bytes[start..]).into_iter::<Object>();
            let Object { blob, text } = values.next().and_then(std::result::Result::ok).ok_or_else(wrong)?;
            let end = start + values.byte_offset();
            let hash = URL_SAFE_NO_PAD.decode(&blob.sha256).ok().and_then(|hash| hash.try_into().ok());
            let token = Token { hash: hash.ok_or_else(wrong)?, is_text: text };
            if object(token, blob.size) != bytes[start..end] {
                return Err(wrong());
            }
            let staged = attachments.find(connection, &token.hash, blob.size)?;
            out.extend_from_slice(&bytes[copied..start]);
            incoming.stand_in(staged, token, &mut out)?;
            copied = end;
        }
        Ok(incoming.with(bytes, out, copied))
    }

    /// A body of a client who may have read it here while attachments were not: they stay what they are in `head`.
    ///
    /// # Errors
    /// [`Error::AttachmentAbsent`] when it names another one.
    pub(crate) fn read_before(
        bytes: &'b [u8],
        attachments: &Attachments,
        connection: &Connection,
        head: Option<&Head>,
    ) -> Result<Self> {
        let mut incoming = Self::new(bytes);
        let named = memmem::find_iter(bytes, MARKER_URL).count();
        let Some(head) = head.filter(|_| named > 0) else { return Self::whole(bytes) };
        let (mut out, mut copied) = (Vec::new(), 0);
        for start in memmem::find_iter(bytes, b"\"_") {
            let Some((name, token, end)) = marker(bytes, start) else { continue };
            let size: Option<i64> = connection
                .prepare_cached(
                    "-- Incoming::read_before
                     SELECT size FROM blob JOIN blob_reference ON blob_reference.blob = blob.key
                     WHERE hash = ?1 AND resource = ?2 AND version = ?3",
                )?
                .query_row(params![token.hash, head.key, head.version.cast_signed()], |row| row.get(0))
                .optional()?;
            let size = size.ok_or(Error::AttachmentAbsent)?;
            let staged = attachments.find(connection, &token.hash, size.unsigned_abs())?;
            out.extend_from_slice(&bytes[copied..start]);
            out.push(b'"');
            out.extend_from_slice(name);
            out.extend_from_slice(b"\":");
            incoming.stand_in(staged, token, &mut out)?;
            copied = end;
        }
        if incoming.apart.len() != named {
            return Err(Error::AttachmentAbsent);
        }
        Ok(incoming.with(bytes, out, copied))
    }

    fn stand_in(&mut self, staged: Staged, token: Token, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'"');
        let start = u32::try_from(out.len()).map_err(|_| Error::Argument("the resource is too large"))?;
        self.apart.push((start, staged, token));
        out.resize(out.len() + ATTACHMENT_INLINE_BYTES + 4, b'A');
        out.push(b'"');
        Ok(())
    }

    fn with(mut self, bytes: &[u8], mut out: Vec<u8>, copied: usize) -> Self {
        if copied > 0 {
            out.extend_from_slice(&bytes[copied..]);
            self.bytes = Cow::Owned(out);
        }
        self
    }

    /// The body as a walk takes it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many attachments are elsewhere.
    pub(crate) fn elsewhere(&self) -> usize {
        self.apart.len()
    }

    /// The attachment that this text stands for, if it is a stand-in.
    pub(crate) fn at(&self, span: Span) -> Option<(Staged, Token)> {
        let found = self.apart.iter().find(|(start, ..)| *start == span.start);
        found.map(|(_, staged, token)| (*staged, *token))
    }
}

/// The name of the element, the attachment and the end of the marker that begins here, if it is one.
fn marker(bytes: &[u8], start: usize) -> Option<(&[u8], Token, usize)> {
    let name = start + 2;
    let length = memchr::memchr(b'"', &bytes[name..])?;
    let rest = bytes[name + length + 1..].trim_ascii_start().strip_prefix(b":")?;
    let at = bytes.len() - rest.len();
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Marker>();
    let Marker { extension: [MarkerExtension { url, value }] } = values.next()?.ok()?;
    let token = Token::read(&[&[TOKEN], value.as_bytes()].concat()).ok()?;
    (url == MARKER_URL && value.len() + 1 == TOKEN_BYTES)
        .then(|| (&bytes[name..name + length], token, at + values.byte_offset()))
}
