//! A server of its own process that is killed while devices sync with it, and what it had told them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a child tells its parent")]

#[path = "common/tls.rs"]
mod tls;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keepwell_client::Cancel;
use keepwell_server::Server;
use keepwell_store::VerifyOptions;
use keepwell_tests::Clinic;

use tls::{Device, World};

/// Name the folder of the server that a child process is to be, and where it is to listen.
const FOLDER: &str = "KEEPWELL_TEST_SERVING_CHILD";
const LISTEN: &str = "KEEPWELL_TEST_SERVING_CHILD_LISTENS";

/// How often the server dies.
const KILLS: u64 = 8;

/// Within this time something is acknowledged, also on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Resources of each device, which are edited in turn.
const FLAGS: u64 = 3;

/// The highest number that stands in each resource.
type Numbers = BTreeMap<String, u64>;

/// What a device saved, and what of that it was told to be on the server.
#[derive(Default)]
struct Work {
    saved: u64,
    numbers: Numbers,
    acknowledged: Numbers,
}

impl Work {
    /// Saves and syncs until it is over, and counts what was acknowledged.
    fn go_on(&mut self, device: &Device, name: &str, count: &AtomicU64, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            self.saved += 1;
            let flag = format!("{name}{}", self.saved % FLAGS);
            device.save(&format!("Flag/{flag}"), &tls::flag(&flag, &self.saved.to_string()));
            self.numbers.insert(flag, self.saved);
            let report = device.client.sync(&Cancel::default(), &mut |_| ()).unwrap();
            assert_eq!((report.lost, report.resyncs, report.diverged), (0, 0, 0), "{report:?}");
            if device.client.status().unwrap().pending == 0 {
                self.acknowledged.clone_from(&self.numbers);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A server that ends with the test, also with one that fails.
struct Running(Child);

impl Running {
    fn start(folder: &Path, listen: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_serves", "--nocapture"])
            .env(FOLDER, folder)
            .env(LISTEN, listen)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let running = Self(child);
        while !lines.next().expect("it begins").unwrap().ends_with("listening") {}
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On Unix that is SIGKILL. Nothing happens to one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_is_killed_at_any_moment_has_all_that_it_acknowledged() {
    let mut world = World::new();
    let devices = [("one", world.device("one", "ann")), ("two", world.device("two", "bob"))];
    devices[0].1.save("Patient/p1", tls::patient());
    devices.iter().for_each(|(_, device)| drop(device.sync()));
    let listen = world.clinic.stop().to_string();
    let folder = world.clinic.folder();
    let number = |text: &str| -> u64 {
        let text = text.split_once(r#""text":""#).unwrap().1;
        text.split_once('"').unwrap().0.parse().unwrap()
    };
    let check = |work: &[Work]| {
        for (flag, acknowledged) in work.iter().flat_map(|work| &work.acknowledged) {
            let found = number(&world.seen(&format!("Flag/{flag}")));
            assert!(found >= *acknowledged, "{flag}: {found}, but {acknowledged} was acknowledged");
        }
    };

    let mut work = [Work::default(), Work::default()];
    for life in 0..KILLS {
        let server = Running::start(folder, &listen);
        check(&work);
        let (count, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for (work, (name, device)) in work.iter_mut().zip(&devices) {
                scope.spawn(|| work.go_on(device, name, &count, &is_over));
            }
            let begun = Instant::now();
            while count.load(Ordering::Relaxed) < 2 && begun.elapsed() < LIMIT {
                thread::sleep(Duration::from_millis(1));
            }
            // It lives a little longer each time, so that it dies in other places.
            thread::sleep(Duration::from_millis(life * 11));
            drop(server);
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(count.load(Ordering::Relaxed) >= 2, "nothing is acknowledged");
    }

    let server = Running::start(folder, &listen);
    check(&work);
    for _ in 0..2 {
        devices.iter().for_each(|(_, device)| drop(device.sync()));
    }
    for (flag, saved) in work.iter().flat_map(|work| &work.numbers) {
        let name = format!("Flag/{flag}");
        for seen in [world.seen(&name), devices[0].1.seen(&name), devices[1].1.seen(&name)] {
            assert_eq!(number(&seen), *saved, "{flag}");
        }
    }
    drop(server);
    for (_, device) in &devices {
        let report = device.session().verify(VerifyOptions::default(), &mut |_| ()).unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

/// Not a test of its own: what the test above starts and kills.
#[test]
fn child_that_serves() {
    let (Some(folder), Ok(listen)) = (std::env::var_os(FOLDER), std::env::var(LISTEN)) else { return };
    let server = Server::start(Clinic::config(Path::new(&folder), &listen)).unwrap();
    println!("listening");
    std::io::stdout().flush().unwrap();
    server.wait().unwrap();
}
