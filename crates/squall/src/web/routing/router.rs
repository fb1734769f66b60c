//! `Router`: routes that belong together, with what holds for them.

use std::panic::Location;
use std::sync::Arc;

use super::methods::MethodRoutes;
use crate::web::app::States;
use crate::web::handler::{Endpoint, Handler, IntoRoute, Plain};
use crate::web::middleware::Middleware;

pub(super) type Site = &'static Location<'static>;

/// Routes that belong together: mounted below a path with [`nest`](Self::nest), beside
/// others with [`merge`](Self::merge), or for a host with
/// [`Application::host`](crate::Application::host).
///
/// Its middleware and its shared values hold for its own routes and for the routers in
/// it, in whatever order they were added. What is around it stays around it: the
/// application's middleware is the outermost, and a value that the router does not have
/// is looked for outside.
///
/// ```
/// use squall::{Application, Next, Path, Request, Response, Router, get};
///
/// async fn list() -> &'static str { "all of them" }
/// async fn show(Path(id): Path<u32>) -> String { format!("number {id}") }
/// async fn counted(request: Request, next: Next) -> Response { next.run(request).await }
/// async fn no_such_thing() -> squall::Error { squall::Error::not_found("the API has no such thing") }
///
/// let things = Router::new()
///     .route("/", list)                          // /api/things
///     .route("/{id:[0-9]+}", get(show).name("thing")); // /api/things/7
/// let api = Router::new()
///     .nest("/things", things)
///     .middleware(counted)
///     .not_found(no_such_thing);                 // also for /api/nowhere
///
/// let application = Application::new().nest("/api", api);
/// ```
#[must_use = "give it to Application::nest, merge or host"]
#[doc(alias = "RuleRouter")]
pub struct Router {
    pub(super) items: Vec<Item>,
    /// The first one is the router's own.
    pub(super) layers: Vec<Layer>,
    pub(super) faults: Vec<String>,
}

/// The handlers of one path, as they were given.
pub(super) struct Item {
    pub(super) path: String,
    pub(super) methods: MethodRoutes,
    pub(super) site: Site,
    pub(super) layer: usize,
}

/// What was said about one router.
#[derive(Default)]
pub(super) struct Layer {
    /// The layer around it; the outermost has none.
    pub(super) parent: Option<usize>,
    /// Where it is mounted.
    pub(super) prefix: String,
    /// The host pattern it is bound to, and where that was said.
    pub(super) host: Option<(String, Site)>,
    /// It stands beside its parent's routes, not below a path of its own.
    pub(super) merged: bool,
    pub(super) middleware: Vec<Arc<dyn Middleware>>,
    pub(super) not_found: Option<(Arc<dyn Endpoint>, Site)>,
    pub(super) states: States,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            layers: vec![Layer::default()],
            faults: Vec::new(),
        }
    }
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    fn own(&mut self) -> &mut Layer {
        // Made with the router, never taken out.
        &mut self.layers[0]
    }

    /// Answers a path; see [`Application::route`](crate::Application::route). The path
    /// `/` of a router that is nested is the very prefix.
    #[track_caller]
    pub fn route<M>(mut self, path: &str, handler: impl IntoRoute<M>) -> Self {
        self.items.push(Item {
            path: path.to_owned(),
            methods: handler.into_route(),
            site: Location::caller(),
            layer: 0,
        });
        self
    }

    /// Puts a function around the router's handlers; the first one is the outermost. It
    /// sees every request below the router's prefix, also those that no route fits.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.own().middleware.push(Arc::new(middleware));
        self
    }

    /// Shares a value with the router's handlers, in place of one of the same type that
    /// is shared outside of it. [`State<T>`](crate::State) extracts it.
    #[track_caller]
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        if !self.own().states.insert(value) {
            let (name, site) = (std::any::type_name::<T>(), Location::caller());
            (self.faults).push(format!("there are two states of type {name} ({site})"));
        }
        self
    }

    /// Answers what no route below the router's prefix fits. Without it the router
    /// around this one answers, still inside of this one's middleware.
    #[track_caller]
    #[doc(alias = "fallback")]
    pub fn not_found<M: 'static>(mut self, handler: impl Handler<M>) -> Self {
        let site = Location::caller();
        if let Some((_, first)) = self.own().not_found.replace((Plain::boxed(handler), site)) {
            (self.faults).push(format!(
                "there are two not_found handlers ({first} and {site})"
            ));
        }
        self
    }

    /// Mounts a router below a path, which may have parameters.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, router: Self) -> Self {
        let site = Location::caller();
        if !prefix.starts_with('/') {
            (self.faults).push(format!(
                "the prefix {prefix:?} ({site}) has to begin with '/'"
            ));
        }
        self.take(prefix, router, false);
        self
    }

    /// Adds a router's routes to this one's, each with its own middleware and state.
    pub fn merge(mut self, router: Self) -> Self {
        self.take("", router, true);
        self
    }

    /// Adds a router for a host; the application's part.
    pub(crate) fn host(mut self, host: &str, site: Site, router: Self) -> Self {
        let first = self.layers.len();
        self.take("", router, false);
        for layer in self.layers.iter_mut().skip(first) {
            layer.host = Some((host.to_owned(), site));
        }
        self
    }

    fn take(&mut self, prefix: &str, router: Self, merged: bool) {
        let first = self.layers.len();
        for (at, mut layer) in router.layers.into_iter().enumerate() {
            layer.parent = Some(layer.parent.map_or(0, |parent| parent + first));
            layer.prefix = join(prefix, &layer.prefix);
            layer.merged |= merged && at == 0;
            self.layers.push(layer);
        }
        for mut item in router.items {
            item.path = join(prefix, &item.path);
            item.layer += first;
            self.items.push(item);
        }
        self.faults.extend(router.faults);
    }

    /// The routes' labels, for people.
    pub(crate) fn labels(&self) -> impl Iterator<Item = String> {
        self.items.iter().flat_map(|item| {
            let verbs = item.methods.entries.iter();
            verbs.map(|(method, _)| label(method.as_ref(), None, &item.path))
        })
    }
}

/// A route's name for people: `GET /photos/{id}`, with its host if it has one.
pub(super) fn label(method: Option<&http::Method>, host: Option<&str>, path: &str) -> String {
    let verb = method.map_or("ANY", http::Method::as_str);
    format!("{verb} {}{path}", host.unwrap_or_default())
}

/// A path below a prefix. `/` is the prefix itself.
fn join(prefix: &str, path: &str) -> String {
    match path {
        "/" | "" if !prefix.is_empty() => prefix.to_owned(),
        _ => format!("{}{path}", prefix.strip_suffix('/').unwrap_or(prefix)),
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.labels()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn a_nested_root_is_the_prefix() {
        for (prefix, path, joined) in [
            ("", "/", "/"),
            ("", "", ""),
            ("/a", "/", "/a"),
            ("/a", "", "/a"),
            ("/a/", "/", "/a/"),
            ("/a/", "/b", "/a/b"),
            ("/a", "/b/", "/a/b/"),
            ("/", "/b", "/b"),
        ] {
            assert_eq!(join(prefix, path), joined, "{prefix:?} {path:?}");
        }
    }
}
