//! Requests over pinned TLS, with zstd and the built-in dictionary both ways.
//!
//! Answers of many lines are read as they come: a line is parsed when it is whole, and what was compressed is never
//! held. Calls block on a runtime of this transport's own, on the caller's thread.
//!
//! Invariant: pins that have expired, like a server that is away, fail what is asked for and not the round that asks: a
//! device without a way to its server still counts its lease down.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_ENCODING, HeaderMap, RANGE, RETRY_AFTER};
use hyper::{Request as HttpRequest, Response};
use keepwell_engine::{Answer, Failure, Request, Traffic};
use keepwell_protocol::{
    DICTIONARY, Dictionary, Document, Encoding, Endpoint, EnrolReply, EnrolRequest, Hint, Message, Method,
    ParkReply, ParkRequest, Part, PullReply, PushEnd, PushReply, PushRequest, Reader, Refusal, UPLOAD_OFFSET,
    UpkeepReply, UpkeepRequest, WipeReceipt, Writer, from_bytes, from_encoded, to_encoded,
};
use keepwell_tls::{Address, ClientSettings, HttpBody, HttpClient, HttpLimits};
use tokio::runtime::Runtime;

use crate::control::Cancel;
use crate::error::{Error, Result};
use crate::signal::Signal;
use crate::transport::{Exchange, Transport};

/// How long to wait before the stream of hints is asked for again.
const EVENTS_AGAIN: Duration = Duration::from_secs(5);
/// The longest line of a stream of hints in bytes.
const HINT_BYTES_MAX: usize = 64 << 10;
/// Where the server gives its signed pins.
const PINS: &str = "/sync/v1/pins";
/// The longest document of pins in bytes.
const PINS_BYTES_MAX: usize = 64 << 10;
/// The code of a request that its caller cancelled.
pub(crate) const CANCELLED: u16 = 419;

/// A server at the other end of pinned TLS.
pub struct HttpTransport {
    runtime: Runtime,
    settings: ClientSettings,
    address: Address,
    /// Made at the first call that the settings hold for.
    client: OnceCell<HttpClient>,
    dictionary: Dictionary,
    events: Option<Events>,
    events_at: Option<Instant>,
}

/// An open stream of hints.
struct Events {
    body: HttpBody,
    line: Vec<u8>,
}

/// What an exchange has cost so far.
#[derive(Default)]
struct Meter(Traffic);

