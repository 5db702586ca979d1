//! Pull: a page of what is new to a device, out of one snapshot.
//!
//! Invariants: rows come by position and each of a position or none; a body goes only to who holds its scope in this
//! very snapshot; outcomes and rows are of the same moment.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use keepwell_protocol::limits::{OUTCOMES_BYTES, OUTCOMES_MAX, PULL_ROWS_MAX};
use keepwell_protocol::{
    CursorError, Delta, DeltaRow, Document as _, Generation, Grant, Horizon, Hydration, Part, Position,
    PullEnd, PullHead, PullItem, PullReply, PullRequest, Refusal, Row, RowState, Scope, ScopeDigest,
    ScopeSet, Sequence, Settlement,
};

use crate::access::Held;
use crate::defect::Defect;
use crate::device::Device;
use crate::error::Result;
use crate::push::{damaged, outcome_bytes, tell};
use crate::tenant::{Disclosure, FeedRow, FeedState, Tenant};

/// When to ask again if no hint comes, in milliseconds.
pub const NEXT_MS: u32 = 30_000;

/// Rows that are read from a scope at a time.
const BATCH: usize = 64;

/// Positions that are looked through for the rows of some scopes, before each scope is asked: this many for a scope.
const POSITIONS_PER_SCOPE: u64 = 4;

type Page<'p> = dyn FnMut(Part<PullReply>) + 'p;

/// From where each scope is read.
struct Spans {
    from: BTreeMap<Scope, Position>,
    hydrating: BTreeSet<Scope>,
}

pub(crate) fn pull(
    tenant: &mut dyn Tenant,
    device: &Device,
    request: &PullRequest,
    page: &mut Page<'_>,
) -> Result<()> {
    request.check().map_err(|error| Refusal::from(&error))?;
    let horizon = tenant.horizon()?;
    let known =
        if tenant.has(Defect::NoFloorCheck) { Horizon { floor: Position::ZERO, ..horizon } } else { horizon };
    let resync = |error: CursorError| Refusal::Resync(error.into());
    let cursor = request.cursor.map_or(Ok(Position::ZERO), |cursor| known.resolve(cursor)).map_err(resync)?;
    for Hydration(_, _, position) in &request.hydrating {
        known.resolve_hydration(*position).map_err(resync)?;
    }
    let held = tenant.grants(&device.user)?;
    let spans = spans(&held, request, cursor)?;
    let silent = tenant.has(Defect::OutcomesNotInThePage);
    let last = tenant.last_decided(&device.id, request.incarnation)?;
    let all = |held: &Held| Grant(held.scope.clone(), held.generation);
    page(Part::Head(PullHead {
        req: request.req,
        epoch: horizon.epoch,
        clock: horizon.clock,
        last_seq: if silent { Sequence::ZERO } else { last },
        grants: spans.is_none().then(|| held.iter().map(all).collect()),
    }));
    let mut items = if silent { 0 } else { outcomes(tenant, device, request, page)? };
    let Some(spans) = spans else {
        page(Part::End(PullEnd {
            n: items,
            upto: cursor,
            more: true,
            digests: Vec::new(),
            next_ms: NEXT_MS,
        }));
        return Ok(());
    };
    let mut rows = Rows { device, request, page, rows: 0, bytes: 0, touched: BTreeSet::new() };
    let stopped = rows.send(tenant, &spans, horizon.clock)?;
    let (sent, touched) = (rows.rows, rows.touched);
    items += sent;
    let upto = stopped.unwrap_or(horizon.clock);
    let mut digests = Vec::new();
    if stopped.is_none() {
        for scope in touched.union(&spans.hydrating) {
            digests.push(ScopeDigest::new(scope.clone(), tenant.digest(scope)?));
        }
    }
    if sent > 0 {
        tenant.disclose(Disclosure::Page { scopes: touched.len(), rows: sent, from: cursor, upto })?;
    }
    page(Part::End(PullEnd { n: items, upto, more: stopped.is_some(), digests, next_ms: NEXT_MS }));
    Ok(())
}

