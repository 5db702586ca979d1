//! What is left in the memory of the process once the store is locked.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use common::{World, code};
use keepwell_vault::{Key, Keys};

/// The needle is kept under a mask, so that a scan does not find itself.
const MASK: u8 = 0xa5;

fn masked(key: &Key) -> Vec<u8> {
    key.expose().iter().map(|byte| byte ^ MASK).collect()
}

fn needles(keys: &Keys) -> Vec<Vec<u8>> {
    [&keys.database, &keys.blob, &keys.audit, &keys.anchor, &keys.sync].map(masked).to_vec()
}

/// How often each needle lies in the writable memory of this process.
fn count(needles: &[Vec<u8>]) -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut page = vec![0; 1 << 20];
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')).unwrap();
        let (mut at, end) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        while at < end {
            let wanted = usize::try_from(end - at).unwrap().min(page.len());
            // Some mappings cannot be read.
            let Ok(length) = memory.read_at(&mut page[..wanted], at) else { break };
            found += page[..length].windows(32).filter(|window| is_needle(window, needles)).count();
            if length <= 31 {
                break;
            }
            // The next piece overlaps, so that nothing hides on the border.
            at += if (length as u64) < end - at { length as u64 - 31 } else { length as u64 };
        }
    }
    found
}

fn is_needle(window: &[u8], needles: &[Vec<u8>]) -> bool {
    needles.iter().any(|needle| {
        needle[0] ^ MASK == window[0]
            && needle.iter().zip(window).all(|(masked, byte)| masked ^ MASK == *byte)
    })
}

#[test]
fn no_key_is_in_memory_after_lock() {
    let world = World::new();
    let (vault, keys) = world.create(Some(&code("2580")));
    let needles = needles(&keys);
    assert!(count(&needles) >= 5, "the scan finds keys that are there");
    vault.rotate_kek().unwrap();
    vault.suspend().unwrap();
    drop(keys);
    let again = vault.resume(Some(&code("2580"))).unwrap();
    drop(again);
    vault.lock();
    assert_eq!(count(&needles), 0);
}
