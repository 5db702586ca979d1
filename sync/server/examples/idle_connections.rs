//! What a device costs that is connected and waits: opens streams of events from other processes, and looks at the
//! memory of the server.
//!
//! `cargo run --release -p keepwell-server --example idle_connections -- 10000`
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_protocol::{Base64, EnrolReply, EnrolRequest, Incarnation, Secret, from_bytes, to_bytes};
use keepwell_server::{Config, Server, prepare};
use keepwell_tls::rustls::pki_types::ServerName;
use keepwell_tls::rustls::{ClientConnection, StreamOwned};
use keepwell_tls::{
    CertificateRequest, ClientSettings, HttpClient, HttpLimits, Identity, Invitation, PrivateKey,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Connections of one process: below the usual limit of open files.
const PER_PROCESS: usize = 10_000;
const HOST: &str = "127.0.0.1";

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [count] => measure(count.parse()?),
        [folder, address, count] => hold(Path::new(folder), address, count.parse()?),
        _ => Err("how many connections?".into()),
    }
}

fn measure(count: usize) -> Outcome {
    let folder = tempfile::tempdir()?;
    let place = folder.path().display();
    let text = format!(
        "tenant = 'clinic'\ndata = '{place}/data'\nkeychain = 'file:{place}/keys'\nlisten = '{HOST}:0'\naddress = '{HOST}'\nlog = 'error'"
    );
    let config = Config::parse(&text, [])?;
    prepare(&config)?;
    let server = Server::start(config)?;
    enrol(&server, folder.path())?;
    let before = resident_kib()?;
    let began = Instant::now();
    let mut holders = Vec::new();
    let mut left = count;
    while left > 0 {
        let own = left.min(PER_PROCESS);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(folder.path()).arg(server.address().to_string()).arg(own.to_string());
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        // It says a word when all its connections stand.
        holder.stdout.as_mut().ok_or("no output")?.read_exact(&mut [0; 5])?;
        holders.push(holder);
        left -= own;
    }
    let opened = began.elapsed();
    std::thread::sleep(Duration::from_secs(2));
    let after = resident_kib()?;
    println!("{count} streams of events, opened one by one in {:.1} s", opened.as_secs_f64());
    println!("idle_connection_kib: {:.1}", (after.saturating_sub(before)) as f64 / count as f64);
    for mut holder in holders {
        drop(holder.stdin.take());
        holder.wait()?;
    }
    server.stop_handle().stop();
    Ok(server.wait()?)
}

/// Enrols one device, and leaves what it needs in the folder.
fn enrol(server: &Server, folder: &Path) -> Outcome {
    let invitation = server.operator().invite(&"ada".parse()?, Duration::from_secs(3_600))?;
    let key = PrivateKey::generate()?;
    let request = EnrolRequest {
        v: 1,
        code: Secret::new(invitation.code.text().to_string()),
        csr: Base64(CertificateRequest::create(&key)?),
        name: String::new(),
        incarnation: Incarnation::new(1),
    };
    let (trust, pinning) = invitation.pinning()?;
    let address = format!("https://{}", server.address()).parse()?;
    let http = HttpClient::new(&ClientSettings::new(trust, pinning), address, HttpLimits::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(async {
        let request = hyper::Request::post("/sync/v1/enrol").body(to_bytes(&request).into())?;
        Ok::<_, Box<dyn Error>>(http.send(request).await?.into_body().whole().await?)
    })?;
    let reply: EnrolReply = from_bytes(&body)?;
    std::fs::write(folder.join("invitation"), invitation.text()?.as_bytes())?;
    std::fs::write(folder.join("key"), key.pkcs8())?;
    Ok(std::fs::write(folder.join("certificate"), &reply.certificates[0].0)?)
}

/// Opens streams and keeps them until standard input ends.
fn hold(folder: &Path, address: &str, count: usize) -> Outcome {
    let invitation: Invitation = std::fs::read_to_string(folder.join("invitation"))?.parse()?;
    let (trust, pinning) = invitation.pinning()?;
    let mut settings = ClientSettings::new(trust, pinning);
    let key = PrivateKey::from_pkcs8(std::fs::read(folder.join("key"))?.into())?;
    let chain = vec![std::fs::read(folder.join("certificate"))?.into()];
    settings.device = Some(Identity::new(chain, Arc::new(key))?);
    let config = settings.build()?;
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let client = ClientConnection::new(config.clone(), ServerName::try_from(HOST)?)?;
        let mut stream = StreamOwned::new(client, TcpStream::connect(address)?);
        stream.write_all(b"GET /sync/v1/events HTTP/1.1\r\nHost: a\r\n\r\n")?;
        stream.flush()?;
        let mut first = [0; 12];
        stream.read_exact(&mut first)?;
        if !first.ends_with(b"200") {
            return Err("refused".into());
        }
        streams.push(stream);
    }
    print!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn resident_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no figure")?.parse()?)
}