/// From where to read each scope; none if the device is mistaken about its scopes.
fn spans(held: &[Held], request: &PullRequest, cursor: Position) -> Result<Option<Spans>, Refusal> {
    let granted: BTreeMap<&Scope, Generation> =
        held.iter().map(|held| (&held.scope, held.generation)).collect();
    let mut hydrating = BTreeMap::new();
    for Hydration(scope, generation, position) in &request.hydrating {
        if hydrating.insert(scope, *position).is_some() {
            return Err(Refusal::BadRequest);
        }
        if granted.get(scope) != Some(generation) {
            return Ok(None);
        }
    }
    let established: Vec<Grant> = held
        .iter()
        .filter(|held| !hydrating.contains_key(&held.scope))
        .map(|held| Grant(held.scope.clone(), held.generation))
        .collect();
    if ScopeSet::of(&established) != request.scopes {
        return Ok(None);
    }
    let from = held
        .iter()
        .map(|held| (held.scope.clone(), hydrating.get(&held.scope).copied().unwrap_or(cursor)))
        .collect();
    Ok(Some(Spans { from, hydrating: hydrating.into_keys().cloned().collect() }))
}

/// Tells what became of mutations behind the acknowledged one; how many.
fn outcomes(
    tenant: &mut dyn Tenant,
    device: &Device,
    request: &PullRequest,
    page: &mut Page<'_>,
) -> Result<u64> {
    let decided = tenant.decided(&device.id, request.incarnation, request.ack, OUTCOMES_MAX)?;
    let (mut count, mut room) = (0, OUTCOMES_BYTES);
    for decided in &decided {
        let settlement = tell(tenant, device, decided)?;
        let bytes = outcome_bytes(&settlement.outcome);
        if bytes > room && count > 0 {
            break;
        }
        room = room.saturating_sub(bytes);
        count += 1;
        let line = Some(decided.line.into());
        page(Part::Item(PullItem::Outcome(Settlement { line, ..settlement })));
    }
    Ok(count)
}

struct Rows<'p> {
    device: &'p Device,
    request: &'p PullRequest,
    page: &'p mut Page<'p>,
    rows: u64,
    bytes: usize,
    touched: BTreeSet<Scope>,
}

impl Rows<'_> {
    /// Sends rows until there are no more or the page is full: then the position up to which all were sent.
    fn send(&mut self, tenant: &mut dyn Tenant, spans: &Spans, clock: Position) -> Result<Option<Position>> {
        let Some(lowest) = spans.from.values().min() else { return Ok(None) };
        let positions = clock.get() - lowest.get();
        let few = POSITIONS_PER_SCOPE.saturating_mul(spans.from.len() as u64).saturating_add(BATCH as u64);
        let mut source = if positions <= few {
            Source::between(*lowest, clock)
        } else {
            Source::merged(tenant, spans, clock)?
        };
        let torn = tenant.has(Defect::TornPages);
        let mut together: Vec<FeedRow> = Vec::new();
        loop {
            let row = source.next(tenant, spans)?;
            let goes_on = match (&row, together.first()) {
                (Some(row), Some(first)) => row.position == first.position && !torn,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if !goes_on {
                let Some(first) = together.first() else { return Ok(None) };
                if self.is_full(together.len()) {
                    let before = if torn { first.position.get() } else { first.position.get() - 1 };
                    return Ok(Position::new(before));
                }
                for row in together.drain(..) {
                    self.send_row(tenant, spans, row)?;
                }
            }
            match row {
                Some(row) => together.push(row),
                None => return Ok(None),
            }
        }
    }

    /// Whether these rows have to wait for the next page.
    fn is_full(&self, more: usize) -> bool {
        let rows = self.rows + more as u64;
        let over = rows > u64::from(self.request.rows) || self.bytes >= self.request.bytes as usize;
        self.rows > 0 && (over || rows > u64::from(PULL_ROWS_MAX))
    }

    fn send_row(&mut self, tenant: &mut dyn Tenant, spans: &Spans, row: FeedRow) -> Result<()> {
        let hydrates = spans.hydrating.contains(&row.scope);
        let from = spans.from.get(&row.scope).copied().unwrap_or_default();
        let state = match row.state {
            FeedState::In { origin: Some(origin), .. }
                if !hydrates
                    && self.request.cursor.is_some()
                    && origin.incarnation == self.request.incarnation
                    && origin.device == self.device.id =>
            {
                RowState::Own(origin.sequence)
            }
            FeedState::In { .. } => {
                let body = tenant.body(&row.key, row.version)?;
                let body = body.ok_or_else(|| damaged(&keepwell_protocol::Error::Contradiction))?;
                // The device has what its scope told before, and whoever holds the scope may read that.
                let before = row.before.filter(|before| before.position <= from && !self.request.whole);
                let base = before.map(|before| tenant.body(&row.key, before.version)).transpose()?.flatten();
                if let Some(delta) = base.and_then(|base| Delta::saving(&base, &body)) {
                    let bytes = delta.frame.0.len();
                    let FeedRow { position, scope, key, version, at, .. } = row;
                    let row = DeltaRow { position, scope, key, version, at: Some(at), delta };
                    self.tell(&row.scope.clone(), bytes, PullItem::Delta(row));
                    return Ok(());
                }
                RowState::In(body)
            }
            _ if hydrates && tenant.has(Defect::HydrationSkipsTombstones) => return Ok(()),
            FeedState::Left => RowState::Left,
            FeedState::Deleted => RowState::Deleted,
        };
        let body = if let RowState::In(body) = &state { body.as_bytes().len() } else { 0 };
        let FeedRow { position, scope, key, version, at, .. } = row;
        let row = Row { position, scope, key, version, at: Some(at), state };
        self.tell(&row.scope.clone(), body, PullItem::Row(row));
        Ok(())
    }

    /// Sends a row of a scope, with that many bytes of a body.
    fn tell(&mut self, scope: &Scope, bytes: usize, item: PullItem) {
        self.bytes += ROW_BYTES + bytes;
        self.rows += 1;
        if !self.touched.contains(scope) {
            self.touched.insert(scope.clone());
        }
        (self.page)(Part::Item(item));
    }
}

