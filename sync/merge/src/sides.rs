//! The three versions of a resource that a merge looks at.

/// One of the versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The version that both others descend from.
    Base,
    /// The version of this device.
    Mine,
    /// The version of the server.
    Theirs,
}

/// Something of each version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sides<T> {
    /// Of the version that both others descend from.
    pub base: T,
    /// Of the version of this device.
    pub mine: T,
    /// Of the version of the server.
    pub theirs: T,
}

impl<T> Sides<T> {
    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> Sides<U> {
        Sides { base: f(self.base), mine: f(self.mine), theirs: f(self.theirs) }
    }

    pub(crate) const fn of(&self, side: Side) -> &T {
        match side {
            Side::Base => &self.base,
            Side::Mine => &self.mine,
            Side::Theirs => &self.theirs,
        }
    }

    pub(crate) const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Base => &mut self.base,
            Side::Mine => &mut self.mine,
            Side::Theirs => &mut self.theirs,
        }
    }
}

impl<T: Copy> Sides<T> {
    /// Who changed it.
    pub(crate) fn change(self, same: impl Fn(T, T) -> bool) -> Change {
        let Self { base, mine, theirs } = self;
        match (same(base, mine), same(base, theirs)) {
            (true, true) => Change::None,
            (false, true) => Change::Mine,
            (true, false) => Change::Theirs,
            (false, false) if same(mine, theirs) => Change::Same,
            (false, false) => Change::Both,
        }
    }
}

/// Who changed something since the base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    None,
    Mine,
    Theirs,
    /// Both, to the same.
    Same,
    /// Both, to something different.
    Both,
}

impl Change {
    /// Whether the two sides are not the same now.
    pub(crate) const fn differs(self) -> bool {
        matches!(self, Self::Mine | Self::Theirs | Self::Both)
    }

    /// Whether this side changed it.
    pub(crate) const fn by(self, side: Side) -> bool {
        match self {
            Self::None => false,
            Self::Mine => matches!(side, Side::Mine),
            Self::Theirs => matches!(side, Side::Theirs),
            Self::Same | Self::Both => !matches!(side, Side::Base),
        }
    }
}
