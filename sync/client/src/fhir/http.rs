//! Requests of the engine as HTTP over TLS. Calls block on a runtime of this transport's own, on the caller's thread.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};
use hyper::{Method as HttpMethod, Request as HttpRequest};
use jiff::fmt::rfc2822::DateTimeParser;
use keepwell_engine::Traffic;
use keepwell_fhir::Instant;
use keepwell_plain::{Answer, Method, Problem, Reply, Request};
use keepwell_protocol::Secret;
use keepwell_tls::{HttpClient, HttpLimits};
use tokio::runtime::Runtime;

use super::record::FhirServer;
use super::tokens::Tokens;
use crate::control::Cancel;
use crate::error::Result;
use crate::http::{CANCELLED, head_bytes};
use crate::signal::Signal;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// A FHIR server at the other end of TLS.
pub(super) struct FhirHttp {
    runtime: Runtime,
    client: HttpClient,
    /// The path of the server's address, without a slash at its end.
    path: String,
    /// The token that is kept with the server.
    token: Option<Secret>,
    tokens: Tokens,
}

impl FhirHttp {
    /// A way to `server`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`crate::Error::Connection`] when its address or its authorities cannot be used.
    pub(super) fn new(server: &FhirServer, tokens: Tokens) -> Result<Self> {
        let (settings, address, path) = server.settings()?;
        let client = HttpClient::unpinned(&settings, address, HttpLimits::default())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| keepwell_tls::Error::of_connection(&error))?;
        Ok(Self { runtime, client, path, token: server.token.clone(), tokens })
    }

    /// Carries out a request. A failure is an answer too. Where an app gives the tokens, one that is refused is replaced
    /// once: what met a 401 was not carried out.
    pub(super) fn exchange(&self, request: &Request, cancel: &Cancel) -> (Answer, Traffic) {
        let mut traffic = Traffic::default();
        let mut answer = self.attempt(request, false, cancel, &mut traffic);
        let is_refused = matches!(&answer, Answer::Reply(reply) if reply.status == 401);
        if is_refused && self.tokens.are_provided() && !cancel.is_cancelled() {
            answer = self.attempt(request, true, cancel, &mut traffic);
        }
        (answer, traffic)
    }

    fn attempt(&self, request: &Request, is_refused: bool, cancel: &Cancel, traffic: &mut Traffic) -> Answer {
        let Ok(bearer) = self.tokens.bearer(self.token.as_ref(), is_refused) else {
            return Answer::Failed { code: Problem::NoToken.code() };
        };
        let answer = self.runtime.block_on(async {
            tokio::select! {
                answer = self.carry_out(request, bearer, traffic) => Some(answer),
                () = cancel.cancelled() => None,
            }
        });
        match answer {
            Some(Ok(reply)) => Answer::Reply(reply),
            Some(Err(error)) => Answer::Failed { code: error.code() },
            None => Answer::Failed { code: CANCELLED },
        }
    }

    /// Waits until `signal` is raised or `timeout`, if there is one, is over.
    pub(super) fn wait(&self, timeout: Option<Duration>, signal: &Signal) {
        self.runtime.block_on(async {
            match timeout {
                None => signal.raised().await,
                Some(timeout) => {
                    // That nothing was raised is what it waited for.
                    let _ = tokio::time::timeout(timeout, signal.raised()).await;
                }
            }
        });
    }

    async fn carry_out(
        &self,
        request: &Request,
        bearer: Option<HeaderValue>,
        traffic: &mut Traffic,
    ) -> std::result::Result<Reply, keepwell_tls::Error> {
        let http = self.http(request, bearer).ok_or(keepwell_tls::Error::Address)?;
        let line = http.method().as_str().len() + http.uri().path().len();
        traffic.sent += (line + head_bytes(http.headers()) + http.body().len()) as u64;
        let response = self.client.send(http).await?;
        let (head, body) = response.into_parts();
        traffic.received += head_bytes(&head.headers) as u64;
        let body = body.whole().await?;
        traffic.received += body.len() as u64;
        let text = |name| text(&head.headers, name);
        let date = text(DATE).and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        Ok(Reply {
            status: head.status.as_u16(),
            version: text(ETAG).and_then(version).map(str::to_owned),
            location: text(LOCATION).map(str::to_owned),
            date: date.map(|date| Instant::from_ms(date.as_millisecond())),
            retry_after_s: text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()),
            body,
        })
    }

    /// The request as one of HTTP; none if it has characters that none has.
    fn http(&self, request: &Request, bearer: Option<HeaderValue>) -> Option<HttpRequest<Bytes>> {
        let method = match request.method {
            Method::Get => HttpMethod::GET,
            Method::Post => HttpMethod::POST,
            Method::Put => HttpMethod::PUT,
            Method::Delete => HttpMethod::DELETE,
        };
        let slash = if request.target.starts_with('?') && !self.path.is_empty() { "" } else { "/" };
        let target = format!("{}{slash}{}", self.path, request.target);
        let mut builder = HttpRequest::builder().method(method).uri(target).header(ACCEPT, FHIR_JSON);
        if let Some(bearer) = bearer {
            builder = builder.header(AUTHORIZATION, bearer);
        }
        if let Some(version) = &request.if_match {
            builder = builder.header(IF_MATCH, format!("W/\"{version}\""));
        }
        if request.if_none_match {
            builder = builder.header(IF_NONE_MATCH, "*");
        }
        if let Some(query) = &request.if_none_exist {
            builder = builder.header(IF_NONE_EXIST, query);
        }
        if request.body.is_some() {
            builder = builder.header(CONTENT_TYPE, FHIR_JSON).header(PREFER, "return=representation");
        }
        builder.body(Bytes::from(request.body.clone().unwrap_or_default())).ok()
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// The version of an ETag such as `W/"7"`.
fn version(etag: &str) -> Option<&str> {
    etag.strip_prefix("W/").unwrap_or(etag).strip_prefix('"')?.strip_suffix('"')
}
