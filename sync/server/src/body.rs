//! The body of a request, read within limits of size and time.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// Larger than the limit.
    TooLarge,
    /// It took too long.
    Slow,
    /// The connection broke, or the framing is wrong.
    Cut,
}

/// What is read of a body that is too large before its client is told, in bytes, and for how long: a connection that is
/// closed with bytes unread may lose the answer on its way.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// The whole body. What says that it is too large is refused before any of it is kept.
pub(crate) async fn whole(mut body: Body, bytes_max: usize, time: Duration) -> Result<Vec<u8>, BodyFault> {
    let read = if body.size_hint().lower() > bytes_max as u64 {
        Err(BodyFault::TooLarge)
    } else {
        tokio::time::timeout(time, collect(&mut body, bytes_max)).await.unwrap_or(Err(BodyFault::Slow))
    };
    if read == Err(BodyFault::TooLarge) {
        // Whether it ended or not, the client is told now.
        let _ = tokio::time::timeout(LINGER, collect(&mut body, LINGER_BYTES)).await;
    }
    read
}

async fn collect(body: &mut Body, bytes_max: usize) -> Result<Vec<u8>, BodyFault> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyFault::Cut)?;
        // Trailers are passed over.
        let Ok(part) = frame.into_data() else { continue };
        if whole.len() + part.len() > bytes_max {
            return Err(BodyFault::TooLarge);
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}
