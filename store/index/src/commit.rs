//! A commit: the terms of the documents that one transaction of the host adds.
//!
//! Invariant: documents rise, and each supersedes an earlier one or none.

use crate::Doc;
use crate::bytes::len32;
use crate::error::CommitError;
use crate::merged::head_of;
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
    bytes: Vec<u8>,
    postings: Vec<Posting>,
    superseded: Vec<(Doc, Doc)>,
    first: Doc,
    last: Doc,
    documents: u32,
}

/// One term of one document.
#[derive(Clone, Copy, Debug)]
struct Posting {
    /// The first bytes of the term, big end first: most comparisons of the sort end here.
    head: u128,
    at: u32,
    len: u32,
    doc: Doc,
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
        let (at, len) = (len32(&self.bytes), len32(term));
        self.postings.push(Posting { head: head_of(term), at, len, doc });
        self.bytes.extend_from_slice(term);
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

    /// Sorts everything.
    pub(crate) fn into_run(mut self) -> Run {
        let bytes = &self.bytes;
        let term = |posting: &Posting| &bytes[posting.at as usize..][..posting.len as usize];
        self.postings.sort_unstable_by(|left, right| {
            left.head
                .cmp(&right.head)
                .then_with(|| {
                    // Terms of up to 16 bytes are told apart by the head, but for zeros at the end.
                    if left.len.max(right.len) > 16 || left.len != right.len {
                        term(left).cmp(term(right))
                    } else {
                        std::cmp::Ordering::Equal
                    }
                })
                .then(left.doc.cmp(&right.doc))
        });
        let mut run = Run::new(self.first, self.last, self.documents, self.superseded);
        let mut last: Option<&Posting> = None;
        for posting in &self.postings {
            let same = last.is_some_and(|last| last.head == posting.head && term(last) == term(posting));
            if !same {
                run.begin(term(posting));
            }
            if !same || last.is_some_and(|last| last.doc != posting.doc) {
                run.post(posting.doc);
            }
            last = Some(posting);
        }
        run
    }
}
