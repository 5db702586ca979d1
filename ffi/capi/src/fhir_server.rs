//! Sync with a plain FHIR server, and the tokens that it wants.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use keepwell_client::{DeviceSync, FhirServer, SearchError, TokenProvider, Writes};
use keepwell_protocol::Secret;

use crate::boundary::{boundary, callback};
use crate::error::{Bug, Failure};
use crate::handle::{KeepwellError, KeepwellSync};
use crate::input::KeepwellText;
use crate::registry;
use crate::sync::take_content;

/// What is written to a plain FHIR server.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepwellWrites {
    /// Edits, if the server was seen to refuse writes on old versions.
    Guarded = 0,
    /// Nothing: the device reads.
    Never = 1,
    /// Edits, whatever the server does: between a look and a write another one's write may be overwritten.
    Consented = 2,
}

/// A plain FHIR server, and what is held of it. Zeros stand for what is usual.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeepwellFhirServer {
    /// Its address: "https://host/fhir".
    pub address: KeepwellText,
    /// The certificates of the authorities that may vouch for it, in PEM.
    pub authorities: KeepwellText,
    /// The searches whose results are held, one a line, such as "Patient/7/$everything".
    pub searches: KeepwellText,
    /// A bearer token that does not expire, kept in the encrypted store. It may be left out.
    pub token: KeepwellText,
    /// A `KeepwellWrites`.
    pub writes: i32,
    /// Accepts TLS 1.2 from it.
    pub allow_tls12: bool,
}

/// Gives a bearer token for a plain FHIR server: calls `give` with it and returns 0; anything else, or no token, and the
/// round stops with problem 448 and is tried again later. Called when there is no token yet, and with `refused` when the
/// server has just refused the last one. It runs on the thread that syncs, that of `keepwell_sync_run` or the one of
/// `keepwell_sync_start`, and by one thread at a time; it may block, and whoever ends the round waits for it then. It must
/// not call this library, and nothing may be thrown out of it.
pub type KeepwellTokenProvider = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        refused: bool,
        give: unsafe extern "C" fn(to: *mut c_void, token: *const c_char, length: usize),
        to: *mut c_void,
    ) -> i32,
>;

/// A callback of the host, as sync asks it.
struct HostTokens {
    call: unsafe extern "C" fn(
        *mut c_void,
        bool,
        unsafe extern "C" fn(*mut c_void, *const c_char, usize),
        *mut c_void,
    ) -> i32,
    context: *mut c_void,
}

// SAFETY: the header demands a function that any thread may call with its context.
unsafe impl Send for HostTokens {}
// SAFETY: as above; sync makes one call at a time.
unsafe impl Sync for HostTokens {}

impl TokenProvider for HostTokens {
    fn token(&self, is_refused: bool) -> Option<Secret> {
        let mut token: Vec<u8> = Vec::new();
        let to = ptr::from_mut(&mut token).cast();
        // SAFETY: the vector lives during the call, and nobody else writes to it.
        let answer = callback(|| unsafe { (self.call)(self.context, is_refused, take_content, to) });
        let token = String::from_utf8(token).ok()?;
        (answer == 0).then(|| Secret::new(token))
    }
}

/// Syncs with a plain FHIR server from now on: what is saved is sent, and so is what is in the store already. For a server
/// that was named before, it sets another token, other searches and other rules; its address stays. Nothing is asked of
/// the server yet.
///
/// Code 117: not a search that can be kept up to date; 418: enrolled with another server; 420: sync goes on at the moment;
/// 457, 459: its authorities or its address cannot be used.
///
/// # Safety
/// `server` points to one whose texts are as they say, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_enrol_fhir(
    sync: KeepwellSync,
    server: *const KeepwellFhirServer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let sync = registry::get::<DeviceSync>(sync.id)?;
        // SAFETY: by the contract above; null is looked for.
        let server = unsafe { server_of(server.as_ref().ok_or(Bug::Null)?) }?;
        Ok(sync.fhir().attach(&server)?)
    })
}

/// Asks `provider` for the tokens of a plain FHIR server from now on; null: nobody. It is not kept: set it each time the
/// program starts, before the first round. It goes before a token of `keepwell_sync_enrol_fhir`.
///
/// # Safety
/// `provider` may be called with `context` from any thread until another is set or the handle is freed, and until the
/// calls of this handle that are under way then have returned; `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_sync_set_token_provider(
    sync: KeepwellSync,
    provider: KeepwellTokenProvider,
    context: *mut c_void,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let tokens = provider.map(|call| Arc::new(HostTokens { call, context }) as Arc<dyn TokenProvider>);
        registry::get::<DeviceSync>(sync.id)?.fhir().set_token_provider(tokens);
        Ok(())
    })
}

/// # Safety
/// Its texts are as [`KeepwellText::bytes`] demands.
unsafe fn server_of(server: &KeepwellFhirServer) -> Result<FhirServer, Failure> {
    // SAFETY: by the same contract.
    let (address, authorities) = unsafe { (server.address.text()?, server.authorities.bytes()?) };
    // SAFETY: by the same contract.
    let (searches, token) = unsafe { (server.searches.text()?, server.token.given()?) };
    let searches = searches.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::parse);
    let searches = searches.collect::<Result<_, SearchError>>();
    let unkept = |_| keepwell_store::Error::Argument("not a search that can be kept up to date");
    let mut made = FhirServer::new(address, authorities, searches.map_err(unkept)?);
    made.token = token.map(|token| Secret::new(token.to_owned()));
    made.allow_tls12 = server.allow_tls12;
    made.writes = match server.writes {
        0 => Writes::Guarded,
        1 => Writes::Never,
        2 => Writes::Consented,
        _ => return Err(Bug::Value.into()),
    };
    Ok(made)
}
