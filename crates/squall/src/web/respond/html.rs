//! `Html`: text that is a page.

use http::StatusCode;
use squall_http::Body;
use squall_http::server::Response;

use super::IntoResponse;
use crate::Result;

/// A page, or a piece of one. What is put into it is not escaped here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Result<Response> {
        let body = self.0.into().with_content_type("text/html; charset=utf-8");
        Ok(Response::new(StatusCode::OK, body))
    }
}
