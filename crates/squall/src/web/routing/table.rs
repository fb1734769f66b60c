//! The table of routes: filled by the builder, frozen, then only read.

use http::Method;

use super::methods::MethodRoutes;
use super::policy::Offload;
use super::route::Route;
use super::spans::Spans;

/// Routes while the application is being built.
#[derive(Default)]
pub(crate) struct Table {
    tree: matchit::Router<u32>,
    paths: Vec<(String, Vec<Route>)>,
    faults: Vec<String>,
}

/// Routes of a running application.
pub(crate) struct Routes {
    tree: matchit::Router<u32>,
    paths: Box<[Entry]>,
    routes: Box<[Route]>,
}

/// The methods of one path.
struct Entry {
    /// First and last route, by index.
    routes: std::ops::Range<u32>,
    /// The value of `Allow`; `None` where every method is answered.
    allow: Option<Box<str>>,
}

/// Where a request was routed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To the route with this index.
    Route(u32),
    /// To a path, by index, that does not answer the method.
    Path(u32),
    Nowhere,
}

impl Place {
    /// The number under which the engine knows the route; 0 is none.
    pub(crate) fn tag(self) -> u32 {
        match self {
            Self::Route(index) => index + 1,
            _ => 0,
        }
    }

    fn from_tag(tag: u32) -> Self {
        tag.checked_sub(1).map_or(Self::Nowhere, Self::Route)
    }
}

impl Table {
    /// Adds handlers to a path. What conflicts is kept as a fault.
    pub(crate) fn add(&mut self, path: &str, methods: MethodRoutes) {
        if let Err(fault) = self.try_add(path, methods) {
            self.faults.push(fault);
        }
    }

    fn try_add(&mut self, path: &str, methods: MethodRoutes) -> Result<(), String> {
        if !path.starts_with('/') {
            return Err(format!("the route {path:?} has to begin with '/'"));
        }
        if methods.entries.is_empty() {
            return Err(format!("the route {path:?} answers no method"));
        }
        let at = match self.paths.iter().position(|(known, _)| known == path) {
            Some(at) => at,
            None => self.add_path(path)?,
        };
        let Some((_, routes)) = self.paths.get_mut(at) else {
            return Ok(());
        };
        for (method, endpoint) in methods.entries {
            let route = Route::new(method, path, endpoint, methods.policy);
            if routes.iter().any(|known| known.method == route.method) {
                return Err(format!("the route {:?} is there twice", route.label));
            }
            routes.push(route);
        }
        Ok(())
    }

    fn add_path(&mut self, path: &str) -> Result<usize, String> {
        let at = self.paths.len();
        self.tree
            .insert(path, count(at))
            .map_err(|error| match error {
                matchit::InsertError::Conflict { with } => {
                    format!("the route {path:?} conflicts with the route {with:?}")
                }
                other => format!("the route {path:?} is malformed: {other}"),
            })?;
        self.paths.push((path.to_owned(), Vec::new()));
        Ok(at)
    }

    /// What is wrong with the routes.
    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Every route, from now on unchangeable.
    pub(crate) fn freeze(self, offload: Offload) -> Routes {
        let (mut paths, mut routes) = (Vec::new(), Vec::new());
        for (_, mut methods) in self.paths {
            let from = count(routes.len());
            let allow = allow(&methods);
            for route in &mut methods {
                route.settle(offload);
            }
            routes.extend(methods);
            paths.push(Entry {
                routes: from..count(routes.len()),
                allow,
            });
        }
        Routes {
            tree: self.tree,
            paths: paths.into(),
            routes: routes.into(),
        }
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels = (self.paths.iter()).flat_map(|(_, routes)| routes.iter().map(|r| &r.label));
        f.debug_list().entries(labels).finish()
    }
}

/// No program has four billion routes.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn allow(routes: &[Route]) -> Option<Box<str>> {
    let mut names = Vec::new();
    for route in routes {
        let name = route.method.as_ref()?.as_str();
        names.push(name);
    }
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    if !names.contains(&"OPTIONS") {
        names.push("OPTIONS");
    }
    Some(names.join(", ").into())
}

impl Routes {
    /// Finds who answers `method` at `path`.
    pub(crate) fn find(&self, method: &Method, path: &str) -> (Place, Spans) {
        let Ok(found) = self.tree.at(path) else {
            return (Place::Nowhere, Spans::default());
        };
        let spans = Spans::new(path, &found.params);
        let place = self.at_path(*found.value, method);
        (place.unwrap_or(Place::Path(*found.value)), spans)
    }

    fn at_path(&self, path: u32, method: &Method) -> Option<Place> {
        let range = self.paths.get(path as usize)?.routes.clone();
        let mut fallback = None;
        for index in range {
            match &self.routes.get(index as usize)?.method {
                Some(known) if known == method => return Some(Place::Route(index)),
                Some(known) if *method == Method::HEAD && *known == Method::GET => {
                    fallback = Some(index);
                }
                None => fallback = fallback.or(Some(index)),
                Some(_) => {}
            }
        }
        fallback.map(Place::Route)
    }

    pub(crate) fn route(&self, place: Place) -> Option<&Route> {
        match place {
            Place::Route(index) => self.routes.get(index as usize),
            _ => None,
        }
    }

    /// The route that the engine knows by `tag`.
    pub(crate) fn tagged(&self, tag: u32) -> Option<&Route> {
        self.route(Place::from_tag(tag))
    }

    /// The value of `Allow` for a path.
    pub(crate) fn allow(&self, path: u32) -> Option<&str> {
        self.paths.get(path as usize)?.allow.as_deref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}
