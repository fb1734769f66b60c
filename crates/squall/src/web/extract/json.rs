//! `Json<T>`: a JSON document in the body.

use std::ops::Deref;

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{FromRequest, Rejection, RequestPart, body};
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// A JSON document, as a parameter and as an answer.
///
/// The body has to say that it is JSON (`application/json` or `…+json`, else 415) and is
/// UTF-8, whose byte order mark is skipped (RFC 8259 section 8.1). What is no JSON is a
/// 400 that says where; what does not fit the type is a 422 whose `field` is a path into
/// the document, such as `items[2].price`. A struct refuses a member that comes twice;
/// in a map or a [`serde_json::Value`] the last one counts. Nesting deeper than 128 is
/// refused, and more than `max_collected_body` bytes (413). As an `Option`, it is `None`
/// without a body.
///
/// ```
/// use squall::Json;
///
/// #[derive(serde::Deserialize, serde::Serialize)]
/// struct Point { x: f64, y: f64 }
///
/// async fn mirror(Json(point): Json<Point>) -> Json<Point> {
///     Json(Point { x: -point.x, y: point.y })
/// }
/// # let _ = squall::post(mirror);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest for Json<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        if !body::media_type(request).is_some_and(is_json) {
            let wanted = "application/json";
            return Err(body::wrong_type(request, RequestPart::Json, wanted));
        }
        body::refuse_other_charsets(request, RequestPart::Json)?;
        let body = body::collect(request).await?;
        read(&body).map(Self)
    }

    fn is_absent(request: &Request) -> bool {
        body::is_absent(request)
    }

    fn needs(needs: &mut Needs) {
        needs.body::<Self>();
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let document = body::utf8(RequestPart::Json, body)?;
    let mut deserializer = serde_json::Deserializer::from_str(document);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| match error
        .inner()
        .classify()
    {
        Category::Data => misfit(&error.path().clone(), error.inner()),
        _ => no_json(error.inner()),
    })?;
    deserializer.end().map_err(|error| no_json(&error))?;
    Ok(value)
}

fn no_json(error: &serde_json::Error) -> Error {
    Error::rejected(
        RequestPart::Json,
        Rejection::Syntax,
        format!("JSON: {error}"),
    )
}

/// 422: it is JSON, of another shape. Names the field, if there is one.
fn misfit(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let mut field = path.to_string();
    if field == "." {
        field.clear();
    }
    // Serde names a missing or repeated member in its message alone.
    let named = |start: &str| Some(text.strip_prefix(start)?.split_once('`')?.0);
    let missing = named("missing field `").map(|name| (name, Rejection::Missing));
    let repeated = named("duplicate field `").map(|name| (name, Rejection::Repeated));
    let (rejection, shown) = match missing.or(repeated) {
        Some((name, rejection)) => {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(name);
            let how = match rejection {
                Rejection::Missing => "is missing",
                _ => "came more than once",
            };
            (rejection, format!("JSON, field {field:?} {how}"))
        }
        None if field.is_empty() => (Rejection::Invalid, format!("JSON: {text}")),
        None => (Rejection::Invalid, format!("JSON, field {field:?}: {text}")),
    };
    let refused = Error::rejected(RequestPart::Json, rejection, shown)
        .with_status(StatusCode::UNPROCESSABLE_ENTITY);
    match field.is_empty() {
        true => refused,
        false => refused.with_field(field),
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
