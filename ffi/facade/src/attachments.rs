//! Files, photos and other content that is kept apart from its resource.

use std::fs::{self, File};

use keepwell_store::Error;

use crate::boundary::{Result, call, wait};
use crate::options::range;
use crate::records::{Written, count, kind};
use crate::session::new_file;

/// Files, photos and other content that is kept apart from its resource, encrypted, and never whole in memory when it
/// comes from a file or goes to one.
#[derive(uniffi::Object)]
pub struct Attachments {
    session: keepwell_store::Session,
}

impl Attachments {
    pub(crate) fn new(session: keepwell_store::Session) -> Self {
        Self { session }
    }
}

#[uniffi::export]
impl Attachments {
    /// Creates a Binary from bytes.
    ///
    /// # Errors
    /// 109 for a content type that is none.
    pub fn add(&self, content_type: String, content: Vec<u8>) -> Result<Written> {
        call(|| self.session.create_binary(&content_type, &mut content.as_slice()).map(Into::into))
    }

    /// Creates a Binary from a file.
    ///
    /// # Errors
    /// As [`Self::add`]; 521 about the file.
    pub async fn add_file(&self, content_type: String, path: String) -> Result<Written> {
        let session = self.session.clone();
        wait(move || {
            let mut file = File::open(&path)
                .map_err(|error| Error::Io { step: "opening a file to attach", kind: error.kind() })?;
            session.create_binary(&content_type, &mut file).map(Written::from)
        })
        .await
    }

    /// The decoded content of the `index`-th large attachment of a resource.
    ///
    /// # Errors
    /// 101 also when the resource has fewer.
    #[uniffi::method(default(index = 0))]
    pub async fn read(&self, resource_type: String, id: String, index: i32) -> Result<Vec<u8>> {
        let session = self.session.clone();
        wait(move || {
            let mut content = Vec::new();
            session.read_attachment(kind(&resource_type)?, &id, range(index)?, &mut content)?;
            Ok::<_, Error>(content)
        })
        .await
    }

    /// As [`Self::read`], into a new file in clear; gives its length.
    ///
    /// # Errors
    /// As [`Self::read`]; 521 about the file, also when there is one.
    #[uniffi::method(default(index = 0))]
    pub async fn save(&self, resource_type: String, id: String, path: String, index: i32) -> Result<i64> {
        let session = self.session.clone();
        wait(move || {
            let (kind, index) = (kind(&resource_type)?, range(index)?);
            let mut out = new_file(&path)?;
            // Half of a photo is none.
            let done = session.read_attachment(kind, &id, index, &mut out);
            done.map(count).inspect_err(|_| drop(fs::remove_file(&path)))
        })
        .await
    }
}
