//! Who is told when something is new: pulls that wait, and streams of events.
//!
//! The backend says that there was a commit, and so does who lets a FHIR client write; what it was about is asked once for
//! all who wait. A hint that is lost does no harm: the next heartbeat names the newest position.

use std::sync::{Arc, Mutex, PoisonError};

use keepwell_backend::{Backend, Held};
use keepwell_protocol::{Id, Position, Scope};
use tokio::sync::{Notify, broadcast};

use crate::shared::Shared;

/// Pieces of news that somebody may be behind with; who is further behind is told that anything may be new.
const BEHIND_MAX: usize = 64;

/// A piece of news.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// Rows of these scopes, in order; `None` for too many to name.
    Rows(Position, Option<Arc<[Scope]>>),
    /// What these users hold has changed, in order.
    Grants(Arc<[Id]>),
    /// This device may no longer sync.
    Locked(Id),
}

/// Spreads the news.
pub(crate) struct Hub {
    committed: Arc<Notify>,
    news: broadcast::Sender<News>,
    seen: Mutex<Seen>,
}

/// What is no news any more.
struct Seen {
    clock: Position,
    grants: u64,
}

impl Hub {
    /// Begins to listen to a backend.
    pub(crate) fn new(backend: &dyn Backend) -> Self {
        let committed = Arc::new(Notify::new());
        let told = committed.clone();
        backend.observe(Arc::new(move || told.notify_one()));
        let now = backend.news(Position::ZERO, u64::MAX);
        let seen = now.map_or((Position::ZERO, 0), |now| (now.clock, now.grants));
        let seen = Mutex::new(Seen { clock: seen.0, grants: seen.1 });
        Self { committed, news: broadcast::channel(BEHIND_MAX).0, seen }
    }

    /// Everything that is news from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Looks for news that the backend did not announce: a FHIR client has written to its store.
    pub(crate) fn look(&self) {
        self.committed.notify_one();
    }

    /// Ends what a device has open.
    pub(crate) fn lock(&self, device: Id) {
        // Nobody may be listening.
        let _ = self.news.send(News::Locked(device));
    }

    /// Asks what is new after each commit, until the server stops.
    pub(crate) async fn run(shared: Arc<Shared>) {
        loop {
            tokio::select! {
                () = shared.hub.committed.notified() => {}
                () = shared.stops() => return,
            }
            // What failed now is news again with the next commit or heartbeat.
            let _ = shared.work(|shared| shared.hub.spread(shared.backend.as_ref())).await;
        }
    }

    fn spread(&self, backend: &dyn Backend) {
        if self.news.receiver_count() == 0 {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(news) = backend.news(seen.clock, seen.grants) else { return };
        let has_rows = news.clock != seen.clock;
        *seen = Seen { clock: news.clock, grants: news.grants };
        let scopes = news.scopes.map(|mut scopes| {
            scopes.sort_unstable();
            Arc::from(scopes)
        });
        if has_rows {
            let _ = self.news.send(News::Rows(news.clock, scopes));
        }
        if !news.users.is_empty() {
            let _ = self.news.send(News::Grants(news.users.into()));
        }
    }
}

/// Whose news a device wants.
#[derive(Debug, Clone)]
pub(super) struct Interest {
    user: Id,
    /// What the user holds, in order.
    scopes: Arc<[Scope]>,
}

impl Interest {
    pub(super) fn new(user: Id, held: Vec<Held>) -> Self {
        let mut scopes: Vec<Scope> = held.into_iter().map(|held| held.scope).collect();
        scopes.sort_unstable();
        Self { user, scopes: scopes.into() }
    }

    /// Whether rows of `scopes` are of interest, and which; none for all that there may be.
    pub(super) fn among(&self, scopes: Option<&[Scope]>) -> Option<Vec<Scope>> {
        let Some(scopes) = scopes else { return Some(Vec::new()) };
        let held = |scope: &&Scope| self.scopes.binary_search(scope).is_ok();
        let own: Vec<Scope> = scopes.iter().filter(held).cloned().collect();
        (!own.is_empty()).then_some(own)
    }

    /// Whether the user is one of `users`.
    pub(super) fn is_of(&self, users: &[Id]) -> bool {
        users.binary_search(&self.user).is_ok()
    }
}
