//! `State<T>`: a value that the application shares with its handlers.

use std::ops::Deref;
use std::sync::Arc;

use super::FromRequest;
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// The shared value of type `T`: the router's, or the application's.
///
/// A value that is missing is reported when the application begins to listen.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use squall::{Application, State};
///
/// #[derive(Default)]
/// struct Visits(AtomicU64);
///
/// async fn count(State(visits): State<Visits>) -> String {
///     format!("visit {}", visits.0.fetch_add(1, Ordering::Relaxed) + 1)
/// }
///
/// let application = Application::new().state(Visits::default()).route("/", count);
/// ```
#[derive(Debug)]
pub struct State<T>(pub Arc<T>);

impl<T: Send + Sync + 'static> FromRequest for State<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        (request.state().map(Self)).ok_or_else(|| {
            let name = std::any::type_name::<T>();
            Error::internal(format!("the application has no state of type {name}"))
        })
    }

    fn is_absent(request: &Request) -> bool {
        request.state::<T>().is_none()
    }

    fn needs(needs: &mut Needs) {
        needs.state::<T>();
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
