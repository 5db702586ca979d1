//! What a change of a resource means to its scopes, to their digests, and to those who hold them.

use std::collections::BTreeSet;

use keepwell_fhir::{ResourceType, Walker};
use keepwell_protocol::limits::SCOPES_MAX;
use keepwell_protocol::{Blob, Body, Generation, Hash, Id, ResourceKey, Scope};

use crate::access::Access;
use crate::content::{Cohort, Content, Team, gives_access};
use crate::defect::Defect;
use crate::error::Result;
use crate::tenant::{Before, FeedRow, FeedState, Head, Origin, Source, Tenant};

/// What the newest version of a resource is.
pub struct Change<'c> {
    /// The resource.
    pub key: &'c ResourceKey,
    /// Its new head.
    pub head: Head,
    /// The content, its scopes and its blobs; none of a tombstone.
    pub content: Option<NewContent<'c>>,
    /// The mutation that it was made of, if a device made it.
    pub origin: Option<Origin>,
}

/// The content of a new version.
pub struct NewContent<'c> {
    /// The body's bytes.
    pub bytes: &'c [u8],
    /// Their hash.
    pub hash: Hash,
    /// The scopes that it is in.
    pub scopes: &'c [Scope],
    /// The blobs that it refers to.
    pub blobs: &'c [Blob],
}

/// Tells the scopes of a change, in the transaction that makes it, whoever makes it.
///
/// # Errors
/// Those of the storage.
pub fn changed(tenant: &mut dyn Tenant, change: &Change<'_>) -> Result<()> {
    let new: &[Scope] = change.content.as_ref().map_or(&[], |content| content.scopes);
    // Of the first version nothing was told before.
    let is_first = change.head.version.get() == 1 && change.content.is_some();
    let rows = if is_first { Vec::new() } else { tenant.rows_of(change.key)? };
    let mut told = Vec::new();
    for row in rows {
        if let Some(member) = row.member() {
            let mut digest = tenant.digest(&row.scope)?;
            digest.remove(&member);
            tenant.set_digest(&row.scope, digest)?;
        }
        let goes_on = new.contains(&row.scope);
        if goes_on && matches!(row.state, FeedState::In { .. }) {
            told.push((row.scope.clone(), Before { position: row.position, version: row.version }));
        }
        let state = match (&change.content, &row.state) {
            (None, FeedState::Deleted) => continue,
            (None, _) => FeedState::Deleted,
            (Some(_), FeedState::In { .. }) if !goes_on && !tenant.has(Defect::NoLeft) => FeedState::Left,
            (Some(_), _) => continue,
        };
        put(tenant, change, row.scope, state, None)?;
    }
    if let Some(content) = &change.content {
        for scope in content.scopes {
            let state = FeedState::In { hash: content.hash, origin: change.origin.clone() };
            let before = told.iter().find(|(told, _)| told == scope).map(|(_, before)| *before);
            let row = put(tenant, change, scope.clone(), state, before)?;
            let mut digest = tenant.digest(scope)?;
            digest.add(&row.member().expect("it is in the scope"));
            tenant.set_digest(scope, digest)?;
        }
    }
    let blobs = change.content.as_ref().map_or(&[][..], |content| content.blobs);
    if !(is_first && blobs.is_empty()) {
        tenant.set_blobs(change.key, blobs)?;
    }
    if gives_access(change.key.kind) {
        give(tenant, change.key, change.content.as_ref().map(|content| content.bytes))?;
    }
    Ok(())
}

/// Tells the scopes of a change that was not made by a device, given its content.
///
/// # Errors
/// Those of the storage.
pub fn changed_elsewhere(
    tenant: &mut dyn Tenant,
    walker: &mut Walker,
    key: &ResourceKey,
    head: Head,
    body: Option<&Body>,
) -> Result<()> {
    // What another hand stored counts even if it is not valid here; only what could not travel is in no scope.
    let content = body.map(|body| (body, Content::of(walker, key, body)));
    let content = content.as_ref().map(|(body, content)| NewContent {
        bytes: body.as_bytes(),
        hash: body.hash(),
        scopes: &content.scopes,
        blobs: &content.blobs,
    });
    changed(tenant, &Change { key, head, content, origin: None })
}

fn put(
    tenant: &mut dyn Tenant,
    change: &Change<'_>,
    scope: Scope,
    state: FeedState,
    before: Option<Before>,
) -> Result<FeedRow> {
    let Head { position, version, at, .. } = change.head;
    let row = FeedRow { scope, key: change.key.clone(), position, version, at, state, before };
    tenant.put_row(row.clone())?;
    Ok(row)
}

/// Gives what a CareTeam or a Group gives, and takes back what it no longer does.
fn give(tenant: &mut dyn Tenant, key: &ResourceKey, bytes: Option<&[u8]>) -> Result<()> {
    if key.kind.name() == "CareTeam" {
        let team = bytes.and_then(Team::read).unwrap_or_default();
        let users: Vec<Id> = team.users().collect();
        let group = team.group();
        tenant.set_team(&key.id, group.as_ref(), &users)?;
        let patients = match (team.patient(), group) {
            (Some(patient), _) => vec![patient],
            (None, Some(group)) => tenant.patients_of(&group)?,
            (None, None) => Vec::new(),
        };
        return replace(tenant, key, &users, &patients);
    }
    let cohort = bytes.and_then(Cohort::read).unwrap_or_default();
    let patients: Vec<Id> = cohort.patients().collect();
    tenant.set_patients_of(&key.id, &patients)?;
    replace(tenant, key, cohort.manager().as_slice(), &patients)?;
    for (team, users) in tenant.teams_of(&key.id)? {
        let team = ResourceKey { kind: ResourceType::parse("CareTeam").expect("a type of R4"), id: team };
        replace(tenant, &team, &users, &patients)?;
    }
    Ok(())
}

/// What a resource gives from now on: the scopes of these patients to these users.
fn replace(tenant: &mut dyn Tenant, key: &ResourceKey, users: &[Id], patients: &[Id]) -> Result<()> {
    let mut given = BTreeSet::new();
    for user in users {
        given.extend(patients.iter().map(|patient| (user.clone(), Scope::patient(patient))));
    }
    let before: BTreeSet<(Id, Scope)> = tenant.given_by(key)?.into_iter().collect();
    let source = Source::Resource(key.clone());
    for (user, scope) in before.difference(&given) {
        set_reason(tenant, &source, user, scope, None)?;
    }
    for (user, scope) in given.difference(&before) {
        set_reason(tenant, &source, user, scope, Some(Access::Write))?;
    }
    Ok(())
}

/// Gives a user a reason for a scope, or takes it away. A user holds at most [`SCOPES_MAX`] scopes: what would be given
/// beyond is not.
pub(crate) fn set_reason(
    tenant: &mut dyn Tenant,
    source: &Source,
    user: &Id,
    scope: &Scope,
    access: Option<Access>,
) -> Result<()> {
    let before = tenant.access(user, scope)?;
    if before.is_none() && access.is_some() && tenant.grants(user)?.len() >= SCOPES_MAX {
        return Ok(());
    }
    tenant.set_reason(source, user, scope, access)?;
    let after = tenant.reasons(user, scope)?.into_iter().map(|(_, access)| access).max();
    if before == after {
        return Ok(());
    }
    let given = before.is_none() && after.is_some();
    let old = tenant.generation(user, scope)?;
    let generation = if given && !(tenant.has(Defect::NoGrantGeneration) && old != Generation::ZERO) {
        old.next().expect("fewer than 2^53 changes of access")
    } else {
        old
    };
    tenant.set_access(user, scope, generation, after)
}
