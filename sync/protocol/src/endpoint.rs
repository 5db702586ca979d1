//! Endpoints: where each message goes.

use std::fmt;

use crate::hash::Hash;
use crate::id::Id;

/// An HTTP method.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// PATCH.
    Patch,
    /// POST.
    Post,
}

/// A place on the server. `Display` gives its path.
///
/// ```
/// use keepwell_protocol::{Endpoint, Method};
/// assert_eq!(Endpoint::Push.to_string(), "/sync/v1/push");
/// assert_eq!(Endpoint::Push.method(), Method::Post);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// [`Hello`](crate::Hello).
    Hello,
    /// The signed pins of the server, as text.
    Pins,
    /// The bytes of a dictionary.
    Dictionary(Hash),
    /// [`EnrolRequest`](crate::EnrolRequest), [`EnrolReply`](crate::EnrolReply).
    Enrol,
    /// [`PushRequest`](crate::PushRequest), [`PushReply`](crate::PushReply).
    Push,
    /// [`PullRequest`](crate::PullRequest), [`PullReply`](crate::PullReply).
    Pull,
    /// [`ParkRequest`](crate::ParkRequest), [`ParkReply`](crate::ParkReply).
    Park,
    /// [`DigestRequest`](crate::DigestRequest), [`DigestReply`](crate::DigestReply).
    Digest,
    /// [`Hint`](crate::Hint)s.
    Events,
    /// Whether a blob is there, and its size.
    BlobSize(Hash),
    /// The bytes of a blob, or a `Range` of them.
    Blob(Hash),
    /// [`NewUpload`](crate::NewUpload), [`Upload`](crate::Upload).
    Uploads,
    /// A chunk, [`Upload`](crate::Upload).
    Chunk(Id),
    /// [`LeaseRequest`](crate::LeaseRequest), [`Lease`](crate::Lease).
    Lease,
    /// [`UpkeepRequest`](crate::UpkeepRequest), [`UpkeepReply`](crate::UpkeepReply).
    Upkeep,
    /// [`WipeReceipt`](crate::WipeReceipt).
    WipeReceipt,
}

impl Endpoint {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Hello | Self::Pins | Self::Dictionary(_) | Self::Events | Self::Blob(_) => Method::Get,
            Self::BlobSize(_) => Method::Head,
            Self::Chunk(_) => Method::Patch,
            Self::Enrol
            | Self::Push
            | Self::Pull
            | Self::Park
            | Self::Digest
            | Self::Uploads
            | Self::Lease
            | Self::Upkeep
            | Self::WipeReceipt => Method::Post,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/sync/v1/")?;
        match self {
            Self::Hello => f.write_str("hello"),
            Self::Pins => f.write_str("pins"),
            Self::Dictionary(id) => write!(f, "dict/{id}"),
            Self::Enrol => f.write_str("enrol"),
            Self::Push => f.write_str("push"),
            Self::Pull => f.write_str("pull"),
            Self::Park => f.write_str("park"),
            Self::Digest => f.write_str("digest"),
            Self::Events => f.write_str("events"),
            Self::BlobSize(hash) | Self::Blob(hash) => write!(f, "blob/{hash}"),
            Self::Uploads => f.write_str("uploads"),
            Self::Chunk(id) => write!(f, "uploads/{id}"),
            Self::Lease => f.write_str("lease"),
            Self::Upkeep => f.write_str("upkeep"),
            Self::WipeReceipt => f.write_str("wipe-ack"),
        }
    }
}
