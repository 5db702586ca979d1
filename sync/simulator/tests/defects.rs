//! Rules that are left out, one at a time: the invariants must notice.

mod common;

use std::collections::BTreeSet;

use common::all_break;
use keepwell_backend::Defect as Server;
use keepwell_engine::Defect as Device;
use keepwell_simulator::{Fault, Plan};

/// Seeds within which each is found, from the one beside it: some take more than a thousand from the first one.
const SEEDS: u64 = 100;

/// The world in which the seeds below were found; in a later one each is another run.
const GENERATION: u8 = 2;

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
    (Device::EntersNotWhileEditsWait, 0),
    (Device::KeepsMembershipsOfGone, 0),
    (Device::EntersGivenUp, 7_100),
    (Device::ForgetsLosing, 0),
    (Device::BreaksGroups, 0),
    (Device::SkipsUnreadableRows, 0),
    (Device::TrustsOutcomes, 450),
    (Device::ForgetsHeld, 1_400),
    (Device::TakesUnheldRows, 0),
    (Device::KeepsSettledInLostScope, 8_750),
    (Device::TakesUnheldConflict, 550),
    (Device::SettlesLate, 100),
];

/// Rules of the device that only later faults need.
const LATER: &[Device] =
    &[Device::RepeatsTooLarge, Device::WorksLocked, Device::ForgetsKept, Device::OverwritesKept];

/// A rule of the server that only later faults need.
const SERVER_LATER: &[Server] = &[Server::NoBlobCheck];

/// Rules of the server that the invariants need.
const SERVER: &[(Server, u64)] = &[
    (Server::NoVersionCheck, 0),
    (Server::NoFloorCheck, 0),
    (Server::HeadsCollected, 0),
    (Server::NoGrantGeneration, 2_300),
    (Server::ConflictWithoutRow, 0),
    (Server::ParkedWithoutRow, 0),
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
fn each_rule_has_its_place_here() {
    let listed: BTreeSet<_> = DEVICE.iter().map(|(defect, _)| defect).chain(LATER).collect();
    assert_eq!(listed, Device::ALL.iter().collect());
    assert_eq!(listed.len(), DEVICE.len() + LATER.len());
    let listed: BTreeSet<_> = SERVER.iter().map(|(defect, _)| defect).chain(SERVER_LATER).collect();
    assert_eq!(listed, Server::ALL.iter().collect());
    assert_eq!(listed.len(), SERVER.len() + SERVER_LATER.len());
}

#[test]
fn each_rule_that_is_left_out_breaks_an_invariant() {
    let then = |seed| Plan { without: Fault::later_than(GENERATION), ..Plan::new(seed) };
    let device = |defect: &Device, plan: Plan| Plan { device_defect: Some(*defect), ..plan };
    let server = |defect: &Server, plan: Plan| Plan { server_defect: Some(*defect), ..plan };
    let mut plans: Vec<Plan> = Vec::new();
    plans.extend(DEVICE.iter().map(|(defect, from)| device(defect, then(*from))));
    plans.extend(SERVER.iter().map(|(defect, from)| server(defect, then(*from))));
    plans.extend(LATER.iter().map(|defect| device(defect, Plan::new(0))));
    plans.extend(SERVER_LATER.iter().map(|defect| server(defect, Plan::new(0))));
    all_break(&plans, SEEDS);
}
