//! The objects behind the handles.
//!
//! Invariants: a handle is given out once and never again; what it names lives until it is freed and every call that
//! uses it has returned.

use std::any::Any;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Bug;

type Object = Arc<dyn Any + Send + Sync>;

/// A place for an object. The generation rises each time the place is given away.
struct Slot {
    generation: u32,
    object: Option<Object>,
}

struct Registry {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

static REGISTRY: RwLock<Registry> = RwLock::new(Registry { slots: Vec::new(), free: Vec::new() });

/// Keeps an object and returns its handle: generation in the high half, place from 1 in the low one.
pub(crate) fn insert<T: Any + Send + Sync>(object: T) -> u64 {
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let index = match registry.free.pop() {
        Some(index) => index,
        None => {
            registry.slots.push(Slot { generation: 0, object: None });
            u32::try_from(registry.slots.len() - 1).expect("memory ends before 2^32 objects")
        }
    };
    let slot = &mut registry.slots[index as usize];
    slot.generation += 1;
    slot.object = Some(Arc::new(object));
    u64::from(slot.generation) << 32 | u64::from(index + 1)
}

/// The object behind a handle.
///
/// # Errors
/// [`Bug`]: no such handle, or one of another kind.
pub(crate) fn get<T: Any + Send + Sync>(handle: u64) -> Result<Arc<T>, Bug> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    let (index, generation) = parts(handle).ok_or(Bug::Handle)?;
    let slot = registry.slots.get(index).filter(|slot| slot.generation == generation);
    let object = slot.and_then(|slot| slot.object.clone()).ok_or(Bug::Handle)?;
    object.downcast().map_err(|_| Bug::Kind)
}

/// Forgets a handle of this kind; returns the object, which others may still use.
pub(crate) fn remove<T: Any + Send + Sync>(handle: u64) -> Result<Arc<T>, Bug> {
    let object = get::<T>(handle)?;
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let (index, generation) = parts(handle).ok_or(Bug::Handle)?;
    let slot = &mut registry.slots[index];
    if slot.generation != generation || slot.object.take().is_none() {
        return Err(Bug::Handle);
    }
    // A place whose generations are used up is not given out again.
    if generation < u32::MAX {
        registry.free.push(u32::try_from(index).expect("places are counted with 32 bits"));
    }
    Ok(object)
}

fn parts(handle: u64) -> Option<(usize, u32)> {
    let place = u32::try_from(handle & 0xFFFF_FFFF).ok()?.checked_sub(1)?;
    Some((place as usize, u32::try_from(handle >> 32).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_foreign_and_made_up_handles_are_told_from_good_ones() {
        let text = insert(String::from("a"));
        assert_eq!(*get::<String>(text).unwrap(), "a");
        assert_eq!(get::<u8>(text).unwrap_err(), Bug::Kind);
        assert_eq!(remove::<u8>(text).unwrap_err(), Bug::Kind);
        remove::<String>(text).unwrap();
        for bad in [text, 0, u64::MAX, 1, text ^ (1 << 40)] {
            assert_eq!(get::<String>(bad).unwrap_err(), Bug::Handle, "{bad:x}");
            assert!(remove::<String>(bad).is_err());
        }
        let next = insert(String::from("b"));
        assert_ne!(next, text);
        assert_eq!(get::<String>(text).unwrap_err(), Bug::Handle);
        remove::<String>(next).unwrap();
    }
}
