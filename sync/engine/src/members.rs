//! Members of scopes, and the digests that follow from them.
//!
//! Invariant: the digest of a scope is that of its members that are not deleted, whenever a turn ends. Nothing of a
//! scope is read to compare it with the server's but that one value.

use keepwell_protocol::{Digest, Member, ResourceKey, Scope};

use crate::replica::{Known, Replica};
use crate::turn::Turn;

impl<R: Replica> Turn<'_, R> {
    /// Makes a resource a member of a scope, in this round at least.
    pub(crate) fn enter(&mut self, scope: &Scope, key: &ResourceKey, round: u64) -> Result<(), R::Error> {
        let is_new = self.replica.add_member(scope, key, round)?;
        let known = if is_new { self.replica.known(key)? } else { None };
        match member(key, known.as_ref()) {
            Some(member) => self.count(scope, |digest| digest.add(&member)),
            None => Ok(()),
        }
    }

    /// Takes a resource out of a scope.
    pub(crate) fn leave(&mut self, scope: &Scope, key: &ResourceKey) -> Result<(), R::Error> {
        // With the last membership the row may go as well.
        let known = self.replica.known(key)?;
        let was_in = self.replica.remove_member(scope, key)?;
        match member(key, known.as_ref()).filter(|_| was_in) {
            Some(member) => self.count(scope, |digest| digest.remove(&member)),
            None => Ok(()),
        }
    }

    /// Notes what the server has of a resource.
    pub(crate) fn set_known(&mut self, key: &ResourceKey, known: Option<&Known>) -> Result<(), R::Error> {
        let before = member(key, self.replica.known(key)?.as_ref());
        let after = member(key, known);
        if before != after {
            for scope in self.replica.memberships(key)? {
                self.count(&scope, |digest| {
                    before.iter().for_each(|member| digest.remove(member));
                    after.iter().for_each(|member| digest.add(member));
                })?;
            }
        }
        self.replica.set_known(key, known)
    }

    fn count(&mut self, scope: &Scope, change: impl FnOnce(&mut Digest)) -> Result<(), R::Error> {
        let mut digest = self.replica.digest(scope)?;
        change(&mut digest);
        self.replica.set_digest(scope, digest)
    }

    /// Whether a scope holds what the server's does. A digest that differs is counted anew from the members before it is
    /// believed.
    pub(crate) fn agrees(&mut self, scope: &Scope, theirs: Digest) -> Result<bool, R::Error> {
        let kept = self.replica.digest(scope)?;
        if kept == theirs {
            return Ok(true);
        }
        let mut counted = Digest::default();
        self.replica.members(scope, &mut |member| counted.add(member))?;
        if counted != kept {
            self.replica.set_digest(scope, counted)?;
        }
        Ok(counted == theirs)
    }
}

/// What counts in a digest: a resource that is not deleted.
fn member(key: &ResourceKey, known: Option<&Known>) -> Option<Member> {
    let known = known?;
    Some(Member { key: key.clone(), version: known.version, hash: known.hash? })
}
