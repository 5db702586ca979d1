//! What a server takes at once: little, in some runs; and nothing while it is busy.

use keepwell_engine::Request;
use keepwell_protocol::{Refusal, ServerLimits};

use crate::fault::Fault;
use crate::random::Random;
use crate::world::World;

/// What the server of a run takes.
#[derive(Default)]
pub(crate) struct Limits {
    taken: ServerLimits,
    /// A proxy before the server takes less than that one says.
    is_untold: bool,
}

impl Limits {
    /// Some lines of this world are longer than the shortest limit; a group is taken as a whole if each of its lines is.
    fn small(random: &mut Random) -> Self {
        let mut between = |low: u32, span: usize| low + u32::try_from(random.below(span)).unwrap_or(0);
        let (mutations, bytes, line) = (between(1, 4), between(400, 1_500), between(500, 500));
        Self { taken: ServerLimits { mutations, bytes, line }, is_untold: random.per_mille(500) }
    }

    /// What the server says that it takes.
    pub(crate) fn told(&self) -> ServerLimits {
        if self.is_untold { ServerLimits::default() } else { self.taken }
    }

    /// Whether a push is within them: a single mutation or group always is, unless a line is too long.
    fn admit(&self, request: &Request) -> bool {
        let Request::Push { mutations, .. } = request else { return true };
        let bytes: usize = mutations.iter().map(|frozen| frozen.line().len()).sum();
        let groups = mutations.chunk_by(|one, two| {
            let group = one.mutation().group;
            group.is_some() && group == two.mutation().group
        });
        let is_one = groups.count() == 1;
        let fits = mutations.len() <= self.taken.mutations as usize && bytes <= self.taken.bytes as usize;
        let is_short = mutations.iter().all(|frozen| frozen.line().len() <= self.taken.line as usize);
        is_short && (fits || is_one)
    }
}

impl World<'_> {
    pub(crate) fn draw_limits(&mut self) {
        let (is_hit, limits) = (self.random.limits.per_mille(300), Limits::small(&mut self.random.limits));
        if self.happens(Fault::SmallLimits, is_hit) {
            self.limits = limits;
        }
    }

    /// Why the server does not even look at a request, if so.
    pub(crate) fn turn_away(&mut self, request: &Request) -> Option<Refusal> {
        let busy = self.random.limits.below(1_000);
        if self.happens(Fault::Busy, busy < 20) {
            return Some(Refusal::Busy { retry_after_s: [None, Some(1), Some(90)][busy % 3] });
        }
        (!self.limits.admit(request)).then_some(Refusal::TooLarge)
    }

    /// Whether a resource that is saved with another one is longer than the server may take.
    pub(crate) fn is_long(&mut self) -> bool {
        self.random.limits.per_mille(200) && self.limits.taken != ServerLimits::default()
    }

    /// How many bytes a page has at most, of so many that were asked for.
    pub(crate) fn page_bytes(&mut self, asked: u32) -> u32 {
        let (is_hit, bytes) = (self.random.limits.per_mille(150), 200 + self.random.limits.below(1_500));
        if self.happens(Fault::SmallPage, is_hit) { u32::try_from(bytes).unwrap_or(asked) } else { asked }
    }
}
