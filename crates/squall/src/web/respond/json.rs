//! `Json` as an answer.

use http::StatusCode;
use serde::Serialize;
use squall_http::Body;
use squall_http::server::Response;

use super::IntoResponse;
use crate::Result;
use crate::web::extract::Json;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Result<Response> {
        let body = Body::from(serde_json::to_vec(&self.0)?).with_content_type("application/json");
        Ok(Response::new(StatusCode::OK, body))
    }
}

impl IntoResponse for serde_json::Value {
    fn into_response(self) -> Result<Response> {
        Json(self).into_response()
    }
}
