//! What layouts of a search index cost: the figures behind docs/adr/0007-search-index.md.
//!
//! `cargo run --release -p keepwell-store --example index_layouts RESOURCES SECONDS abc FILES...`
//!
//! Indexes the terms of so many resources, those of the files and copies of them under other ids, in three
//! encrypted databases (or those of the layouts a, b and c that are named), one after the other, and asks each the
//! same questions. No bodies are stored, so this is
//! the price of the index alone. Making the terms is not counted. A layout that needs more than so many seconds
//! stops there, and is asked about what it has.

mod blocks;
mod btrees;
mod corpus;
mod full_text;
mod layout;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use keepwell_search::Facet;
use keepwell_sqlcipher::{PAGE_SIZE_BYTES, checkpoint};

use corpus::{Corpus, number};
use layout::{Batch, Layout, Outcome, Question};

/// Documents in a transaction.
const BATCH_DOCUMENTS: u32 = 10_000;
/// Memory for pages, as the store's writer has.
const CACHE_KIB: u32 = 16 * 1_024;
/// Times that each kind of question is asked, with different values.
const ROUNDS: usize = 60;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let resources: u32 = arguments.next().ok_or("how many resources?")?.parse()?;
    let seconds: u64 = arguments.next().ok_or("how many seconds for a layout?")?.parse()?;
    let layouts = arguments.next().ok_or("which layouts?")?;
    let mut corpus = Corpus::read(&arguments.map(PathBuf::from).collect::<Vec<_>>())?;
    let questions = questions(&mut corpus, resources)?;
    let directory = tempfile::tempdir()?;
    let out = &mut io::stdout().lock();
    let sample = resources.min(corpus.len());
    let terms = (0..sample).map(|nth| Ok(corpus.terms(nth)?.len())).sum::<Outcome<usize>>()?;
    let terms = terms as f64 / f64::from(sample);
    writeln!(out, "{resources} resources, {} before the first copy, {terms:.1} terms each\n", corpus.len())?;
    write!(
        out,
        "| layout | documents | documents/s | per CPU s | first tenth/s | last tenth/s | MB | bytes a document |"
    )?;
    questions.iter().try_for_each(|(name, _)| write!(out, " {name} |"))?;
    writeln!(out, "\n|---{}|", "|---".repeat(7 + questions.len()))?;
    let limit = Duration::from_secs(seconds);
    for letter in layouts.chars() {
        let path = directory.path().join(letter.to_string());
        let (name, mut layout): (_, Box<dyn Layout>) = match letter {
            'a' => ("B-trees", Box::new(btrees::Btrees::create(&path, CACHE_KIB)?)),
            'b' => ("FTS5 and B-trees", Box::new(full_text::FullText::create(&path, CACHE_KIB)?)),
            'c' => ("blocks", Box::new(blocks::Blocks::create(&path, CACHE_KIB)?)),
            _ => return Err("layouts are a, b and c".into()),
        };
        let ingest = fill(&mut *layout, &mut corpus, resources, limit)?;
        write!(out, "| {name} | {} |", ingest.documents)?;
        for rate in ingest.rates() {
            write!(out, " {rate:.0} |")?;
        }
        checkpoint(layout.connection())?;
        let pages = |pragma| layout.connection().pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
        let bytes = f64::from(pages("page_count")? - pages("freelist_count")?) * f64::from(PAGE_SIZE_BYTES);
        write!(out, " {:.1} | {:.0} |", bytes / 1e6, bytes / f64::from(ingest.documents))?;
        for (_, questions) in &questions {
            let (p50, found) = ask(&mut *layout, questions)?;
            write!(out, " {p50:.3} ms ({found}) |")?;
        }
        writeln!(out)?;
        out.flush()?;
        drop(layout);
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

/// How long each batch took.
struct Ingest {
    documents: u32,
    batches: Vec<(u32, Duration)>,
    cpu: Duration,
}

impl Ingest {
    /// Documents for each second, for each second of the processor, and for the first and last tenth.
    fn rates(&self) -> [f64; 4] {
        let rate = |batches: &[(u32, Duration)]| {
            let documents: u32 = batches.iter().map(|(documents, _)| documents).sum();
            f64::from(documents) / batches.iter().map(|(_, time)| time.as_secs_f64()).sum::<f64>()
        };
        let tenth = self.batches.len().div_ceil(10);
        let last = self.batches.len() - tenth;
        let by_cpu = f64::from(self.documents) / self.cpu.as_secs_f64();
        [rate(&self.batches), by_cpu, rate(&self.batches[..tenth]), rate(&self.batches[last..])]
    }
}

fn fill(layout: &mut dyn Layout, corpus: &mut Corpus, resources: u32, limit: Duration) -> Outcome<Ingest> {
    let mut ingest = Ingest { documents: 0, batches: Vec::new(), cpu: Duration::ZERO };
    let mut spent = Duration::ZERO;
    while ingest.documents < resources && spent < limit {
        let size = BATCH_DOCUMENTS.min(resources - ingest.documents);
        let mut batch = Batch { first: ingest.documents + 1, ..Batch::default() };
        for nth in ingest.documents..ingest.documents + size {
            let mut document = (Vec::new(), Vec::new());
            for term in corpus.terms(nth)?.iter() {
                document.0.extend_from_slice(term);
                document.1.push(document.0.len());
            }
            batch.documents.push(document);
        }
        let (start, cpu) = (Instant::now(), cpu_time()?);
        layout.commit(&batch)?;
        ingest.batches.push((size, start.elapsed()));
        ingest.cpu += cpu_time()? - cpu;
        ingest.documents += size;
        spent += start.elapsed();
    }
    let (start, cpu) = (Instant::now(), cpu_time()?);
    layout.settle()?;
    // It belongs to the last batch, whose documents would not be at rest without it.
    ingest.batches.last_mut().ok_or("no documents")?.1 += start.elapsed();
    ingest.cpu += cpu_time()? - cpu;
    Ok(ingest)
}

/// The time that this thread really ran.
fn cpu_time() -> Outcome<Duration> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = schedule.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// The median time in milliseconds, and how many documents the median question finds.
fn ask(layout: &mut dyn Layout, questions: &[Question]) -> Outcome<(f64, u64)> {
    let (mut times, mut found) = (Vec::new(), Vec::new());
    for question in questions {
        let start = Instant::now();
        found.push(layout.ask(question)?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    found.sort_unstable();
    Ok((times[times.len() / 2], found[found.len() / 2]))
}

/// Questions of each kind about values that resources all over the corpus have.
fn questions(corpus: &mut Corpus, resources: u32) -> Outcome<Vec<(&'static str, Vec<Question>)>> {
    let named = |resource_type, code, facet: Facet| {
        let mut head = number(resource_type, code).to_be_bytes().to_vec();
        head.push(facet as u8);
        head
    };
    let identifier = named("Patient", "identifier", Facet::Token);
    let family = named("Patient", "family", Facet::String);
    let code = named("Observation", "code", Facet::Token);
    let date = named("Observation", "date", Facet::Date);
    let subject = named("Observation", "subject", Facet::Reference);
    let status = named("Observation", "status", Facet::Token);
    // What is asked for comes from the part that every layout has, however early it was stopped.
    let sample = resources.min(30_000);
    let mut seen: HashMap<&[u8], Vec<Vec<u8>>> = HashMap::new();
    let mut pairs = Vec::new();
    for nth in 0..sample {
        let terms = corpus.terms(nth)?;
        let with = |head: &[u8]| terms.iter().find(|term| term.starts_with(head));
        for head in [&identifier, &family, &code, &date, &subject, &status] {
            seen.entry(head).or_default().extend(with(head).map(<[u8]>::to_vec));
        }
        pairs.extend(with(&subject).zip(with(&code)).map(|(one, other)| (one.to_vec(), other.to_vec())));
    }
    let spread = |head: &Vec<u8>| {
        let terms = &seen[&head[..]];
        (0..ROUNDS).map(|nth| terms[nth * terms.len() / ROUNDS].clone()).collect::<Vec<_>>()
    };
    let kinds = |head: &Vec<u8>, kind: fn(Vec<u8>) -> Question| spread(head).into_iter().map(kind).collect();
    let prefixes =
        spread(&family).into_iter().map(|term| Question::Prefix(term[..5.min(term.len())].to_vec()));
    let pairs = (0..ROUNDS).map(|nth| pairs[nth * pairs.len() / ROUNDS].clone());
    let wide = spread(&code).into_iter().zip(spread(&status));
    Ok(vec![
        ("identifier", kinds(&identifier, Question::Exact)),
        ("code", kinds(&code, Question::Exact)),
        ("family, first two letters", prefixes.collect()),
        ("date from, sorted, first 20", kinds(&date, Question::First20)),
        ("subject and code", pairs.map(|(one, other)| Question::Both(one, other)).collect()),
        ("count of code and status", wide.map(|(one, other)| Question::CountBoth(one, other)).collect()),
    ])
}
