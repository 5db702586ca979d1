//! An answer that is no failure, and how it is written into HTTP.

use axum::body::Body;
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use keepwell_fhir::{Instant, ResourceType};

use super::headers::FHIR_JSON;

/// A version of a resource that an answer is about.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) resource_type: ResourceType,
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) last_updated: Instant,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) about: Option<About>,
    pub(super) body: Vec<u8>,
    /// The type of the body, if it is not FHIR.
    pub(super) raw: Option<String>,
}

impl Answer {
    /// A resource that no version stands for: a Bundle, an OperationOutcome.
    pub(super) fn of(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, about: None, body, raw: None }
    }

    pub(super) fn into_response(self, base: &str) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.body.is_empty() {
            match &self.raw {
                None => {
                    headers.insert(CONTENT_TYPE, FHIR_JSON);
                }
                // Whatever somebody has stored: a browser is not to run it as a page of this server.
                Some(media_type) => {
                    let media_type = HeaderValue::try_from(media_type.as_str());
                    let unknown = HeaderValue::from_static("application/octet-stream");
                    headers.insert(CONTENT_TYPE, media_type.unwrap_or(unknown));
                    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
                    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                }
            }
        }
        if let Some(About { resource_type, id, version, last_updated }) = &self.about {
            let mut put = |name, text: String| {
                let value = HeaderValue::try_from(text).expect("ids, numbers and dates are ASCII");
                headers.insert(name, value);
            };
            put(ETAG, format!("W/\"{version}\""));
            put(LAST_MODIFIED, http_date(*last_updated));
            if self.status == StatusCode::CREATED {
                put(LOCATION, format!("{base}/{resource_type}/{id}/_history/{version}"));
            }
        }
        *response.body_mut() = Body::from(self.body);
        response
    }
}

fn http_date(instant: Instant) -> String {
    let time = Timestamp::from_millisecond(instant.ms()).unwrap_or_default();
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}