impl HttpTransport {
    /// A transport to the server at `address`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Connection`] when the operating system refuses. Settings that do not hold, as when the pins have expired,
    /// are an error of each call.
    pub fn new(settings: ClientSettings, address: Address) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| keepwell_tls::Error::of_connection(&error))?;
        let dictionary = Dictionary::built_in();
        Ok(Self {
            runtime,
            settings,
            address,
            client: OnceCell::new(),
            dictionary,
            events: None,
            events_at: None,
        })
    }

    fn client(&self) -> Result<&HttpClient, keepwell_tls::Error> {
        match self.client.get() {
            Some(client) => Ok(client),
            None => {
                let client = HttpClient::new(&self.settings, self.address.clone(), HttpLimits::default())?;
                Ok(self.client.get_or_init(|| client))
            }
        }
    }

    /// Sends a document by itself, and reads the one that comes back.
    fn ask<T: Document>(&self, endpoint: Endpoint, request: &impl Document) -> Result<T> {
        let encoding = Encoding::Identity;
        let body = to_encoded(request, &encoding);
        let call = Call { endpoint, body, encoding, headers: HeaderMap::new() };
        self.runtime.block_on(async {
            let mut meter = Meter::default();
            match self.send(call, &mut meter).await? {
                Ok(response) => Ok(document(response, &self.dictionary, &mut meter).await?),
                Err(refusal) => Err(refusal.into()),
            }
        })
    }

    /// Uses an invitation.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Connection`], [`Error::Message`].
    pub(crate) fn enrol(&self, request: &EnrolRequest) -> Result<EnrolReply> {
        self.ask(Endpoint::Enrol, request)
    }

    /// The pins of the server, signed by its operator.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Connection`].
    pub(crate) fn pins(&self) -> Result<String> {
        self.runtime.block_on(async {
            let request = HttpRequest::get(PINS).body(Bytes::new()).expect("a path is a target");
            let response = self.client()?.send(request).await?;
            let status = response.status();
            let body = response.into_body().whole().await?;
            if !status.is_success() {
                return Err(Refusal::from_response(status.as_u16(), None, &body).into());
            }
            let text = String::from_utf8(body).ok().filter(|text| text.len() <= PINS_BYTES_MAX);
            text.ok_or(Error::Connection(keepwell_tls::Error::PinSet))
        })
    }

    async fn send(
        &self,
        call: Call,
        meter: &mut Meter,
    ) -> Result<std::result::Result<Response<HttpBody>, Refusal>, keepwell_tls::Error> {
        let path = call.endpoint.to_string();
        let method = match call.endpoint.method() {
            Method::Get => hyper::Method::GET,
            Method::Head => hyper::Method::HEAD,
            Method::Patch => hyper::Method::PATCH,
            Method::Post => hyper::Method::POST,
        };
        let mut request = HttpRequest::new(Bytes::from(call.body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path of ids and hashes");
        *request.headers_mut() = call.headers;
        let headers = request.headers_mut();
        headers.insert(DICTIONARY, self.dictionary.id().to_string().parse().expect("base64url is a value"));
        if let Some(name) = call.encoding.name() {
            headers.insert(CONTENT_ENCODING, name.parse().expect("a word is a value"));
        }
        meter.sent(path.len() + request.method().as_str().len(), request.headers(), request.body().len());
        let response = self.client()?.send(request).await?;
        meter.received_head(response.headers());
        let status = response.status();
        if status.is_success() {
            return Ok(Ok(response));
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = whole(response.into_body(), meter).await?;
        Ok(Err(Refusal::from_response(status.as_u16(), after, &body)))
    }

    async fn carry_out(&self, request: &Request, payload: &[u8], meter: &mut Meter) -> Result<Answer> {
        let response = match self.send(self.call(request, payload), meter).await? {
            Ok(response) => response,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let dictionary = &self.dictionary;
        Ok(match request {
            Request::Hello => Answer::Hello(document(response, dictionary, meter).await?),
            Request::Push { .. } => {
                let (mut head, mut settlements) = (None, Vec::new());
                let fault = lines::<PushReply>(response, dictionary, meter, |part| match part {
                    Part::Head(first) => head = Some(first),
                    Part::Item(settlement) => settlements.push(settlement),
                    Part::End(_) => {}
                })
                .await?;
                match (head, fault) {
                    (Some(head), fault) => Answer::Push { head, settlements, fault },
                    (None, fault) => return Err(cut_off(fault)),
                }
            }
            Request::Pull(_) => {
                let (mut head, mut items, mut end) = (None, Vec::new(), None);
                let fault = lines::<PullReply>(response, dictionary, meter, |part| match part {
                    Part::Head(first) => head = Some(first),
                    Part::Item(item) => items.push(item),
                    Part::End(last) => end = Some(last),
                })
                .await?;
                let Some(head) = head else { return Err(cut_off(fault)) };
                let end = match (end, fault) {
                    (_, Some(fault)) => Err(fault),
                    (Some(end), None) => Ok(end),
                    (None, None) => Err(keepwell_protocol::Error::Truncated),
                };
                Answer::Pull { head, items, end }
            }
            Request::Park { .. } => Answer::Park(document::<ParkReply>(response, dictionary, meter).await?),
            Request::Lease(_) => Answer::Lease(document(response, dictionary, meter).await?),
            Request::NewUpload(_) | Request::UploadChunk { .. } => {
                Answer::Upload(document(response, dictionary, meter).await?)
            }
            Request::DownloadChunk { .. } => Answer::Chunk(whole(response.into_body(), meter).await?),
        })
    }

    fn call(&self, request: &Request, payload: &[u8]) -> Call {
        let encoding = Encoding::Dictionary(self.dictionary.clone());
        let mut headers = HeaderMap::new();
        let (endpoint, body) = match request {
            Request::Hello => (Endpoint::Hello, None),
            Request::Push { head, mutations } => {
                let mut writer = Writer::<PushRequest>::new(&encoding, head);
                mutations.iter().for_each(|mutation| writer.item(mutation));
                (Endpoint::Push, Some(writer.finish(PushEnd { n: mutations.len() as u64 })))
            }
            Request::Pull(request) => (Endpoint::Pull, Some(to_encoded(request, &encoding))),
            Request::Park { head, records } => {
                let mut writer = Writer::<ParkRequest>::new(&encoding, head);
                records.iter().for_each(|record| writer.item(record));
                (Endpoint::Park, Some(writer.finish(PushEnd { n: records.len() as u64 })))
            }
            Request::Lease(request) => (Endpoint::Lease, Some(to_encoded(request, &encoding))),
            Request::NewUpload(upload) => (Endpoint::Uploads, Some(to_encoded(upload, &encoding))),
            Request::UploadChunk { upload, offset, .. } => {
                headers.insert(UPLOAD_OFFSET, (*offset).into());
                let (endpoint, body) = (Endpoint::Chunk(upload.clone()), payload.to_vec());
                return Call { endpoint, body, encoding: Encoding::Identity, headers };
            }
            Request::DownloadChunk { blob, offset, length } => {
                let last = offset + length.saturating_sub(1);
                let range = format!("bytes={offset}-{last}").parse().expect("digits are a value");
                headers.insert(RANGE, range);
                (Endpoint::Blob(blob.sha256), None)
            }
        };
        match body {
            Some(body) => Call { endpoint, body, encoding, headers },
            None => Call { endpoint, body: Vec::new(), encoding: Encoding::Identity, headers },
        }
    }

    async fn open_events(&self) -> Option<Events> {
        let request = HttpRequest::get(Endpoint::Events.to_string())
            .header(ACCEPT, "text/event-stream")
            .body(Bytes::new())
            .expect("a path is a target");
        let response = self.client().ok()?.send_apart(request).await.ok()?;
        response.status().is_success().then(|| Events { body: response.into_body(), line: Vec::new() })
    }
}

impl Transport for HttpTransport {
    fn exchange(&mut self, request: &Request, payload: &[u8], cancel: &Cancel) -> Exchange {
        let mut meter = Meter::default();
        let answer = self.runtime.block_on(async {
            tokio::select! {
                answer = self.carry_out(request, payload, &mut meter) => Some(answer),
                () = cancel.cancelled() => None,
            }
        });
        let answer = match answer {
            Some(Ok(answer)) => answer,
            Some(Err(Error::Message(error))) => Answer::Failed(Failure::Message(error)),
            Some(Err(error)) => Answer::Failed(Failure::Connection { code: error.code() }),
            None => Answer::Failed(Failure::Connection { code: CANCELLED }),
        };
        Exchange { answer, traffic: meter.0 }
    }

    fn wait(&mut self, timeout: Option<Duration>, signal: &Signal) -> Option<Hint> {
        let runtime = &self.runtime;
        let is_due = self.events_at.is_none_or(|at| at <= Instant::now());
        if self.events.is_none() && is_due {
            self.events = runtime.block_on(self.open_events());
            self.events_at = Some(Instant::now() + EVENTS_AGAIN);
        }
        // Without hints, come back when they may be had again.
        let timeout = match (&self.events, timeout) {
            (None, None) => Some(EVENTS_AGAIN),
            (_, timeout) => timeout,
        };
        let events = &mut self.events;
        let heard = runtime.block_on(async {
            let heard = async {
                match events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            let slept = async {
                match timeout {
                    Some(timeout) => tokio::time::sleep(timeout).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                heard = heard => Some(heard),
                () = signal.raised() => None,
                () = slept => None,
            }
        });
        match heard {
            Some(Some(hint)) => Some(hint),
            Some(None) => {
                self.events = None;
                None
            }
            None => None,
        }
    }

    fn upkeep(&mut self, request: &UpkeepRequest) -> Result<UpkeepReply> {
        self.ask(Endpoint::Upkeep, request)
    }

    fn send_receipt(&mut self, receipt: &WipeReceipt) -> Result<()> {
        let encoding = Encoding::Identity;
        let body = to_encoded(receipt, &encoding);
        let call = Call { endpoint: Endpoint::WipeReceipt, body, encoding, headers: HeaderMap::new() };
        let sent = self.runtime.block_on(self.send(call, &mut Meter::default()))?;
        sent.map(|_| ()).map_err(Error::from)
    }
}

/// A request before it is one of HTTP.
struct Call {
    endpoint: Endpoint,
    body: Vec<u8>,
    encoding: Encoding,
    headers: HeaderMap,
}

impl Events {
    /// The next hint; none when the stream has ended. What was read of a line is kept if this is given up.
    async fn next(&mut self) -> Option<Hint> {
        loop {
            while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                let hint = line.strip_prefix(b"data:").and_then(|data| from_bytes(data.trim_ascii()).ok());
                if hint.is_some() {
                    return hint;
                }
            }
            if self.line.len() > HINT_BYTES_MAX {
                return None;
            }
            let part = self.body.next().await.ok()??;
            self.line.extend_from_slice(&part);
        }
    }
}

impl Meter {
    fn sent(&mut self, line: usize, headers: &HeaderMap, body: usize) {
        // "POST /path HTTP/1.1" and the two headers that hyper adds.
        const AROUND: usize =
            " HTTP/1.1\r\n".len() + 1 + "host: 127.0.0.1:00000\r\n".len() + "content-length: 000\r\n".len();
        let head = (line + AROUND + head_bytes(headers)) as u64;
        self.0.heads += head;
        self.0.sent += head + body as u64;
    }

    fn received_head(&mut self, headers: &HeaderMap) {
        let head = ("HTTP/1.1 200 OK\r\n".len() + head_bytes(headers)) as u64;
        self.0.heads += head;
        self.0.received += head;
    }

    fn received(&mut self, bytes: usize) {
        self.0.received += bytes as u64;
    }
}

pub(crate) fn head_bytes(headers: &HeaderMap) -> usize {
    const AROUND: usize = ": \r\n".len();
    let lines = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND);
    lines.sum::<usize>() + "\r\n".len()
}

fn encoding_of(headers: &HeaderMap, dictionary: &Dictionary) -> Result<Encoding> {
    let name = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default());
    Ok(Encoding::from_name(name, Some(dictionary))?)
}

async fn whole(mut body: HttpBody, meter: &mut Meter) -> Result<Vec<u8>, keepwell_tls::Error> {
    let mut whole = Vec::new();
    while let Some(part) = body.next().await? {
        meter.received(part.len());
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

async fn document<T: Document>(
    response: Response<HttpBody>,
    dictionary: &Dictionary,
    meter: &mut Meter,
) -> Result<T> {
    let encoding = encoding_of(response.headers(), dictionary)?;
    Ok(from_encoded(&whole(response.into_body(), meter).await?, &encoding)?)
}

/// Reads a message of many lines part by part; gives what stopped it.
async fn lines<M: Message>(
    response: Response<HttpBody>,
    dictionary: &Dictionary,
    meter: &mut Meter,
    mut each: impl FnMut(Part<M>),
) -> Result<Option<keepwell_protocol::Error>> {
    let mut reader = Reader::<M>::new(&encoding_of(response.headers(), dictionary)?);
    let mut body = response.into_body();
    loop {
        let bytes = match body.next().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(reader.finish().err()),
            // The connection broke: whole lines are good.
            Err(_) => return Ok(Some(keepwell_protocol::Error::Truncated)),
        };
        meter.received(bytes.len());
        let mut rest = &bytes[..];
        loop {
            match reader.next(&mut rest) {
                Ok(Some(part)) => each(part),
                Ok(None) => break,
                Err(error) => return Ok(Some(error)),
            }
        }
    }
}

fn cut_off(fault: Option<keepwell_protocol::Error>) -> Error {
    Error::Message(fault.unwrap_or(keepwell_protocol::Error::Truncated))
}

impl std::fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpTransport").field("address", &self.address).finish_non_exhaustive()
    }
}
