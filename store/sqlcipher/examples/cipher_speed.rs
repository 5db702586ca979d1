//! What page size, HMAC and cache cost: the figures behind docs/adr/0002-cipher-settings.md.
//!
//! `cargo run --release -p keepwell-sqlcipher --example cipher_speed [rounds] [directory]`
//!
//! Every setting is measured in every round, so that a busy minute of the machine falls on all of them;
//! the table holds medians over the rounds. "CPU" is the time that the thread really ran, which another
//! program on the machine hardly changes. Bodies are random bytes, since stored ones are compressed.
//! Rows have time-ordered integer keys and one unique index on 20 random bytes (type and id), as the store
//! has. Batches of 1,000 rows, WAL, checkpoint at 10,000 pages, every commit with a full sync.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use keepwell_sqlcipher::{WAL_AUTOCHECKPOINT_PAGES, check_engine};
use rusqlite::{Connection, params};

const BATCH_ROWS: u64 = 1_000;
const RANDOM_READS: u64 = 10_000;
const SINGLE_COMMITS: u64 = 100;
/// Name, body bytes and rows of each load: a compressed Observation, and a raw one.
const LOADS: [(&str, usize, u64); 2] = [("300 B", 300, 200_000), ("1.4 KB", 1_400, 60_000)];

type Failure = Box<dyn std::error::Error>;

#[derive(Clone, Copy)]
struct Setting {
    page_bytes: u32,
    hmac: &'static str,
    cache_mib: u32,
}

/// One measurement, or the medians of several.
#[derive(Clone, Copy)]
struct Figures {
    insert_per_s: f64,
    insert_per_cpu_s: f64,
    read_p50_us: f64,
    read_cpu_us: f64,
    scan_mb_per_cpu_s: f64,
    commit_p50_ms: f64,
    file_mb: f64,
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(directory)?;
    let path = directory.path().join("speed.db");

    let mut out = io::stdout().lock();
    let engine = check_engine()?;
    writeln!(out, "SQLCipher {}, SQLite {}, {rounds} rounds", engine.cipher_version, engine.sqlite_version)?;
    writeln!(out, "fsync alone: {:.2} ms (median of 100)", fsync_p50_ms(directory.path())?)?;
    for (load, body_bytes, rows) in LOADS {
        print_header(&mut out, &format!("{rows} rows of {load}"))?;
        let mut measured: Vec<(Setting, Vec<Figures>)> = settings().map(|s| (s, Vec::new())).collect();
        for _ in 0..rounds {
            for (setting, figures) in &mut measured {
                figures.push(measure(&path, *setting, body_bytes, rows)?);
            }
        }
        for (setting, figures) in &measured {
            print(&mut out, *setting, &medians(figures))?;
        }
    }

    // Last, since it cannot be turned off again in a process.
    let (load, body_bytes, rows) = LOADS[0];
    print_header(&mut out, &format!("{rows} rows of {load}, memory wiping on"))?;
    for setting in settings().filter(|s| s.cache_mib == 16) {
        let figures = (0..rounds)
            .map(|_| {
                Connection::open_in_memory()?.execute_batch("PRAGMA cipher_memory_security = ON")?;
                measure(&path, setting, body_bytes, rows)
            })
            .collect::<Result<Vec<_>, _>>()?;
        print(&mut out, setting, &medians(&figures))?;
    }
    Ok(())
}

fn settings() -> impl Iterator<Item = Setting> {
    [4096, 8192].into_iter().flat_map(|page_bytes| {
        ["HMAC_SHA512", "HMAC_SHA256"].into_iter().flat_map(move |hmac| {
            [2, 16, 64].into_iter().map(move |cache_mib| Setting { page_bytes, hmac, cache_mib })
        })
    })
}

fn print_header(out: &mut impl Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{title}\n")?;
    write!(out, "| page | HMAC | cache MiB | insert/s | insert/CPU s | read p50 us | read CPU us ")?;
    writeln!(out, "| scan MB/CPU s | commit p50 ms | file MB |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")
}

fn print(out: &mut impl Write, setting: Setting, f: &Figures) -> io::Result<()> {
    writeln!(
        out,
        "| {} | {} | {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.0} | {:.2} | {:.1} |",
        setting.page_bytes,
        setting.hmac,
        setting.cache_mib,
        f.insert_per_s,
        f.insert_per_cpu_s,
        f.read_p50_us,
        f.read_cpu_us,
        f.scan_mb_per_cpu_s,
        f.commit_p50_ms,
        f.file_mb
    )?;
    out.flush()
}

