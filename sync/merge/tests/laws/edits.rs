//! Random edits of a resource, as people and programs make them.

use serde_json::Value;

use crate::random::Random;
use crate::resources;

/// What only a server changes, or nobody.
const SERVER: [&str; 5] = ["resourceType", "id", "versionId", "lastUpdated", "lastModified"];

/// A few edits. `donor` is another resource of the type, to take elements from.
pub(crate) fn edit(random: &mut Random, resource: &mut Value, donor: &Value) {
    for _ in 0..1 + random.below(3) {
        match random.below(10) {
            0..=2 => transplant(random, resource, donor),
            3 => remove_member(random, resource),
            _ => {
                let depth = random.below(4);
                edit_below(random, resource, depth);
            }
        }
    }
}

/// Takes an element of the donor, or some of its items.
fn transplant(random: &mut Random, resource: &mut Value, donor: &Value) {
    let (Some(resource), Some(donor)) = (resource.as_object_mut(), donor.as_object()) else { return };
    let keys: Vec<&String> = donor.keys().filter(|key| !SERVER.contains(&key.as_str())).collect();
    if keys.is_empty() {
        return;
    }
    let key = keys[random.below(keys.len())];
    match (resource.get_mut(key), &donor[key]) {
        (Some(Value::Array(items)), Value::Array(others)) if random.is(70) => {
            let place = random.below(items.len() + 1);
            items.insert(place, others[random.below(others.len())].clone());
        }
        _ => {
            let variants = ["deceased", "value"];
            let choice = variants.iter().find(|name| key.starts_with(*name));
            resource.retain(|other, _| choice.is_none_or(|name| !other.starts_with(name)));
            resource.insert(key.clone(), donor[key].clone());
        }
    }
}

fn remove_member(random: &mut Random, resource: &mut Value) {
    let Some(members) = resource.as_object_mut() else { return };
    let keys: Vec<String> = members.keys().filter(|key| !SERVER.contains(&key.as_str())).cloned().collect();
    if !keys.is_empty() && members.len() > 2 {
        members.shift_remove(&keys[random.below(keys.len())]);
    }
}

/// Goes down at random and changes what is there.
fn edit_below(random: &mut Random, value: &mut Value, depth: usize) {
    match value {
        Value::Object(members) => {
            let keys: Vec<String> =
                members.keys().filter(|key| !SERVER.contains(&key.as_str())).cloned().collect();
            if keys.is_empty() {
                return;
            }
            let key = &keys[random.below(keys.len())];
            if let Some(member) = members.get_mut(key) {
                edit_below(random, member, depth.saturating_sub(1));
            }
        }
        Value::Array(items) => edit_items(random, items, depth),
        Value::String(text) => *text = edited(random, text),
        Value::Bool(is) => *is = !*is,
        Value::Number(_) => *value = resources::number(random),
        Value::Null => {}
    }
}

fn edit_items(random: &mut Random, items: &mut Vec<Value>, depth: usize) {
    let place = random.below(items.len());
    match random.below(8) {
        0 if items.len() > 1 => drop(items.remove(place)),
        1 => random.shuffle(items),
        2 => {
            let mut copy = items[place].clone();
            edit_below(random, &mut copy, depth);
            items.push(copy);
        }
        _ => {
            if let Some(item) = items.get_mut(place) {
                edit_below(random, item, depth.saturating_sub(1));
            }
        }
    }
}

fn edited(random: &mut Random, text: &str) -> String {
    let pools: [&[&str]; 6] = [
        &["home", "work", "old"],
        &["male", "female", "other"],
        &["active", "inactive", "stopped", "entered-in-error"],
        &["in-progress", "completed", "accepted"],
        &["#c1", "#c2", "Practitioner/9"],
        &["generated", "additional"],
    ];
    let pool = pools.iter().find(|pool| pool.contains(&text));
    let is_date = text.len() >= 7 && text.as_bytes()[4] == b'-' && text.is_ascii();
    match pool {
        Some(pool) => (*random.pick(pool)).to_owned(),
        None if is_date && text.len() <= 10 => {
            resources::date(random).as_str().unwrap_or_default().to_owned()
        }
        None if text.starts_with('<') => text.replace("</div>", "!</div>"),
        None if text.starts_with("http") || text.contains('/') => format!("{text}{}", random.below(3)),
        None => resources::word(random).as_str().unwrap_or_default().to_owned(),
    }
}
