//! The bearer token of a plain server, where an app gives it.
//!
//! Invariant: the app is never asked while anything here is locked, so it may take its time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::header::HeaderValue;
use keepwell_protocol::Secret;
use zeroize::Zeroizing;

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Gives tokens for a plain FHIR server, such as those of OAuth. It is asked on the thread that syncs, by one thread at a
/// time, and may block: whoever ends the round waits until it has answered.
pub trait TokenProvider: Send + Sync {
    /// A token for the server; none if there is none to be had now, and it is asked again later. One that the server has
    /// just refused (`is_refused`) is not worth giving again: get another one.
    fn token(&self, is_refused: bool) -> Option<Secret>;
}

/// Who gives tokens, if an app does, and the last one. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Tokens(Arc<Mutex<Place>>);

#[derive(Default)]
struct Place {
    provider: Option<Arc<dyn TokenProvider>>,
    bearer: Option<HeaderValue>,
}

/// No token could be had.
pub(super) struct NoToken;

impl Tokens {
    /// Asks this one from now on, or nobody.
    pub(super) fn provide(&self, provider: Option<Arc<dyn TokenProvider>>) {
        *self.lock() = Place { provider, bearer: None };
    }

    /// Whether there is somebody to ask.
    pub(super) fn are_provided(&self) -> bool {
        self.lock().provider.is_some()
    }

    /// The value of `Authorization`: `kept`, the token that is kept with the server, where there is nobody to ask.
    pub(super) fn bearer(
        &self,
        kept: Option<&Secret>,
        is_refused: bool,
    ) -> Result<Option<HeaderValue>, NoToken> {
        let (provider, known) = {
            let place = self.lock();
            (place.provider.clone(), place.bearer.clone().filter(|_| !is_refused))
        };
        let Some(provider) = provider else { return kept.map(value).transpose() };
        if known.is_some() {
            return Ok(known);
        }
        let bearer = value(&provider.token(is_refused).ok_or(NoToken)?)?;
        let mut place = self.lock();
        if place.provider.as_ref().is_some_and(|now| Arc::ptr_eq(now, &provider)) {
            place.bearer = Some(bearer.clone());
        }
        Ok(Some(bearer))
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn value(token: &Secret) -> Result<HeaderValue, NoToken> {
    let token = token.reveal().trim();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(NoToken);
    }
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).map_err(|_| NoToken)?;
    value.set_sensitive(true);
    Ok(value)
}
