//! Standard output: tables for people, JSON for programs.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use serde_json::Value;

use crate::exit::{Failure, Result, io as io_failure};

/// Spaces between columns.
const GAP: usize = 2;

/// Where results go.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read what is printed.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints `value` for programs, or what `people` writes.
    pub(crate) fn show(
        &self,
        value: impl FnOnce() -> Value,
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let mut out = io::stdout().lock();
        if self.json { writeln!(out, "{}", value()) } else { people(&mut out) }.map_err(stdout_failure)
    }

    /// Prints bytes as they are, with a line feed at their end.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| if bytes.ends_with(b"\n") { Ok(()) } else { out.write_all(b"\n") })
            .map_err(stdout_failure)
    }
}

/// A reader that has gone, as `head` does, is no failure.
pub(crate) fn stdout_failure(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => io_failure("writing to standard output")(error),
    }
}

/// Runs `write` on a new file that only its owner can read, or on standard output.
///
/// # Errors
/// A file that exists is not touched; one that could not be written whole is removed.
pub(crate) fn write_to<T>(path: Option<&Path>, write: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let Some(path) = path else {
        let mut out = io::stdout().lock();
        let done = write(&mut out)?;
        out.flush().map_err(stdout_failure)?;
        return Ok(done);
    };
    let failed = io_failure("writing the output file");
    let made = create_private(path).map_err(&failed);
    let mut out = BufWriter::new(made.map_err(|failure| failure.about(path))?);
    let done = write(&mut out).and_then(|done| {
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(&failed)?;
        Ok(done)
    });
    if done.is_err() {
        // Best effort: the failure that is reported matters more.
        let _ = std::fs::remove_file(path);
    }
    done
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Refuses to spill bytes that are not text onto a terminal.
pub(crate) fn refuse_terminal(path: Option<&Path>) -> Result<()> {
    if path.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage("name a file with --output: this is not for a terminal"));
    }
    Ok(())
}

/// A table with aligned columns; numbers are right-aligned.
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.header.len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([self.header[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let is_number = |column: usize| {
            !self.rows.is_empty()
                && self.rows.iter().filter_map(|row| row.get(column)).all(|cell| {
                    cell.starts_with(|first: char| first.is_ascii_digit())
                        && cell.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '.')
                })
        };
        let right: Vec<_> = (0..columns).map(is_number).collect();
        if self.header.iter().any(|name| !name.is_empty()) {
            write_row(out, &self.header, &widths, &right)?;
        }
        self.rows.iter().try_for_each(|row| write_row(out, row, &widths, &right))
    }
}

fn write_row(out: &mut dyn Write, row: &[String], widths: &[usize], right: &[bool]) -> io::Result<()> {
    let mut line = String::new();
    for ((cell, &width), &right) in row.iter().zip(widths).zip(right) {
        let space = " ".repeat(width.saturating_sub(cell.chars().count()));
        let (before, after) = if right { (&*space, "") } else { ("", &*space) };
        line.extend([before, printable(cell).as_str(), after, &" ".repeat(GAP)]);
    }
    writeln!(out, "{}", line.trim_end())
}

/// Control characters in names that others chose must not reach the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as MiB, KiB or bytes.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_numbers_stand_right() {
        let mut table = Table::new(&["type", "count"]);
        table.row(["Patient".to_owned(), "5".to_owned()]);
        table.row(["Bell\u{7}".to_owned(), "1,234".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "type     count\nPatient      5\nBell\u{fffd}    1,234\n");
    }

    #[test]
    fn numbers_are_grouped_and_sizes_have_units() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([5, 2_048, 3_145_728].map(size), ["5 B", "2.0 KiB", "3.0 MiB"]);
    }

    #[test]
    fn an_existing_file_is_not_overwritten_and_a_failed_one_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        write_to(Some(&path), |out| out.write_all(b"1").map_err(io_failure("x"))).unwrap();
        assert!(write_to(Some(&path), |_| Ok(())).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"1");
        let other = place.path().join("other");
        assert!(write_to(Some(&other), |_| Err::<(), _>(Failure::Usage("x"))).is_err());
        assert!(!other.exists());
    }
}
