//! Pull: a page, made while it is sent; or nothing for a while, and then a page.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;
use keepwell_protocol::limits::PAGE_BYTES_MAX;
use keepwell_protocol::{
    Document as _, Encoding, Id, Part, PullReply, PullRequest, Refusal, Writer, check_version,
};
use tokio::sync::broadcast;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::chunks::{Broken, Chunk, Chunks};
use super::hub::{Interest, News};
use super::message::{describe_lines, document, read};
use super::{Answer, Refused, now, written};
use crate::shared::{Busy, Shared};

/// What is written before it is sent, in bytes before compression.
const CHUNK_BYTES: usize = 256 << 10;
/// A page waits in memory if its device is slow, since the store must not wait for a device.
const CHUNKS_MAX: usize = PAGE_BYTES_MAX / CHUNK_BYTES + 2;

pub(super) async fn pull(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    written("sync.pull", pull_of(&shared, request).await)
}

async fn pull_of(shared: &Arc<Shared>, request: Request<Body>) -> Answer {
    let call = read(shared, request, PullRequest::BYTES_MAX).await?;
    let request: PullRequest = document(&call)?;
    check_version(request.v)?;
    let until = Instant::now() + Duration::from_millis(u64::from(request.wait_ms));
    let asked = Arc::new(Asked { device: call.device, request, encoding: call.writes });
    // Before the first look, so that what is committed in between is heard.
    let mut news = shared.hub.listen();
    loop {
        let body = match page(shared, &asked).await? {
            Page::Rows(chunks) => Body::new(chunks),
            Page::Nothing(interest, bytes) => {
                let waited =
                    timeout_at(until, something(shared, &mut news, interest.as_ref(), &asked.device));
                if waited.await.is_ok() && !shared.is_stopping() {
                    continue;
                }
                Body::from(bytes)
            }
        };
        let mut response = Response::new(body);
        describe_lines(&mut response, &asked.encoding);
        return Ok(response);
    }
}

struct Asked {
    device: Id,
    request: PullRequest,
    encoding: Encoding,
}

/// A page, as far as is known when its first bytes are there.
enum Page {
    /// There is nothing, and the bytes say so; with what a device that waits would wait for.
    Nothing(Option<Interest>, Bytes),
    Rows(Chunks),
}

/// How a page begins.
enum Begun {
    Nothing(Option<Interest>, Bytes),
    Rows,
}

async fn page(shared: &Arc<Shared>, asked: &Arc<Asked>) -> Result<Page, Refused> {
    let (sender, chunks) = Chunks::new(CHUNKS_MAX);
    let (begun, begins) = oneshot::channel();
    let (shared, asked) = (shared.clone(), asked.clone());
    tokio::spawn(async move {
        // Without a turn `begun` is dropped, and that is the answer.
        let _ = shared.work(move |shared| make(shared, &asked, &sender, begun)).await;
    });
    match begins.await {
        Ok(Ok(Begun::Rows)) => Ok(Page::Rows(chunks)),
        Ok(Ok(Begun::Nothing(interest, bytes))) => Ok(Page::Nothing(interest, bytes)),
        Ok(Err(refused)) => Err(refused),
        Err(_) => Err(Busy.into()),
    }
}

/// Makes a page and says how it begins as soon as that is known.
fn make(
    shared: &Shared,
    asked: &Asked,
    sender: &Sender<Chunk>,
    begun: oneshot::Sender<Result<Begun, Refused>>,
) {
    let mut page = PageWriter::new(&asked.encoding, sender, begun);
    let done = shared.backend.pull(&asked.device, &asked.request, now(), &mut |part| page.part(part));
    match done {
        Ok(()) => page.finish(|| interest(shared, asked)),
        Err(error) => page.fail(error.into()),
    }
}

/// What a device that waits waits for.
fn interest(shared: &Shared, asked: &Asked) -> Option<Interest> {
    if asked.request.wait_ms == 0 {
        return None;
    }
    let device = shared.backend.admit(&asked.device).ok()?;
    let held = shared.backend.grants(&device.user).ok()?;
    Some(Interest::new(device.user, held))
}

struct PageWriter<'p> {
    encoding: &'p Encoding,
    sender: &'p Sender<Chunk>,
    begun: Option<oneshot::Sender<Result<Begun, Refused>>>,
    writer: Option<Writer<'p, PullReply>>,
    sent: usize,
    is_nothing: bool,
    rest: Option<Vec<u8>>,
}

impl<'p> PageWriter<'p> {
    fn new(
        encoding: &'p Encoding,
        sender: &'p Sender<Chunk>,
        begun: oneshot::Sender<Result<Begun, Refused>>,
    ) -> Self {
        Self { encoding, sender, begun: Some(begun), writer: None, sent: 0, is_nothing: true, rest: None }
    }

    fn part(&mut self, part: Part<PullReply>) {
        match part {
            Part::Head(head) => {
                self.is_nothing = head.grants.is_none();
                self.writer = Some(Writer::new(self.encoding, &head));
            }
            Part::Item(item) => {
                self.is_nothing = false;
                let Some(writer) = &mut self.writer else { return };
                writer.item(&item);
                if writer.bytes() - self.sent >= CHUNK_BYTES {
                    self.sent = writer.bytes();
                    let chunk = writer.take();
                    self.send(chunk);
                }
            }
            Part::End(end) => {
                self.is_nothing &= !end.more;
                self.rest = self.writer.take().map(|writer| writer.finish(end));
            }
        }
    }

    fn send(&mut self, chunk: Vec<u8>) {
        if let Some(begun) = self.begun.take() {
            // Whoever asked may have gone.
            let _ = begun.send(Ok(Begun::Rows));
        }
        if !chunk.is_empty() {
            // There is room for a whole page.
            let _ = self.sender.try_send(Ok(chunk.into()));
        }
    }

    fn finish(mut self, interest: impl FnOnce() -> Option<Interest>) {
        let Some(rest) = self.rest.take() else { return self.fail(Refusal::BadRequest.into()) };
        match self.begun.take() {
            Some(begun) if self.is_nothing => {
                let _ = begun.send(Ok(Begun::Nothing(interest(), rest.into())));
            }
            begun => {
                self.begun = begun;
                self.send(rest);
            }
        }
    }

    fn fail(mut self, refused: Refused) {
        match self.begun.take() {
            Some(begun) => {
                let _ = begun.send(Err(refused));
            }
            // What came is good; the connection breaks, so that nobody takes it for the whole.
            None => {
                let _ = self.sender.try_send(Err(Broken));
            }
        }
    }
}

/// Returns when there may be something for a device, or the server stops. A device that does not wait for anything has
/// waited long enough.
async fn something(
    shared: &Shared,
    news: &mut broadcast::Receiver<News>,
    interest: Option<&Interest>,
    device: &Id,
) {
    let Some(interest) = interest else { return std::future::pending().await };
    loop {
        let news = tokio::select! {
            news = news.recv() => news,
            () = shared.stops() => return,
        };
        match news {
            Ok(News::Rows(_, scopes)) if interest.among(scopes.as_deref()).is_none() => {}
            Ok(News::Grants(users)) if !interest.is_of(&users) => {}
            Ok(News::Locked(locked)) if locked != *device => {}
            _ => return,
        }
    }
}
