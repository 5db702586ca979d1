//! Search, and how what is found is shown.

use std::io::{self, Write};

use keepwell_fhir::bundle_writer::SearchMode;
use keepwell_store::query::Handling;
use keepwell_store::{SearchEntry, SearchPage, Session};
use serde_json::{Value, json};

use crate::args::{SearchArgs, SearchFormat};
use crate::cells::{cell, telling};
use crate::context::Context;
use crate::exit::Result;
use crate::output::{Table, grouped, stdout_failure};

pub(super) fn search(context: &Context, args: &SearchArgs) -> Result<()> {
    let handling = if args.lenient { Handling::Lenient } else { Handling::Strict };
    if args.explain {
        let steps = context.with(|session| Ok(session.explain_search(&args.query)?))?;
        return context.out.show(
            || {
                steps
                    .iter()
                    .map(|step| json!({ "depth": step.depth, "text": step.text, "estimate": step.estimate }))
                    .collect()
            },
            |out| {
                steps.iter().try_for_each(|step| {
                    let about = step.estimate.map(|estimate| format!(": about {}", grouped(estimate)));
                    writeln!(out, "{}{}{}", "  ".repeat(step.depth), step.text, about.unwrap_or_default())
                })
            },
        );
    }
    let format = if context.out.is_json() { SearchFormat::Json } else { args.format };
    context.with(|session| {
        let mut rows = Rows { columns: args.columns.clone(), is_begun: false };
        let pages = Pages { session, handling, next: Some(args.query.clone()) };
        let mut shown = 0;
        let mut last = None;
        for page in pages.take(if args.all { usize::MAX } else { 1 }) {
            let page = page?;
            let mut out = io::stdout().lock();
            match format {
                SearchFormat::Table => rows.table(&page, &mut out),
                SearchFormat::Csv => rows.csv(&page, &mut out),
                SearchFormat::Ndjson => page.entries.iter().try_for_each(|entry| line(&mut out, &entry.body)),
                SearchFormat::Json => line(&mut out, &page.to_bundle()),
            }
            .map_err(stdout_failure)?;
            shown += page.matches().count();
            last = Some(page);
        }
        if let Some(page) = last.filter(|_| format != SearchFormat::Json) {
            tell(&page, shown).map_err(stdout_failure)?;
        }
        Ok(())
    })
}

/// The pages of a search, each asked for when it is wanted.
struct Pages<'s> {
    session: &'s Session,
    handling: Handling,
    next: Option<String>,
}

impl Iterator for Pages<'_> {
    type Item = Result<SearchPage>;

    fn next(&mut self) -> Option<Self::Item> {
        let page = self.session.search_with(&self.next.take()?, self.handling);
        Some(page.map_err(Into::into).inspect(|page| self.next.clone_from(&page.next)))
    }
}

/// Found resources as rows; the first page decides about the columns.
struct Rows {
    columns: Vec<String>,
    is_begun: bool,
}

impl Rows {
    fn read(&mut self, page: &SearchPage) -> Vec<(String, Value)> {
        let parse = |entry: &SearchEntry| {
            let place = entry.place();
            let place = if entry.mode == SearchMode::Match { place } else { format!("+ {place}") };
            (place, serde_json::from_slice(&entry.body).unwrap_or_default())
        };
        let rows: Vec<(String, Value)> = page.entries.iter().map(parse).collect();
        if self.columns.is_empty() {
            let resources: Vec<Value> = rows.iter().map(|(_, resource)| resource.clone()).collect();
            self.columns = telling(&resources);
        }
        rows
    }

    fn cells<'r>(&'r self, row: &'r (String, Value)) -> impl Iterator<Item = String> + 'r {
        std::iter::once(row.0.clone()).chain(self.columns.iter().map(|column| cell(&row.1, column)))
    }

    fn header(&self) -> impl Iterator<Item = &str> {
        std::iter::once("resource").chain(self.columns.iter().map(String::as_str))
    }

    fn table(&mut self, page: &SearchPage, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.read(page);
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&self.header().collect::<Vec<_>>());
        rows.iter().for_each(|row| table.row(self.cells(row)));
        table.write(out)
    }

    fn csv(&mut self, page: &SearchPage, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.read(page);
        if !self.is_begun {
            self.is_begun = true;
            record(out, self.header().map(str::to_owned))?;
        }
        rows.iter().try_for_each(|row| record(out, self.cells(row)))
    }
}

/// One record of CSV (RFC 4180). A cell that a spreadsheet would take for a formula gets an apostrophe before it.
fn record(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let quoted: Vec<String> = cells
        .map(|cell| {
            let cell = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err() {
                format!("'{cell}")
            } else {
                cell
            };
            if cell.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell
            }
        })
        .collect();
    write!(out, "{}\r\n", quoted.join(","))
}

/// The bytes as one line.
fn line(out: &mut dyn Write, json: &[u8]) -> io::Result<()> {
    // Between the tokens of JSON a line feed is a space.
    let line: Vec<u8> =
        json.iter().map(|&byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }).collect();
    out.write_all(&line)?;
    out.write_all(b"\n")
}

/// What people want to know besides: it does not belong to the data, so it goes to standard error.
fn tell(page: &SearchPage, shown: usize) -> io::Result<()> {
    let mut out = io::stderr().lock();
    for issue in &page.issues {
        writeln!(out, "ignored: {}", issue.diagnostics)?;
    }
    match page.total {
        Some(total) => writeln!(out, "{} of {} matches", grouped(shown as u64), grouped(total))?,
        None => writeln!(out, "{} matches", grouped(shown as u64))?,
    }
    match &page.next {
        Some(next) => writeln!(out, "more: --all, or keepwell search '{next}'"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_quoted_and_never_a_formula() {
        let mut out = Vec::new();
        let cells = ["plain", "a,b", "say \"x\"", "=1+1", "-5.2", "two\nlines"].map(str::to_owned);
        record(&mut out, cells.into_iter()).unwrap();
        assert_eq!(out, b"plain,\"a,b\",\"say \"\"x\"\"\",'=1+1,-5.2,\"two\nlines\"\r\n");
    }

    #[test]
    fn a_resource_is_one_line_whatever_white_space_it_has() {
        let mut out = Vec::new();
        line(&mut out, b"{\r\n\"a\":1\n}").unwrap();
        assert_eq!(out, b"{  \"a\":1 }\n");
    }
}