fn measure(path: &Path, setting: Setting, body_bytes: usize, rows: u64) -> Result<Figures, Failure> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let _ = std::fs::remove_file(file);
    }
    let mut connection = connect(path, setting)?;
    connection.execute_batch(
        "CREATE TABLE resource (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL) STRICT",
    )?;
    let (started, cpu) = (Instant::now(), cpu_time()?);
    for first in (0..rows).step_by(usize::try_from(BATCH_ROWS)?) {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare("INSERT INTO resource VALUES (?1, ?2, ?3)")?;
            let mut body = vec![0; body_bytes];
            for row in first..first + BATCH_ROWS {
                fill(&mut body, row);
                insert.execute(params![i64::try_from(row)?, id(row), body])?;
            }
        }
        transaction.commit()?;
    }
    let insert_per_s = rows as f64 / started.elapsed().as_secs_f64();
    let insert_per_cpu_s = rows as f64 / (cpu_time()? - cpu).as_secs_f64();
    drop(connection);

    // A new connection has an empty cache; the files stay in the system's.
    let connection = connect(path, setting)?;
    let mut read = connection.prepare("SELECT body FROM resource WHERE id = ?1")?;
    let mut reads = Vec::new();
    let cpu = cpu_time()?;
    for n in 0..RANDOM_READS {
        let wanted = id(mix(n) % rows);
        let started = Instant::now();
        let body: Vec<u8> = read.query_row([&wanted[..]], |row| row.get(0))?;
        reads.push(started.elapsed());
        assert_eq!(body.len(), body_bytes, "the row that was written is read");
    }
    let read_cpu_us = (cpu_time()? - cpu).as_secs_f64() * 1e6 / RANDOM_READS as f64;
    drop(read);
    drop(connection);

    let connection = connect(path, setting)?;
    let cpu = cpu_time()?;
    let bytes: i64 = connection.query_row(
        "SELECT sum(length(body)) + sum(instr(body, x'00') * 0) FROM resource",
        [],
        |row| row.get(0),
    )?;
    let scan_mb_per_cpu_s = bytes as f64 / 1e6 / (cpu_time()? - cpu).as_secs_f64();

    let mut insert = connection.prepare("INSERT INTO resource VALUES (?1, ?2, ?3)")?;
    let mut commits = Vec::new();
    let mut body = vec![0; body_bytes];
    for row in rows..rows + SINGLE_COMMITS {
        fill(&mut body, row);
        let started = Instant::now();
        insert.execute(params![i64::try_from(row)?, id(row), body])?;
        commits.push(started.elapsed());
    }
    drop(insert);
    drop(connection);
    Ok(Figures {
        insert_per_s,
        insert_per_cpu_s,
        read_p50_us: p50(&mut reads).as_secs_f64() * 1e6,
        read_cpu_us,
        scan_mb_per_cpu_s,
        commit_p50_ms: p50(&mut commits).as_secs_f64() * 1e3,
        file_mb: std::fs::metadata(path)?.len() as f64 / 1e6,
    })
}

/// Not [`keepwell_sqlcipher::open`], whose settings are constants.
fn connect(path: &Path, setting: Setting) -> Result<Connection, Failure> {
    let connection = Connection::open(path)?;
    connection.execute_batch(&format!(
        "PRAGMA cipher_log_level = NONE;
         PRAGMA key = \"x'{}'\";
         PRAGMA cipher_page_size = {};
         PRAGMA cipher_hmac_algorithm = {};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -{};
         PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES};",
        "07".repeat(32),
        setting.page_bytes,
        setting.hmac,
        setting.cache_mib * 1024,
    ))?;
    Ok(connection)
}

fn fsync_p50_ms(directory: &Path) -> io::Result<f64> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Vec::new();
    for _ in 0..100 {
        file.write_all(&[1; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed());
    }
    Ok(p50(&mut times).as_secs_f64() * 1e3)
}

fn p50(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long this thread has run on a processor; Linux says so in nanoseconds.
fn cpu_time() -> Result<Duration, Failure> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = schedule.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

fn medians(rounds: &[Figures]) -> Figures {
    let median = |figure: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figures {
        insert_per_s: median(|f| f.insert_per_s),
        insert_per_cpu_s: median(|f| f.insert_per_cpu_s),
        read_p50_us: median(|f| f.read_p50_us),
        read_cpu_us: median(|f| f.read_cpu_us),
        scan_mb_per_cpu_s: median(|f| f.scan_mb_per_cpu_s),
        commit_p50_ms: median(|f| f.commit_p50_ms),
        file_mb: median(|f| f.file_mb),
    }
}

/// A type code and 16 random bytes, the same for the same row.
fn id(row: u64) -> [u8; 20] {
    let mut id = [0; 20];
    fill(&mut id[4..], row ^ 0x5eed);
    id
}

fn fill(bytes: &mut [u8], seed: u64) {
    for (n, chunk) in bytes.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&mix(seed << 16 | n as u64).to_le_bytes()[..chunk.len()]);
    }
}

/// SplitMix64: repeatable, and good enough that no two rows are alike.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
