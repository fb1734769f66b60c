//! `Json<T>`: a JSON document in the body.

use std::ops::Deref;

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{FromRequest, body, misfit};
use crate::web::request::Request;
use crate::{Error, Result};

/// A JSON document, as a parameter and as an answer.
///
/// The body has to say that it is JSON (415); what is no JSON is a 400, what does not
/// fit the type a 422 that names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest for Json<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        if !body::media_type(request).is_some_and(is_json) {
            return Err(Error::unsupported_media_type(
                "the body has to be application/json",
            ));
        }
        let body = body::collect(request).await?;
        let mut deserializer = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let refused = misfit("JSON", &error.path().clone(), error.inner());
            match error.inner().classify() {
                Category::Data => refused.with_status(StatusCode::UNPROCESSABLE_ENTITY),
                _ => Error::bad_request(format!("JSON: {}", error.inner())),
            }
        })?;
        (deserializer.end()).map_err(|error| Error::bad_request(format!("JSON: {error}")))?;
        Ok(Self(value))
    }
}

/// `application/json` and everything that ends with `+json`.
fn is_json(media_type: &str) -> bool {
    let suffix = media_type.len().checked_sub("+json".len());
    media_type.eq_ignore_ascii_case("application/json")
        || suffix
            .and_then(|at| media_type.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case("+json"))
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
