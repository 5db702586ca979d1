//! The narrative of a resource: never joined, since it tells the data of one side.

use crate::conflict::Reason;
use crate::object::{Object, Slot};
use crate::outcome::Action;
use crate::pass::Pass;
use crate::sides::{Change, Side};

impl<'a> Pass<'a, '_> {
    /// Takes the narrative of the side that the data came from. If that is neither alone, a generated one is dropped
    /// (a resource should have one, R4 domainresource.html#dom-6, but need not), and any other waits for a person.
    pub(crate) fn narrative(&mut self, object: &Object<'_, 'a>, slot: &Slot<'_, 'a>) {
        let of = self.facts.structured;
        let members = &slot.members;
        let can_go = |side| is_generated(slot, side);
        match slot.change {
            Change::Same | Change::None => self.take(slot.name, Action::Agreed, &members.theirs),
            Change::Mine if !of.theirs => self.take(slot.name, Action::TookMine, &members.mine),
            Change::Theirs if !of.mine => self.take(slot.name, Action::TookTheirs, &members.theirs),
            Change::Both if of.mine && !of.theirs && can_go(Side::Theirs) => {
                self.take(slot.name, Action::TookMine, &members.mine);
            }
            Change::Both if of.theirs && !of.mine && can_go(Side::Mine) => {
                self.take(slot.name, Action::TookTheirs, &members.theirs);
            }
            _ if can_go(Side::Mine) && can_go(Side::Theirs) => {
                self.decide(slot.name, Action::DroppedNarrative)
            }
            _ => self.contest_slot(object, slot, Reason::Narrative),
        }
    }
}

/// Whether the narrative of a side can be made again from its data; so can none.
pub(crate) fn is_generated(slot: &Slot<'_, '_>, side: Side) -> bool {
    let mut members = slot.members.of(side).iter();
    members.all(|member| member.value.get("status").and_then(|status| status.text()) == Some("generated"))
}
