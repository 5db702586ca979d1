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

/// The whole body. What says that it is too large is refused before any of it is read.
pub(crate) async fn whole(body: Body, bytes_max: usize, time: Duration) -> Result<Vec<u8>, BodyFault> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyFault::TooLarge);
    }
    tokio::time::timeout(time, collect(body, bytes_max)).await.map_err(|_| BodyFault::Slow)?
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, BodyFault> {
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
