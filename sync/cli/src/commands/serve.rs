//! A server, and the tokens of its clients.

use keepwell_protocol::{Id, Scope};
use keepwell_server::backend::Access;
use keepwell_server::{
    Config, INVITATION_LIFETIME, Invitation, LogLevel, Server, TokenUse, Tokens, Welcome, authority_pem,
    log_to, pin_set, prepare, prepare_key, switch_key,
};
use serde_json::json;

use super::operate;
use crate::args::{ServeArgs, ServeCommand, ServeKeyCommand, ServePlace, ServeTokenArgs};
use crate::context::Context;
use crate::exit::{Failure, Result};

pub(super) fn serve(context: &Context, args: ServeArgs) -> Result<()> {
    match &args.command {
        Some(ServeCommand::Token(args)) => return token(context, args),
        Some(ServeCommand::Key(command)) => return key(context, command),
        Some(ServeCommand::Authority(args)) => return authority(context, &args.place),
        Some(ServeCommand::Invite(args)) => return operate::invite(context, args),
        Some(ServeCommand::Devices(args)) => return operate::devices(context, &args.place),
        Some(ServeCommand::Revoke(args)) => {
            return operate::set_device(context, args, "revoke", "is locked out");
        }
        Some(ServeCommand::Admit(args)) => {
            return operate::set_device(context, args, "admit", "may sync again");
        }
        Some(ServeCommand::Wipe(args)) => {
            return operate::set_device(context, args, "wipe", "destroys its store when it is here next");
        }
        Some(ServeCommand::Grants(args)) => return operate::grants(context, args),
        Some(ServeCommand::Grant(args)) => return operate::grant(context, args),
        Some(ServeCommand::Archive(args)) => return operate::archive(context, args),
        None if args.check => return check(context, &args.place),
        None => {}
    }
    let config = configuration(&args.place)?;
    let invited: Id =
        args.invite.parse().map_err(|_| Failure::Usage("--invite takes the id of a Practitioner"))?;
    let welcome = prepare(&config)?;
    log_to(std::io::stderr(), config.log);
    let server = match (Server::start(config), &welcome) {
        (Ok(server), _) => server,
        // It was made, and its token is shown at no other time.
        (Err(error), Some(welcome)) => {
            greet(context, welcome, &invited, None)?;
            return Err(error.into());
        }
        (Err(error), None) => return Err(error.into()),
    };
    let operator = server.operator();
    // Nobody was invited yet: it is new, or has not come so far before.
    if operator.devices()?.is_empty() && operator.invitations()?.is_empty() {
        let main = "main".parse().expect("an id");
        // Whoever sets the server up fills its directory and its library; other users read them.
        for scope in [Scope::directory(&main), Scope::library(&main)] {
            operator.grant(&invited, &scope, Access::Write)?;
        }
        let invitation = operator.invite(&invited, INVITATION_LIFETIME)?;
        match &welcome {
            Some(welcome) => greet(context, welcome, &invited, Some(&invitation))?,
            None => operate::show_invitation(context, &invited, &invitation)?,
        }
    }
    Ok(server.wait()?)
}

pub(super) fn configuration(place: &ServePlace) -> Result<Config> {
    let mut config = Config::read(&place.config)?;
    if let Some(data) = &place.data {
        config.data = std::path::absolute(data).map_err(crate::exit::io("resolving --data"))?;
    }
    config.listen = place.listen.unwrap_or(config.listen);
    Ok(config)
}

fn check(context: &Context, place: &ServePlace) -> Result<()> {
    let config = configuration(place)?;
    let found = config.check();
    let log = match config.log {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    context.out.show(
        || json!({ "faults": found.iter().map(|fault| json!({ "error": fault.code(), "message": fault.to_string() })).collect::<Vec<_>>() }),
        |out| {
            for fault in &found {
                writeln!(out, "error {}: {fault}", fault.code())?;
            }
            writeln!(out, "tenant {} at {}, listening on {}, log {log}", config.tenant, config.address, config.listen)
        },
    )?;
    match found.first() {
        Some(fault) => Err(keepwell_server::Error::from(*fault).into()),
        None => Ok(()),
    }
}

fn authority(context: &Context, place: &ServePlace) -> Result<()> {
    let pem = authority_pem(&configuration(place)?.data)?;
    context.out.show(|| json!({ "authority": pem }), |out| out.write_all(pem.as_bytes()))
}

/// What is shown once: to the person who starts a server for the first time. Without an invitation the server was made,
/// but did not start; it invites when it does.
fn greet(context: &Context, welcome: &Welcome, user: &Id, invitation: Option<&Invitation>) -> Result<()> {
    let text = invitation.map(Invitation::text).transpose().map_err(keepwell_server::Error::from)?;
    let text = text.as_ref().map(|text| text.as_str());
    let picture = text.map(operate::qr_code).transpose()?;
    let code = invitation.map(|invitation| invitation.code.text());
    let code = code.as_ref().map(|code| code.as_str());
    context.out.show(
        || {
            json!({
                "operator_token": welcome.operator_token.as_str(),
                "invitation": text,
                "code": code,
                "offline": welcome.offline,
            })
        },
        |out| {
            writeln!(out, "A new server. What follows is shown once.\n")?;
            writeln!(out, "Operator's token: {}\n", welcome.operator_token.as_str())?;
            writeln!(
                out,
                "Move the files in {} to a medium that is locked away.\n",
                welcome.offline.display()
            )?;
            if let (Some(text), Some(picture), Some(code)) = (text, &picture, code) {
                writeln!(
                    out,
                    "Invitation of the first device, {user}'s, for 24 hours:\n{picture}\n{text}\n"
                )?;
                writeln!(out, "Its code alone: {code}")?;
            }
            Ok(())
        },
    )
}

fn key(context: &Context, command: &ServeKeyCommand) -> Result<()> {
    let (pins, next) = match command {
        ServeKeyCommand::Show(args) => {
            let (pins, document) = pin_set(&configuration(&args.place)?)?;
            return context.out.show(
                || json!({ "number": pins.number, "document": document }),
                |out| write!(out, "{document}"),
            );
        }
        ServeKeyCommand::Next(args) => (
            prepare_key(&configuration(&args.place)?, &args.root)?,
            "Start the server anew, and switch when every device has these pins.",
        ),
        ServeKeyCommand::Switch(args) => (
            switch_key(&configuration(&args.place)?, &args.root, args.backup.as_deref())?,
            "Start the server anew. What is in the folder offline belongs on its medium.",
        ),
    };
    context.out.show(
        || json!({ "number": pins.number, "pins": pins.pins.len() }),
        |out| writeln!(out, "Pin set {} with {} pins. {next}", pins.number, pins.pins.len()),
    )
}

fn token(context: &Context, args: &ServeTokenArgs) -> Result<()> {
    let tokens = Tokens::open(&configuration(&args.place)?.data)?;
    if args.revoke {
        let revoked = tokens.revoke(&args.holder)?;
        return context
            .out
            .show(|| json!({ "revoked": revoked }), |out| writeln!(out, "{revoked} taken back"));
    }
    let purpose = if args.read_only { TokenUse::FhirRead } else { TokenUse::Fhir };
    let token = tokens.issue(&args.holder, purpose)?;
    context.out.show(
        || json!({ "token": token.as_str() }),
        |out| {
            writeln!(
                out,
                "{}\nIt is shown once; `keepwell serve token {} --revoke` takes it back.",
                token.as_str(),
                args.holder
            )
        },
    )
}
