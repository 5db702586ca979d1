//! What the host program allows at the moment.

/// What sync may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Nothing is sent, not even what is waiting.
    pub is_paused: bool,
    /// The network costs money: attachments wait, but for those that somebody asked for, and so do the edits that name
    /// new ones.
    pub is_metered: bool,
    /// Attachments come only when somebody asks for them.
    pub is_on_demand: bool,
    /// Nobody looks: pauses after failures grow up to an hour, and no request waits for news.
    pub is_background: bool,
    /// A request for news may wait at the server, in milliseconds, if no hints come in.
    pub wait_ms: u32,
}
