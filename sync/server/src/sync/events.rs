//! Events: a stream of hints for each device that has one open.
//!
//! Invariants: a hint names scopes that the device's user holds, and nothing else; a device that was locked out has its
//! stream closed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use keepwell_protocol::limits::HINT_SCOPES_MAX;
use keepwell_protocol::{Epoch, Hint, Id, Position, Scope, to_bytes};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout_at};

use super::chunks::{Chunk, Chunks};
use super::hub::{Interest, News};
use super::message::device;
use super::{Answer, Refused, written};
use crate::metrics::Present;
use crate::shared::Shared;

/// A heartbeat is sent so that the promise of 30 seconds holds on a slow network as well.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// Hints that wait for a device; one that is further behind is disconnected.
const HINTS_MAX: usize = 4;

pub(super) async fn events(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.events", events_of(&shared, device(request.extensions())).await)
}

async fn events_of(shared: &Arc<Shared>, device: Result<Id, Refused>) -> Answer {
    let device = device?;
    let news = shared.hub.listen();
    let (sender, chunks) = Chunks::new(HINTS_MAX);
    let stream = Stream { known: known(shared, &device).await?, device, news, sender };
    tokio::spawn(stream.run(shared.clone()));
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::new(chunks)).into_response())
}

/// What a stream knows of its device and of the history.
struct Known {
    epoch: Epoch,
    clock: Position,
    interest: Interest,
}

async fn known(shared: &Arc<Shared>, device: &Id) -> Result<Known, Refused> {
    let device = device.clone();
    let done = shared.work(move |shared| {
        let device = shared.backend.admit(&device)?;
        let horizon = shared.backend.horizon()?;
        let held = shared.backend.grants(&device.user)?;
        let interest = Interest::new(device.user, held);
        Ok(Known { epoch: horizon.epoch, clock: horizon.clock, interest })
    });
    done.await?
}

/// What a hint is about; nothing in a heartbeat.
#[derive(Default)]
struct Heard {
    scopes: Vec<Scope>,
    grants: bool,
}

struct Stream {
    device: Id,
    known: Known,
    news: broadcast::Receiver<News>,
    sender: Sender<Chunk>,
}

impl Stream {
    async fn run(mut self, shared: Arc<Shared>) {
        let _here = Present::new(&shared.metrics.streams);
        let mut next = Instant::now();
        // The first hint is the answer to "what did I miss".
        let mut heard = Heard::default();
        loop {
            if !self.send(heard) {
                return;
            }
            next = next.max(Instant::now()) + HEARTBEAT;
            match self.something(&shared, next).await {
                Some(something) => heard = something,
                None => return,
            }
        }
    }

    /// What the next hint is about. `None` if the stream is over.
    async fn something(&mut self, shared: &Arc<Shared>, heartbeat: Instant) -> Option<Heard> {
        loop {
            let news = tokio::select! {
                news = timeout_at(heartbeat, self.news.recv()) => news,
                () = self.sender.closed() => return None,
                () = shared.stops() => return None,
            };
            let Ok(news) = news else { return Some(Heard::default()) };
            match news {
                Ok(News::Rows(clock, scopes)) => {
                    self.known.clock = clock;
                    let Some(own) = self.known.interest.among(scopes.as_deref()) else { continue };
                    return Some(Heard { scopes: own, grants: false });
                }
                Ok(News::Grants(users)) if self.known.interest.is_of(&users) => {
                    self.known = known(shared, &self.device).await.ok()?;
                    return Some(Heard { grants: true, ..Heard::default() });
                }
                Ok(News::Grants(_)) => {}
                Ok(News::Locked(device)) if device == self.device => return None,
                Ok(News::Locked(_)) => {}
                Err(RecvError::Lagged(_)) => {
                    self.known = known(shared, &self.device).await.ok()?;
                    return Some(Heard { grants: true, ..Heard::default() });
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Sends a hint; false if the device has gone or does not read.
    fn send(&self, Heard { mut scopes, grants }: Heard) -> bool {
        if scopes.len() > HINT_SCOPES_MAX {
            scopes.clear();
        }
        let hint = to_bytes(&Hint { epoch: self.known.epoch, clock: self.known.clock, scopes, grants });
        let event = [b"data: ".as_slice(), &hint, b"\n"].concat();
        self.sender.try_send(Ok(Bytes::from(event))).is_ok()
    }
}
