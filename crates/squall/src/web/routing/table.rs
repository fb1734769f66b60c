//! The table of routes of a running application: made from a router, then only read.

use std::collections::HashMap;

use http::Method;

use super::host::HostPattern;
use super::pattern::Pattern;
use super::reverse::{self, UrlArgs};
use super::route::Route;
use super::router::Site;
use super::scope::{Scope, Subtree};
use super::slash::{TrailingSlash, toggled};
use super::spans::Spans;
use super::tree::{Sought, Tree};
use crate::web::app::States;
use crate::{Error, Result};

/// Routes of a running application.
#[derive(Default)]
pub(crate) struct Routes {
    /// For every host.
    pub(super) tree: Tree,
    /// For some hosts, the strictest pattern first.
    pub(super) hosts: Vec<Host>,
    pub(super) paths: Vec<Entry>,
    pub(super) routes: Vec<Route>,
    /// The first one is the application's.
    pub(super) scopes: Vec<Scope>,
    /// The longest prefix first.
    pub(super) subtrees: Vec<Subtree>,
    pub(super) names: HashMap<Box<str>, Named>,
    pub(super) slash: TrailingSlash,
}

pub(super) struct Host {
    pub(super) pattern: HostPattern,
    pub(super) tree: Tree,
    /// Its number, as subtrees name it.
    pub(super) number: u32,
    /// It answers what none of its routes fits, too.
    pub(super) answers_all: bool,
}

/// The methods of one path.
pub(super) struct Entry {
    pub(super) pattern: Pattern,
    pub(super) text: Box<str>,
    /// First and last route, by index.
    pub(super) routes: std::ops::Range<u32>,
    /// The value of `Allow`; `None` where every method is answered.
    pub(super) allow: Option<Box<str>>,
    pub(super) scope: u32,
}

pub(super) struct Named {
    pub(super) path: u32,
    pub(super) site: Site,
}

/// Where a request was routed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To the route with this index.
    Route(u32),
    /// To a path, by index, that does not answer the method.
    Path(u32),
    /// To the same path with one slash more or less at its end, in this scope.
    Slash(u32),
    /// To no path, in this scope.
    Nowhere(u32),
}

impl Place {
    /// The number under which the engine knows the route; 0 is none.
    pub(crate) fn tag(self) -> u32 {
        match self {
            Self::Route(index) => index + 1,
            _ => 0,
        }
    }
}

impl Routes {
    /// Finds who answers `method` at `path`. The host is asked for only if it matters.
    pub(crate) fn find<'a>(
        &self,
        method: &Method,
        path: &str,
        may_hold_dots: bool,
        host: impl FnOnce() -> Option<&'a str>,
    ) -> (Place, Spans) {
        let sought = |path| Sought {
            path,
            may_hold_dots,
        };
        let mut spans = Spans::default();
        let host = match self.hosts.is_empty() {
            true => None,
            false => host(),
        };
        if let Some(found) = self.path(sought(path), host, &mut spans) {
            return (self.at_path(found, method), spans);
        }
        if self.slash != TrailingSlash::Strict
            && let Some(other) = toggled(path)
            && let Some(found) = self.path(sought(&other), host, &mut spans)
        {
            if self.slash == TrailingSlash::Ignore {
                return (self.at_path(found, method), spans);
            }
            if !other.starts_with("//") {
                let scope = self
                    .paths
                    .get(found as usize)
                    .map_or(0, |entry| entry.scope);
                return (Place::Slash(scope), Spans::default());
            }
        }
        (Place::Nowhere(self.subtree(path, host)), Spans::default())
    }

    /// The number of the path that fits, by the strictest host that has one.
    fn path(&self, sought: Sought<'_>, host: Option<&str>, spans: &mut Spans) -> Option<u32> {
        if let Some(name) = host {
            for host in &self.hosts {
                spans.clear();
                if !host.pattern.matches(name, spans) {
                    continue;
                }
                let found = host.tree.find(sought, spans);
                if found.is_some() || host.answers_all {
                    return found;
                }
            }
            spans.clear();
        }
        self.tree.find(sought, spans)
    }

    fn at_path(&self, path: u32, method: &Method) -> Place {
        let range = self
            .paths
            .get(path as usize)
            .map_or(0..0, |entry| entry.routes.clone());
        let mut fallback = None;
        for index in range {
            let Some(route) = self.routes.get(index as usize) else {
                break;
            };
            match &route.method {
                Some(known) if known == method => return Place::Route(index),
                Some(known) if *method == Method::HEAD && *known == Method::GET => {
                    fallback = Some(index);
                }
                None => fallback = fallback.or(Some(index)),
                Some(_) => {}
            }
        }
        fallback.map_or(Place::Path(path), Place::Route)
    }

    /// The scope of a path that no route fits: that of the longest prefix.
    fn subtree(&self, path: &str, host: Option<&str>) -> u32 {
        let fits = |subtree: &&Subtree| {
            let here = match subtree.host {
                None => true,
                Some(number) => {
                    (self.hosts.iter().filter(|known| known.number == number)).any(|known| {
                        host.is_some_and(|name| known.pattern.matches(name, &mut Spans::default()))
                    })
                }
            };
            here && subtree.prefix.begins(path)
        };
        self.subtrees
            .iter()
            .find(fits)
            .map_or(0, |subtree| subtree.scope)
    }

    pub(crate) fn route(&self, place: Place) -> Option<&Route> {
        match place {
            Place::Route(index) => self.routes.get(index as usize),
            _ => None,
        }
    }

    /// The route that the engine knows by `tag`.
    pub(crate) fn tagged(&self, tag: u32) -> Option<&Route> {
        self.routes.get(tag.checked_sub(1)? as usize)
    }

    /// What is around a place.
    pub(crate) fn scope(&self, place: Place) -> Option<&Scope> {
        let scope = match place {
            Place::Route(index) => self.routes.get(index as usize)?.scope,
            Place::Path(path) => self.paths.get(path as usize)?.scope,
            Place::Slash(scope) | Place::Nowhere(scope) => scope,
        };
        self.scopes.get(scope as usize)
    }

    /// The application's own shared values.
    pub(crate) fn states(&self) -> Option<&States> {
        self.scopes.first().map(|scope| &scope.states)
    }

    /// The value of `Allow` for a path.
    pub(crate) fn allow(&self, path: u32) -> Option<&str> {
        self.paths.get(path as usize)?.allow.as_deref()
    }

    /// The path of a named route.
    pub(crate) fn url(&self, name: &str, args: &impl UrlArgs) -> Result<String> {
        let entry = (self.names.get(name)).and_then(|named| self.paths.get(named.path as usize));
        let entry = entry.ok_or_else(|| Error::internal(format!("no route is named {name:?}")))?;
        reverse::path(&entry.pattern, &args.texts())
            .map_err(|why| Error::internal(format!("the URL {name:?}, {}: {why}", entry.text)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}
