//! A commit: the terms of the documents that one transaction of the host adds.
//!
//! Documents of one commit have most of their terms in common, so each term is kept once, with a chain of its
//! documents, and only the terms are sorted in the end: a sixth of sorting every pair of term and document.
//!
//! Invariants: documents rise, and each supersedes an earlier one or none; the documents of a chain rise.

use std::convert::Infallible;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::Doc;
use crate::bytes::len32;
use crate::error::CommitError;
use crate::merged::head_of;
use crate::postings::Bounds;
use crate::run::Run;

/// Bytes of the longest term. Longer values are cut by whoever makes terms, and checked against the resource.
pub const TERM_BYTES_MAX: usize = 1_024;

/// Bytes that the terms of one commit may have together.
pub const COMMIT_BYTES_MAX: usize = 1 << 30;

/// Documents with their terms, in the making.
///
/// ```
/// let mut commit = keepwell_index::Commit::default();
/// commit.add(1, None, ["family=ama", "gender=female"])?;
/// commit.add(2, Some(1), ["family=amani", "gender=female"])?; // a new version of document 1
/// # Ok::<(), keepwell_index::CommitError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The terms, one after the other.
    bytes: Vec<u8>,
    terms: Vec<Term>,
    /// Places in `terms`, by their bytes.
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    postings: Vec<Posting>,
    superseded: Vec<(Doc, Doc)>,
    first: Doc,
    last: Doc,
    documents: u32,
}

/// A term and the chain of its documents.
#[derive(Clone, Copy, Debug)]
struct Term {
    at: u32,
    len: u32,
    /// Its first and its last posting.
    chain: (u32, u32),
}

impl Term {
    fn bytes<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.at as usize..][..self.len as usize]
    }
}

/// One document of a term.
#[derive(Clone, Copy, Debug)]
struct Posting {
    doc: Doc,
    /// The next one of the same term; of the last one, itself.
    next: u32,
}

impl Commit {
    /// Adds a document, the version that it supersedes if any, and its terms in any order. A term that comes
    /// twice counts once.
    ///
    /// # Errors
    /// When the document does not follow the last one, supersedes one that is not before it, or a term is empty
    /// or too long. The commit is then not to be used any more.
    pub fn add<T: AsRef<[u8]>>(
        &mut self,
        doc: Doc,
        supersedes: Option<Doc>,
        terms: impl IntoIterator<Item = T>,
    ) -> Result<(), CommitError> {
        if doc <= self.last {
            return Err(CommitError::OutOfOrder { doc, last: self.last });
        }
        if let Some(superseded) = supersedes {
            if superseded >= doc {
                return Err(CommitError::SupersedesLater { by: doc, doc: superseded });
            }
            self.superseded.push((doc, superseded));
        }
        for term in terms {
            self.push(doc, term.as_ref())?;
        }
        if self.is_empty() {
            self.first = doc;
        }
        self.last = doc;
        self.documents += 1;
        Ok(())
    }

    fn push(&mut self, doc: Doc, term: &[u8]) -> Result<(), CommitError> {
        if term.is_empty() || term.len() > TERM_BYTES_MAX {
            return Err(CommitError::TermLength { bytes: term.len() });
        }
        if self.bytes.len() + term.len() > COMMIT_BYTES_MAX {
            return Err(CommitError::TooLarge);
        }
        let Self { bytes, terms, table, hasher, postings, .. } = self;
        let hash = hasher.hash_one(term);
        let new = len32(postings);
        match table.find(hash, |place| terms[*place as usize].bytes(bytes) == term) {
            Some(place) => {
                let last = &mut terms[*place as usize].chain.1;
                if postings[*last as usize].doc == doc {
                    return Ok(());
                }
                postings[*last as usize].next = new;
                *last = new;
            }
            None => {
                let place = len32(terms);
                terms.push(Term { at: len32(bytes), len: len32(term), chain: (new, new) });
                bytes.extend_from_slice(term);
                table
                    .insert_unique(hash, place, |place| hasher.hash_one(terms[*place as usize].bytes(bytes)));
            }
        }
        postings.push(Posting { doc, next: new });
        Ok(())
    }

    /// How many documents were added.
    pub const fn documents(&self) -> u32 {
        self.documents
    }

    /// Whether no document was added.
    pub const fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// The first document; 0 when there is none.
    pub const fn first(&self) -> Doc {
        self.first
    }

    /// The documents that it covers.
    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds { first: self.first, last: self.last }
    }

    /// How many pairs of term and document there are.
    pub(crate) const fn postings(&self) -> usize {
        self.postings.len()
    }

    /// (by, superseded), rising by the first.
    pub(crate) fn superseded(&self) -> &[(Doc, Doc)] {
        &self.superseded
    }

    /// How many terms begin with these bytes.
    pub(crate) fn count_prefix(&self, prefix: &[u8]) -> usize {
        self.terms.iter().filter(|term| term.bytes(&self.bytes).starts_with(prefix)).count()
    }

    /// Gives every term, in order, with its documents to `take`. The commit takes no further ones then.
    pub(crate) fn for_each<E>(
        &mut self,
        mut take: impl FnMut(&[u8], &[Doc]) -> Result<(), E>,
    ) -> Result<(), E> {
        // Only adding needs the table; what follows takes as much memory again.
        self.table = HashTable::new();
        let Self { bytes, terms, postings, .. } = &*self;
        let whole = |place: u32| terms[place as usize].bytes(bytes);
        // The first bytes of each term, big end first: most comparisons end there.
        let mut order: Vec<(u128, u32)> =
            (0..len32(terms)).map(|place| (head_of(whole(place)), place)).collect();
        order.sort_unstable_by(|left, right| {
            left.0.cmp(&right.0).then_with(|| whole(left.1).cmp(whole(right.1)))
        });
        let mut docs = Vec::new();
        for (_, place) in order {
            docs.clear();
            let (mut at, last) = terms[place as usize].chain;
            docs.push(postings[at as usize].doc);
            while at != last {
                at = postings[at as usize].next;
                docs.push(postings[at as usize].doc);
            }
            take(whole(place), &docs)?;
        }
        Ok(())
    }

    /// Sorts everything.
    pub(crate) fn into_run(mut self) -> Run {
        let superseded = std::mem::take(&mut self.superseded);
        let mut run = Run::new(self.first, self.last, self.documents, superseded);
        let Ok(()) = self.for_each(|term, docs| {
            run.begin(term);
            run.post_all(docs);
            Ok::<(), Infallible>(())
        });
        run
    }
}
