//! Status codes, and a refusal: a status with what to do about it.

use std::borrow::Cow;

/// A status code with its reason, as it stands in the status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Status(&'static str);

impl Status {
    /// Done.
    pub(in crate::serve) const OK: Self = Self("200 OK");
    /// The request makes no sense.
    pub(in crate::serve) const BAD_REQUEST: Self = Self("400 Bad Request");
    /// The signature is missing or wrong.
    pub(in crate::serve) const UNAUTHORIZED: Self = Self("401 Unauthorized");
    /// No such path, or no such account.
    pub(in crate::serve) const NOT_FOUND: Self = Self("404 Not Found");
    /// The path is there, but not for this method.
    pub(in crate::serve) const METHOD_NOT_ALLOWED: Self = Self("405 Method Not Allowed");
    /// The request did not arrive in time.
    pub(in crate::serve) const REQUEST_TIMEOUT: Self = Self("408 Request Timeout");
    /// The payer has too little.
    pub(in crate::serve) const CONFLICT: Self = Self("409 Conflict");
    /// The body is larger than the limit.
    pub(in crate::serve) const CONTENT_TOO_LARGE: Self = Self("413 Content Too Large");
    /// The key belongs to another payment.
    pub(in crate::serve) const UNPROCESSABLE: Self = Self("422 Unprocessable Content");
    /// The head is larger than the limit.
    pub(in crate::serve) const HEADER_TOO_LARGE: Self = Self("431 Request Header Fields Too Large");
    /// The body is in a coding that is not known.
    pub(in crate::serve) const NOT_IMPLEMENTED: Self = Self("501 Not Implemented");
    /// The ledger cannot write, or there is no room for another connection.
    pub(in crate::serve) const UNAVAILABLE: Self = Self("503 Service Unavailable");
    /// Neither HTTP/1.1 nor 1.0.
    pub(in crate::serve) const VERSION: Self = Self("505 HTTP Version Not Supported");

    /// Code and reason, as in `200 OK`.
    pub(in crate::serve) fn text(self) -> &'static str {
        self.0
    }
}

/// Why a request is refused, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Refusal {
    /// The status of the reply.
    pub(in crate::serve) status: Status,
    /// For the client.
    pub(in crate::serve) message: Cow<'static, str>,
    /// More header lines that this status calls for, each with its line end.
    pub(in crate::serve) headers: &'static str,
}

impl Refusal {
    /// A refusal without further headers.
    pub(in crate::serve) fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), headers: "" }
    }

    /// The same with header lines.
    pub(in crate::serve) fn with_headers(self, headers: &'static str) -> Self {
        Self { headers, ..self }
    }
}
