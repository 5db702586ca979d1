//! Rules that are left out, one at a time: the invariants must notice, or it is said why they cannot.

mod common;

use std::collections::BTreeSet;

use common::all_break;
use keepwell_backend::Defect as Server;
use keepwell_engine::Defect as Device;
use keepwell_simulator::Plan;

/// Seeds within which each is found, from the one beside it: some take more than a thousand from the first one.
const SEEDS: u64 = 100;

/// Rules of the device that the invariants need.
const DEVICE: &[(Device, u64)] = &[
    (Device::AppliesOverInFlight, 0),
    (Device::KeepsLostScopes, 0),
    (Device::DoesNotSweep, 0),
    (Device::IgnoresGenerations, 3_750),
    (Device::TakesStaleAnswers, 7_450),
    (Device::KeepsIncarnation, 0),
    (Device::RevertsParked, 0),
    (Device::HoldsLeft, 0),
    (Device::TakesOldHeld, 1_050),
    (Device::PublishesEarly, 0),
    (Device::IgnoresEpochs, 0),
    (Device::ForgetsLosing, 0),
    (Device::BreaksGroups, 0),
    (Device::SkipsUnreadableRows, 0),
    (Device::TrustsOutcomes, 450),
    (Device::ForgetsHeld, 1_400),
    (Device::TakesUnheldRows, 0),
    (Device::KeepsSettledInLostScope, 8_750),
    (Device::TakesUnheldConflict, 550),
];

/// A rule of the device that no invariant was seen to need: docs/adr/0009-sync-engine.md says why.
const NOT_SEEN: &[Device] = &[Device::SettlesLate];

/// Rules of the server that the invariants need.
const SERVER: &[(Server, u64)] = &[
    (Server::NoVersionCheck, 0),
    (Server::NoFloorCheck, 0),
    (Server::HeadsCollected, 0),
    (Server::NoGrantGeneration, 2_300),
    (Server::NoDeduplication, 0),
    (Server::NoArchive, 0),
    (Server::NoAccessCheck, 0),
    (Server::NoReadCheck, 0),
    (Server::NoLeft, 0),
    (Server::TornPages, 0),
    (Server::HydrationSkipsTombstones, 0),
    (Server::OutcomesNotInThePage, 0),
    (Server::NoLineHash, 100),
    (Server::NoGroups, 0),
    (Server::NoProvenance, 0),
];

#[test]
fn each_rule_is_needed_or_said_not_to_be_seen() {
    let listed: BTreeSet<_> = DEVICE.iter().map(|(defect, _)| defect).chain(NOT_SEEN).collect();
    assert_eq!(listed, Device::ALL.iter().collect());
    assert_eq!(listed.len(), DEVICE.len() + NOT_SEEN.len());
    let listed: BTreeSet<_> = SERVER.iter().map(|(defect, _)| defect).collect();
    assert_eq!(listed, Server::ALL.iter().collect());
    assert_eq!(listed.len(), SERVER.len());
}

#[test]
fn each_rule_that_is_left_out_breaks_an_invariant() {
    let mut plans: Vec<Plan> = Vec::new();
    plans.extend(
        DEVICE.iter().map(|(defect, from)| Plan { device_defect: Some(*defect), ..Plan::new(*from) }),
    );
    plans.extend(
        SERVER.iter().map(|(defect, from)| Plan { server_defect: Some(*defect), ..Plan::new(*from) }),
    );
    all_break(&plans, SEEDS);
}
