//! What a device costs the server that is connected and waits for hints.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::USER;
use super::line::Enrolled;
use crate::args::{BenchHoldArgs, BenchIdleArgs};
use crate::exit::{Failure, Result, io as io_failure};
use crate::local_server::LocalServer;
use crate::output::Output;

/// What a process says when its connections stand.
const READY: &[u8] = b"ready";
/// What is opened first and not counted: the server's threads and what it keeps for all.
const WARMING: u32 = 100;
/// How long the server gets to put away what handshakes needed.
const REST: Duration = Duration::from_secs(2);

/// The memory of a connection in KiB: a server in a process of its own, and its devices in another.
pub(super) fn idle(place: &Path, connections: u32) -> Result<Value> {
    let failed = io_failure("running a server in another process");
    let mut command = Command::new(std::env::current_exe().map_err(&failed)?);
    command.args(["bench", "idle", "--connections", &connections.to_string(), "--directory"]);
    let done = command.arg(place.join("idle")).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let done = done.map_err(&failed)?;
    let told = serde_json::from_slice(&done.stdout).ok().filter(|_| done.status.success());
    told.ok_or(Failure::NotHeld(
        "a server holds connections; the system may allow too few open files (ulimit -n)",
    ))
}

/// `bench idle`: the server.
pub(crate) fn idle_alone(args: &BenchIdleArgs) -> Result<()> {
    let server = LocalServer::start(&args.directory.join("server"))?;
    let device = args.directory.join("device");
    Enrolled::new(&device, &server.invite(USER)?)?;
    let warm = Held::open(&device, WARMING)?;
    std::thread::sleep(REST);
    let before = resident_kib()?;
    let held = Held::open(&device, args.connections)?;
    std::thread::sleep(REST);
    let kib = resident_kib()?.saturating_sub(before);
    drop((held, warm));
    let each = kib as f64 / f64::from(args.connections);
    Output::new(true).show(|| json!(super::rounded(each)), |_| Ok(()))
}

/// `bench hold`: the devices. They wait until standard input ends.
pub(crate) fn hold(args: &BenchHoldArgs) -> Result<()> {
    let device = Enrolled::read(&args.directory)?;
    let mut lines = Vec::new();
    for _ in 0..args.connections {
        let mut line = device.connect()?;
        line.listen()?;
        lines.push(line);
    }
    let failed = io_failure("telling that connections stand");
    let mut out = std::io::stdout().lock();
    out.write_all(READY).and_then(|()| out.flush()).map_err(&failed)?;
    std::io::stdin().read_to_end(&mut Vec::new()).map_err(failed)?;
    Ok(())
}

/// Connections of another process. Dropped, they end.
struct Held(Child);

impl Held {
    fn open(device: &Path, connections: u32) -> Result<Self> {
        let failed = io_failure("running devices in another process");
        let mut command = Command::new(std::env::current_exe().map_err(&failed)?);
        command.args(["bench", "hold", "--connections", &connections.to_string(), "--directory"]).arg(device);
        let mut held = Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(&failed)?);
        let mut word = [0; READY.len()];
        let said = held.0.stdout.as_mut().map(|out| out.read_exact(&mut word));
        match said {
            Some(Ok(())) if word == READY => Ok(held),
            _ => Err(Failure::NotHeld("so many connections stand")),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn resident_kib() -> Result<u64> {
    let status =
        fs::read_to_string("/proc/self/status").map_err(io_failure("reading how much memory there is"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or(Failure::NotHeld("the system tells how much memory a process has"))
}
