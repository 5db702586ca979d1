//! Plans for texts: strings, URIs and words.

use crate::fold::folded;
use crate::parameter::ParameterNumber;
use crate::query::{StringMatch, UriMatch};
use crate::term::{CUT_MARK, CUT_TEXT_BYTES, Facet, MAX_TEXT_BYTES, Term, successor, write_text};

use super::scan::Test;
use super::{Plan, scan};

pub(super) fn string(number: ParameterNumber, how: StringMatch, text: &str) -> Plan {
    let head = || Term::head(number, Facet::String).into_bytes();
    let bytes = || folded(text).into_bytes().into_boxed_slice();
    match how {
        StringMatch::StartsWith => begins(number, Facet::String, text),
        StringMatch::Equals => equals(number, text),
        // Terms have no case and no accents.
        StringMatch::Exact => Plan::candidates(equals(number, text)),
        StringMatch::Contains => within(head(), Test::Contains(bytes())),
        StringMatch::EndsWith => within(head(), Test::EndsWith(bytes())),
    }
}

fn equals(number: ParameterNumber, text: &str) -> Plan {
    let mut term = Term::head(number, Facet::String);
    write_text(folded(text).as_bytes(), term.buffer());
    Plan::Term(term.into_bytes())
}

pub(super) fn begins(number: ParameterNumber, facet: Facet, text: &str) -> Plan {
    begins_with(Term::head(number, facet), folded(text).as_bytes())
}

/// The texts behind a head that begin so; of texts that were cut only the beginning is there.
fn begins_with(head: Term, text: &[u8]) -> Plan {
    let prefix = |text: &[u8], mark: &[u8]| Plan::Prefix([head.bytes(), text, mark].concat());
    if text.len() <= CUT_TEXT_BYTES {
        return prefix(text, &[]);
    }
    let cut = Plan::candidates(prefix(&text[..CUT_TEXT_BYTES], &[CUT_MARK]));
    if text.len() <= MAX_TEXT_BYTES { Plan::or([prefix(text, &[]), cut]) } else { cut }
}

/// What a test accepts, and texts that were cut, which have to be looked at.
fn within(head: Vec<u8>, test: Test) -> Plan {
    Plan::or([scan(head.clone(), test), Plan::candidates(scan(head, Test::IsCut))])
}

/// URLs lie in a hierarchy of paths; other URIs, such as URNs, are equal or not (R4 search.html#uri).
pub(super) fn uri(number: ParameterNumber, how: UriMatch, url: &str, version: Option<&str>) -> Plan {
    match (how, version) {
        (UriMatch::Exact, None) => any_version(number, url),
        (UriMatch::Exact, Some(version)) => Plan::Term(versioned(number, url, version)),
        (UriMatch::Below, Some(version)) => {
            let exact = Plan::Term(versioned(number, url, version));
            let mut minor = Term::url(number, url).into_bytes();
            minor.extend([version.as_bytes(), b"."].concat().iter().take(CUT_TEXT_BYTES));
            let minor = Plan::Prefix(minor);
            let is_long = version.len() >= CUT_TEXT_BYTES;
            Plan::or([exact, if is_long { Plan::candidates(minor) } else { minor }])
        }
        (UriMatch::Below, None) => below(number, url),
        (UriMatch::Above, _) => Plan::or(paths_above(url).map(|path| any_version(number, path))),
        (UriMatch::Contains, _) => {
            Plan::candidates(Plan::Prefix(Term::head(number, Facet::Uri).into_bytes()))
        }
    }
}

fn any_version(number: ParameterNumber, url: &str) -> Plan {
    Plan::Prefix(Term::url(number, url).into_bytes())
}

fn versioned(number: ParameterNumber, url: &str, version: &str) -> Vec<u8> {
    let mut term = Term::url(number, url);
    write_text(version.as_bytes(), term.buffer());
    term.into_bytes()
}

const URN: &str = "urn:";

fn below(number: ParameterNumber, url: &str) -> Plan {
    let head = || Term::head(number, Facet::Uri);
    if url.starts_with(URN) {
        return any_version(number, url);
    }
    if !URN.starts_with(url) {
        return begins_with(head(), url.as_bytes());
    }
    // The beginning of the word urn: what is before the URNs and what is behind them.
    let bytes = |text: &str| [head().bytes(), text.as_bytes()].concat();
    let end = |bytes: Vec<u8>| successor(&bytes).unwrap_or_default();
    Plan::or([
        Plan::Range { from: bytes(url), to: bytes(URN) },
        Plan::Range { from: end(bytes(URN)), to: end(bytes(url)) },
    ])
}

/// The URL and the paths that it lies in, with and without the slash at their end.
fn paths_above(url: &str) -> impl Iterator<Item = &str> {
    let host = url.find("://").map_or(url.len(), |at| at + 3);
    let slashes = url.match_indices('/').map(|(at, _)| at).filter(move |&at| at > host);
    slashes.flat_map(|at| [&url[..at], &url[..=at]]).filter(|path| path.len() < url.len()).chain([url])
}

pub(super) fn word(number: ParameterNumber, word: &str) -> Plan {
    let plan = |number| {
        let term = |word: &str| [Term::head(number, Facet::Word).bytes(), word.as_bytes()].concat();
        match word.strip_suffix('*') {
            Some(word) => Plan::Prefix(term(word)),
            None => Plan::Term(term(word)),
        }
    };
    if number == ParameterNumber::CONTENT {
        return Plan::or([plan(ParameterNumber::CONTENT), plan(ParameterNumber::TEXT)]);
    }
    plan(number)
}
