//! What the operator does while a server runs on this machine: invitations, devices, scopes, the archive.

use keepwell_protocol::Id;
use keepwell_server::{Console, Invitation};
use serde_json::{Value, json};

use super::serve::configuration;
use crate::args::{
    ServeArchiveArgs, ServeDeviceArgs, ServeGrantArgs, ServeGrantsArgs, ServeInviteArgs, ServePlace,
};
use crate::context::Context;
use crate::exit::Result;
use crate::output::Table;

pub(super) fn invite(context: &Context, args: &ServeInviteArgs) -> Result<()> {
    let (console, user) = (console(&args.place)?, args.holder.as_str());
    if args.withdraw {
        let done = console.delete(&format!("invitations/{user}"))?;
        let count = done["withdrawn"].to_string();
        return context.out.show(|| done, |out| writeln!(out, "{count} taken back"));
    }
    let made = console.post("invitations", &json!({ "user": user, "hours": args.hours }))?;
    let text = word(&made, "invitation");
    let picture = qr_code(&text)?;
    context.out.show(
        || made,
        |out| writeln!(out, "Invitation of a device of {user}, for {} hours:\n{picture}\n{text}", args.hours),
    )
}

/// Shows an invitation that the server has just made.
pub(super) fn show_invitation(context: &Context, user: &Id, invitation: &Invitation) -> Result<()> {
    let text = invitation.text().map_err(keepwell_server::Error::from)?;
    let picture = qr_code(&text)?;
    context.out.show(
        || json!({ "invitation": text.as_str(), "code": invitation.code.text().as_str() }),
        |out| writeln!(out, "Invitation of a device of {user}, for 24 hours:\n{picture}\n{}", text.as_str()),
    )
}

/// A QR code for the terminal.
pub(super) fn qr_code(text: &str) -> Result<String> {
    Ok(keepwell_server::qr_code(text).map_err(keepwell_server::Error::from)?)
}

pub(super) fn devices(context: &Context, place: &ServePlace) -> Result<()> {
    let devices = console(place)?.get("devices")?;
    let mut table = Table::new(&["device", "user", "name", "state", "pins", "enrolled", "seen"]);
    for device in items(&devices) {
        // A state is a word, or one with what belongs to it: the order or the receipt of a wipe.
        let state = match &device["state"] {
            Value::Object(state) => state.keys().next().cloned().unwrap_or_default(),
            state => state.as_str().unwrap_or_default().to_owned(),
        };
        let [id, user, name, enrolled, seen] =
            ["id", "user", "name", "enrolled", "seen"].map(|member| word(device, member));
        table.row([id, user, name, state, device["pins"].to_string(), enrolled, seen]);
    }
    show(context, devices, &table)
}

pub(super) fn set_device(context: &Context, args: &ServeDeviceArgs, act: &str, done: &str) -> Result<()> {
    let device = args.device.as_str();
    console(&args.place)?.post(&format!("devices/{device}/{act}"), &Value::Null)?;
    context.out.show(|| json!({ act: device }), |out| writeln!(out, "{device} {done}"))
}

pub(super) fn grants(context: &Context, args: &ServeGrantsArgs) -> Result<()> {
    let grants = console(&args.place)?.get(&format!("users/{}/grants", args.holder))?;
    let mut table = Table::new(&["scope", "access"]);
    for grant in items(&grants) {
        table.row(["scope", "access"].map(|member| word(grant, member)));
    }
    show(context, grants, &table)
}

pub(super) fn grant(context: &Context, args: &ServeGrantArgs) -> Result<()> {
    let (console, user, scope) = (console(&args.place)?, &args.holder, args.scope.to_string());
    let path = format!("users/{user}/grants/{scope}");
    let access = match (args.revoke, args.write) {
        (true, _) => None,
        (false, true) => Some("write"),
        (false, false) => Some("read"),
    };
    match access {
        Some(access) => console.put(&path, &json!({ "access": access }))?,
        None => console.delete(&path)?,
    };
    let said = access.map_or_else(|| "may no more see".to_owned(), |access| format!("may {access}"));
    context.out.show(
        || json!({ "user": user, "scope": scope, "access": access }),
        |out| writeln!(out, "{user} {said} {scope}"),
    )
}

pub(super) fn archive(context: &Context, args: &ServeArchiveArgs) -> Result<()> {
    let records = console(&args.place)?.get(&format!("archive?after={}", args.after))?;
    let mut table =
        Table::new(&["number", "resource", "why", "user", "device", "received", "elements", "decided"]);
    for record in items(&records) {
        let [resource, kind, user, device, received] =
            ["resource", "kind", "user", "device", "received"].map(|member| word(record, member));
        let paths: Vec<_> = items(&record["paths"]).iter().filter_map(Value::as_str).collect();
        let closed = &record["closed"];
        let decided = match closed["decision"].as_str() {
            Some(decision) => format!("{decision}, {} {}", word(closed, "by"), word(closed, "at")),
            None => "no".to_owned(),
        };
        let number = record["number"].to_string();
        table.row([number, resource, kind, user, device, received, paths.join(" "), decided]);
    }
    show(context, records, &table)
}

fn console(place: &ServePlace) -> Result<Console> {
    Ok(Console::open(&configuration(place)?)?)
}

fn show(context: &Context, value: Value, table: &Table) -> Result<()> {
    context.out.show(|| value, |out| table.write(out))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}
