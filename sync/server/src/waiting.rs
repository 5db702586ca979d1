//! Connections that only wait.
//!
//! hyper keeps 16 KiB of buffers for a connection, which is more than all else that a device costs that listens for
//! hints. So a connection whose first request opens the stream of events is served here, which keeps none; any other
//! goes to hyper with the bytes that were read of it.

use std::fmt::Write as _;
use std::io;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request, Uri};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::routes;
use crate::shared::{Peer, Shared};
use crate::stalling::Stalling;

/// How a request begins that opens the stream of events.
const EVENTS: &[u8] = b"GET /sync/v1/events HTTP/1.1\r\n";
const EVENTS_PATH: &str = "/sync/v1/events";
/// What ends the head of a request.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// What is read at once, in bytes.
const READ_BYTES: usize = 1024;

/// Reads the first request as far as is needed to tell whether it opens the stream of events. If it does not, what was
/// read is read again. None of its headers matters.
pub(crate) async fn opens_events<S: AsyncRead + Unpin>(
    stream: &mut Stalling<S>,
    head_bytes_max: usize,
) -> io::Result<bool> {
    let (mut begun, mut part) = (Vec::new(), [0; READ_BYTES]);
    let opens = loop {
        let length = stream.read(&mut part).await?;
        begun.extend_from_slice(&part[..length]);
        let known = begun.len().min(EVENTS.len());
        if length == 0 || begun[..known] != EVENTS[..known] || begun.len() > head_bytes_max {
            break false;
        }
        if let Some(end) = begun.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END) {
            // Behind it may be another request.
            break end + HEAD_END.len() == begun.len();
        }
    };
    if !opens {
        stream.unread(begun);
    }
    Ok(opens)
}

/// Answers that request, and goes on until the stream of events or its reader has ended.
pub(crate) async fn serve_events<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stalling<S>,
    peer: &Peer,
    shared: &Shared,
    router: Router,
) -> io::Result<()> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static(EVENTS_PATH);
    request.extensions_mut().insert(peer.clone());
    let (mut head, mut body) = routes::answer(shared, router, request, peer).await.into_parts();
    let date =
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now());
    if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
        head.headers.insert(DATE, date);
    }
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let mut text = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    drop(head);
    send(stream, [&text, &b"\r\n"[..]].concat()).await?;
    loop {
        let mut heard = [0; 64];
        let frame = tokio::select! {
            frame = body.frame() => frame,
            // A reader says nothing more; that it has gone is told this way.
            read = stream.read(&mut heard) => match read? {
                0 => return Ok(()),
                _ => continue,
            },
        };
        match frame {
            Some(Ok(frame)) => {
                let Ok(part) = frame.into_data() else { continue };
                let mut chunk = String::new();
                write!(chunk, "{:x}\r\n", part.len()).expect("a text takes any text");
                send(stream, [chunk.as_bytes(), &part, b"\r\n"].concat()).await?;
            }
            // Cut off: without its end nobody takes it for whole.
            Some(Err(_)) => return Ok(()),
            None => {
                send(stream, b"0\r\n\r\n".to_vec()).await?;
                return stream.shutdown().await;
            }
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut Stalling<S>, bytes: Vec<u8>) -> io::Result<()> {
    stream.write_all(&bytes).await?;
    stream.flush().await
}
