//! Why a FHIR request was not done, as its client is told: a status and an OperationOutcome.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use keepwell_fhir::{Issue, IssueType, Severity, operation_outcome};
use keepwell_store::Error;

use super::headers::FHIR_JSON;
use crate::shared::Busy;

/// Why a FHIR request was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store refused.
    Store(Error),
    /// HTTP was not as R4 has it.
    Http(StatusCode, IssueType, &'static str),
    /// Not now.
    Busy,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Busy> for Failure {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl Failure {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            // The client did nothing wrong, and its token is as good as before.
            Self::Store(Error::Vault(_)) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) => {
                StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Http(status, ..) => *status,
        }
    }

    fn outcome(&self) -> String {
        let of_server = |code, diagnostics| {
            let diagnostics = Cow::Borrowed(diagnostics);
            operation_outcome(&[Issue {
                severity: Severity::Error,
                code,
                expression: String::new(),
                diagnostics,
            }])
        };
        match self {
            Self::Store(error) if error.code() >= 500 || matches!(error, Error::Vault(_)) => {
                tracing::error!(code = u64::from(error.code()), "the store failed");
                of_server(IssueType::Exception, "the server failed")
            }
            Self::Store(error) => error.operation_outcome(),
            Self::Http(_, code, text) => of_server(*code, text),
            Self::Busy => of_server(IssueType::Transient, "the server is busy"),
        }
    }

    pub(super) fn into_response(self) -> Response {
        let status = self.status();
        let mut response = Response::new(Body::from(self.outcome()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, FHIR_JSON);
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                let (name, value) = Busy::header();
                headers.insert(name, value);
            }
            _ => {}
        }
        response
    }
}
