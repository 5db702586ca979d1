//! Deltas: a body as what changed against another one.
//!
//! A delta is a zstd frame with the base as raw content before it (`zstd --patch-from`), some 50 bytes for one edited
//! field.
//!
//! Promise: [`Delta::apply`] gives the bytes that the delta was made of, or an error.

use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, compress_bound};

use crate::base64::Base64;
use crate::body::Body;
use crate::dictionary::LEVEL;
use crate::error::{Error, Limit, Result};
use crate::hash::HashStart;
use crate::limits::{LINE_BYTES_MAX, WINDOW_BYTES_MAX};

/// How a body differs from the one whose hash begins with `bh`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Delta {
    /// The begin of the hash of the base's bytes.
    #[serde(rename = "bh")]
    pub base: HashStart,
    /// The zstd frame.
    #[serde(rename = "z")]
    pub frame: Base64,
}

/// Bodies under this size go whole: a delta would save little.
const BYTES_MIN: usize = 400;

impl Delta {
    /// The delta from `base` to `content`, if it is clearly less than the content.
    #[must_use]
    pub fn saving(base: &Body, content: &Body) -> Option<Self> {
        let length = content.as_bytes().len();
        if length < BYTES_MIN {
            return None;
        }
        let delta = Self::new(base.as_bytes(), content.as_bytes());
        // In base64, and with the members around it.
        (delta.frame.0.len() * 4 / 3 + 30 < length / 2).then_some(delta)
    }

    /// The delta from `base` to `content`.
    #[must_use]
    pub fn new(base: &[u8], content: &[u8]) -> Self {
        let plain = "parameters that are constants";
        let mut zstd = Compressor::new(LEVEL).expect(plain);
        zstd.include_checksum(true).expect(plain);
        zstd.context_mut().ref_prefix(base).expect("any bytes serve as prefix");
        let mut frame = vec![0; compress_bound(content.len())];
        let length = zstd.compress_to_buffer(content, &mut frame[..]).expect("the buffer holds any frame");
        frame.truncate(length);
        Self { base: HashStart::of(base), frame: Base64(frame) }
    }

    /// The content, given its base.
    ///
    /// # Errors
    /// [`Error::WrongBase`] when the base is another one or the frame is damaged; [`Error::TooLarge`] when the content
    /// would be; [`Error::Malformed`] when it is no JSON object.
    pub fn apply(&self, base: &[u8]) -> Result<Body> {
        if HashStart::of(base) != self.base {
            return Err(Error::WrongBase);
        }
        let mut zstd = DCtx::create();
        zstd.set_parameter(DParameter::WindowLogMax(WINDOW_BYTES_MAX.ilog2())).expect("in range");
        zstd.ref_prefix(base).map_err(|_| Error::WrongBase)?;
        let (mut content, mut buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
        let mut input = InBuffer::around(&self.frame.0);
        loop {
            let mut out = OutBuffer::around(&mut buffer[..]);
            let hint = zstd.decompress_stream(&mut out, &mut input).map_err(|_| Error::WrongBase)?;
            let written = out.pos();
            content.extend_from_slice(&buffer[..written]);
            let (whole, used_up) = (hint == 0, input.pos() == self.frame.0.len());
            if content.len() > LINE_BYTES_MAX {
                return Err(Error::TooLarge(Limit::Resource));
            }
            match (whole, used_up) {
                (true, true) => return Body::new(content),
                (true, false) => return Err(Error::WrongBase),
                // Nothing is left to be read and the buffer was not filled: the frame is cut off.
                (false, true) if written < BUFFER_BYTES => return Err(Error::WrongBase),
                (false, _) => {}
            }
        }
    }
}

const BUFFER_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: &str = r#"{"resourceType":"Patient","id":"7","active":true,"birthDate":"1970-01-01"}"#;

    #[test]
    fn one_edited_field_is_a_few_bytes() {
        let content = BASE.replace("true", "false");
        let delta = Delta::new(BASE.as_bytes(), content.as_bytes());
        assert!(delta.frame.0.len() <= 50, "{} bytes", delta.frame.0.len());
        assert_eq!(delta.apply(BASE.as_bytes()).unwrap().as_bytes(), content.as_bytes());
        assert_eq!(delta.apply(content.as_bytes()), Err(Error::WrongBase));
    }

    #[test]
    fn a_delta_that_grows_without_bound_is_refused() {
        let content = [b"{\"a\":\"", &vec![b'a'; LINE_BYTES_MAX][..], b"\"}"].concat();
        let delta = Delta::new(BASE.as_bytes(), &content);
        assert!(delta.frame.0.len() < 4096);
        assert_eq!(delta.apply(BASE.as_bytes()), Err(Error::TooLarge(Limit::Resource)));
    }

    #[test]
    fn a_delta_is_one_frame() {
        let delta = Delta::new(BASE.as_bytes(), b"{}");
        let twice = Base64([&delta.frame.0[..], &delta.frame.0].concat());
        assert_eq!(Delta { frame: twice, ..delta.clone() }.apply(BASE.as_bytes()), Err(Error::WrongBase));
        assert_eq!(Delta { frame: Base64::default(), ..delta }.apply(BASE.as_bytes()), Err(Error::WrongBase));
    }

    proptest! {
        #[test]
        fn deltas_give_their_content(base in "[a-z ]{0,300}", text in "[a-z ]{0,300}") {
            let content = format!("{{\"text\":\"{text}\"}}");
            let delta = Delta::new(base.as_bytes(), content.as_bytes());
            let applied = delta.apply(base.as_bytes()).unwrap();
            prop_assert_eq!(applied.as_bytes(), content.as_bytes());
        }

        #[test]
        fn damaged_deltas_never_give_other_content(
            text in "[a-z ]{0,300}", at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<bool>(),
        ) {
            let content = format!("{{\"text\":\"{text}\"}}");
            let mut delta = Delta::new(BASE.as_bytes(), content.as_bytes());
            let at = at.index(delta.frame.0.len());
            if cut { delta.frame.0.truncate(at) } else { delta.frame.0[at] ^= 1 << bit }
            if let Ok(body) = delta.apply(BASE.as_bytes()) {
                prop_assert!(!cut && body.as_bytes() == content.as_bytes());
            }
        }
    }
}
