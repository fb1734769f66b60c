//! `Path<T>`: the parameters of the route's path.

use std::borrow::Cow;
use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::FromRequest;
use super::path_de::{Fault, Params};
use crate::web::request::{Request, decode};
use crate::{Error, Result};

/// The parameters of the route's path, percent-decoded.
///
/// One parameter is a plain value, several are a tuple in the order of the path, or a
/// struct with their names.
///
/// ```
/// use squall::{Application, Path};
///
/// async fn block(Path(ms): Path<u64>) -> String { format!("{ms} ms") }
/// async fn file(Path((user, rest)): Path<(u32, String)>) -> String { format!("{user}: {rest}") }
///
/// let application = Application::new()
///     .route("/block/{ms}", block)
///     .route("/files/{user}/{*rest}", file);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "path_args")]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest for Path<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let mut params: Vec<(&str, Cow<'_, str>)> = Vec::new();
        for (name, raw) in request.raw_params() {
            params.push((name, decode(name, raw)?));
        }
        match T::deserialize(Params::new(&params)) {
            Ok(value) => Ok(Self(value)),
            Err(Fault::Value { name, why }) => Err(Error::invalid_argument(&name, why)),
            Err(Fault::Type(why)) => Err(Error::internal(format!(
                "Path<{}> does not fit the route: {why}",
                std::any::type_name::<T>()
            ))),
        }
    }
}

impl<T> Deref for Path<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