/// About how long a row is beside its body.
const ROW_BYTES: usize = 120;

/// The rows of some scopes, by position.
enum Source {
    /// All that happened is looked through.
    Between { after: Position, clock: Position, rows: VecDeque<FeedRow> },
    /// Each scope is asked, and the one with the lowest position goes first.
    Merged {
        clock: Position,
        heads: BinaryHeap<Reverse<(Position, Scope)>>,
        rows: BTreeMap<Scope, VecDeque<FeedRow>>,
    },
}

impl Source {
    fn between(after: Position, clock: Position) -> Self {
        Self::Between { after, clock, rows: VecDeque::new() }
    }

    fn merged(tenant: &mut dyn Tenant, spans: &Spans, clock: Position) -> Result<Self> {
        let (mut heads, mut rows) = (BinaryHeap::new(), BTreeMap::new());
        for (scope, from) in &spans.from {
            let batch: VecDeque<_> = tenant.rows_in(scope, *from, clock, BATCH)?.into();
            if let Some(first) = batch.front() {
                heads.push(Reverse((first.position, scope.clone())));
                rows.insert(scope.clone(), batch);
            }
        }
        Ok(Self::Merged { clock, heads, rows })
    }

    fn next(&mut self, tenant: &mut dyn Tenant, spans: &Spans) -> Result<Option<FeedRow>> {
        match self {
            Self::Between { after, clock, rows } => loop {
                if let Some(row) = rows.pop_front() {
                    if spans.from.get(&row.scope).is_some_and(|from| *from < row.position) {
                        return Ok(Some(row));
                    }
                } else if after < clock {
                    let upto = Position::new(after.get() + SCANNED).map_or(*clock, |upto| upto.min(*clock));
                    *rows = tenant.rows_between(*after, upto)?.into();
                    *after = upto;
                } else {
                    return Ok(None);
                }
            },
            Self::Merged { clock, heads, rows } => {
                let Some(Reverse((_, scope))) = heads.pop() else { return Ok(None) };
                let batch = rows.get_mut(&scope).expect("every head has a batch");
                let row = batch.pop_front().expect("heads have rows");
                if batch.is_empty() {
                    *batch = tenant.rows_in(&scope, row.position, *clock, BATCH)?.into();
                }
                if let Some(next) = batch.front() {
                    heads.push(Reverse((next.position, scope)));
                }
                Ok(Some(row))
            }
        }
    }
}

/// Positions that are looked through at a time.
const SCANNED: u64 = 256;
