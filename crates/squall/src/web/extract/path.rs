//! `Path<T>`: the parameters of the route's path.

use std::borrow::Cow;
use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::params::Params;
use super::values::{Fault, Pair};
use super::{FromRequest, RequestPart, args};
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
        let mut params: Vec<Pair<'_>> = Vec::new();
        for (name, raw) in request.raw_params() {
            params.push((Cow::Borrowed(name), decode(name, raw)?));
        }
        let in_order: Vec<_> = params.iter().collect();
        let mut sorted = in_order.clone();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let params = Params {
            in_order: &in_order,
            sorted: &sorted,
        };
        T::deserialize(params)
            .map(Self)
            .map_err(|fault| match fault {
                // The route is what it is: no client can send what it has no place for.
                Fault::Missing(_) | Fault::Repeated(_) | Fault::Type(_) => {
                    Error::internal(format!(
                        "Path<{}> does not fit the route: {fault}",
                        std::any::type_name::<T>()
                    ))
                }
                fault => args::refuse::<T>(RequestPart::Path, fault),
            })
    }

    fn is_absent(request: &Request) -> bool {
        request.raw_params().len() == 0
    }
}

impl<T> Deref for Path<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
