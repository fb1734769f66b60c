//! Making the table of routes from a router, once, with everything checked.

use std::cmp::Reverse;
use std::sync::Arc;

use super::host::HostPattern;
use super::methods::MethodRoutes;
use super::pattern::Pattern;
use super::policy::Offload;
use super::route::{Names, Route};
use super::router::{Item, Layer, Router, Site, label};
use super::scope::{Scope, Subtree};
use super::slash::TrailingSlash;
use super::table::{Entry, Host, Named, Routes};
use super::tree::{Tree, count};
use crate::web::handler::{Endpoint, Needs};
use crate::web::middleware::Middleware;

impl Routes {
    /// Makes the table of a router; the error lists everything that is wrong with it.
    pub(crate) fn of(
        router: &Router,
        offload: Offload,
        slash: TrailingSlash,
    ) -> Result<Self, Vec<String>> {
        let mut building = Building {
            routes: Self {
                slash,
                ..Self::default()
            },
            offload,
            faults: router.faults.clone(),
            paths: Vec::new(),
        };
        for layer in &router.layers {
            building.layer(layer);
        }
        building.subtrees(&router.layers);
        for item in &router.items {
            building.item(item, router.layers.get(item.layer));
        }
        building.finish()
    }
}

/// A table in the making.
struct Building {
    routes: Routes,
    offload: Offload,
    faults: Vec<String>,
    /// What was said about each path, in the order of their numbers.
    paths: Vec<Path>,
}

struct Path {
    host: Option<u32>,
    pattern: Pattern,
    text: String,
    site: Site,
    scope: u32,
    routes: Vec<(Route, Site)>,
}

impl Building {
    /// Adds a router's scope, completed by that of the router around it.
    fn layer(&mut self, layer: &Layer) {
        let outer = layer
            .parent
            .and_then(|parent| self.routes.scopes.get(parent));
        let mut scope = outer.cloned().unwrap_or_default();
        let mut states = layer.states.clone();
        states.add_outer(&scope.states);
        scope.states = states;
        self.surround(&mut scope, &layer.middleware);
        if let Some((endpoint, site)) = &layer.not_found {
            scope.not_found = Some(endpoint.clone());
            self.check(&scope, endpoint, "the handler not_found", site);
        }
        self.routes.scopes.push(scope);
    }

    /// Puts middleware into a scope, inside of what is there.
    fn surround(&mut self, scope: &mut Scope, middleware: &[Arc<dyn Middleware>]) {
        let mut needs = Needs::default();
        for one in middleware {
            needs.of("a middleware", |needs| one.needs(needs));
        }
        scope.provided.extend(needs.all_provided());
        self.faults
            .extend(needs.missing(&scope.states, &scope.provided));
        scope.middleware = (scope.middleware.iter().chain(middleware))
            .cloned()
            .collect();
    }

    /// Notes what a handler lacks in its scope.
    fn check(&mut self, scope: &Scope, endpoint: &Arc<dyn Endpoint>, whose: &str, site: Site) {
        let mut needs = Needs::default();
        needs.of(whose, |needs| endpoint.needs(needs));
        let missing = needs.missing(&scope.states, &scope.provided);
        self.faults
            .extend(missing.map(|fault| format!("{fault} ({site})")));
    }

    /// Notes which paths are whose when no route fits.
    fn subtrees(&mut self, layers: &[Layer]) {
        let mut known: Vec<(Subtree, Option<Site>)> = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            let own = layer.not_found.as_ref().map(|(_, site)| *site);
            let host = self.host(layer.host.as_ref());
            if layer.merged && own.is_none() {
                continue;
            }
            let prefix = match layer.prefix.as_str() {
                "" => Ok(Pattern::default()),
                prefix => Pattern::parse(prefix.strip_suffix('/').unwrap_or(prefix)),
            };
            let Ok(prefix) = prefix else {
                // Its routes say so.
                continue;
            };
            let same = |subtree: &Subtree| {
                subtree.host == host && layers[subtree.scope as usize].prefix == layer.prefix
            };
            if let Some(second) = own
                && let Some((_, Some(first))) =
                    known.iter().find(|(tree, own)| own.is_some() && same(tree))
            {
                let prefix = &layer.prefix;
                self.faults.push(format!(
                    "there are two not_found handlers for {prefix:?} ({first} and {second})"
                ));
            }
            if let Some(host) = self
                .routes
                .hosts
                .iter_mut()
                .find(|known| Some(known.number) == host)
            {
                host.answers_all |= own.is_some() && layer.prefix.is_empty();
            }
            let scope = count(at);
            known.push((
                Subtree {
                    host,
                    prefix,
                    scope,
                },
                own,
            ));
        }
        known.sort_by_key(|(tree, own)| {
            let host = self
                .routes
                .hosts
                .iter()
                .find(|known| Some(known.number) == tree.host);
            let host = host.map(|host| host.pattern.strictness());
            Reverse((host, tree.prefix.segments.len(), own.is_some()))
        });
        self.routes.subtrees = known.into_iter().map(|(tree, _)| tree).collect();
    }

    /// The number of a host pattern; a new one if it is not known.
    fn host(&mut self, host: Option<&(String, Site)>) -> Option<u32> {
        let (text, site) = host?;
        let pattern = match HostPattern::parse(text) {
            Ok(pattern) => pattern,
            Err(why) => {
                self.faults
                    .push(format!("the host {text:?} ({site}) is malformed: {why}"));
                return None;
            }
        };
        if let Some(known) = self
            .routes
            .hosts
            .iter()
            .find(|known| known.pattern == pattern)
        {
            return Some(known.number);
        }
        let number = count(self.routes.hosts.len());
        self.routes.hosts.push(Host {
            pattern,
            tree: Tree::default(),
            number,
            answers_all: false,
        });
        Some(number)
    }

    /// Adds the handlers of a path.
    fn item(&mut self, item: &Item, layer: Option<&Layer>) {
        let site = item.site;
        if item.methods.entries.is_empty() {
            let path = &item.path;
            self.faults
                .push(format!("the route {path:?} ({site}) answers no method"));
            return;
        }
        let host = self.host(layer.and_then(|layer| layer.host.as_ref()));
        let Some(at) = self.path(item, host) else {
            return;
        };
        self.name(&item.methods, at);
        let (number, scope) = self.scope(item);
        let names = self.names(at, host);
        let host = layer.and_then(|layer| layer.host.as_ref());
        let host = host.map(|(text, _)| text.as_str());
        for (method, endpoint) in &item.methods.entries {
            let label = label(method.as_ref(), host, &item.path);
            self.check(&scope, endpoint, &format!("the route {label:?}"), site);
            let known = &mut self.paths[at].routes;
            if let Some((_, first)) = known.iter().find(|(known, _)| known.method == *method) {
                self.faults.push(format!(
                    "the route {label:?} is there twice ({first} and {site})"
                ));
                continue;
            }
            let policy = (item.methods.policy, self.offload);
            let (label, endpoint) = (label.into(), Arc::clone(endpoint));
            let route = Route::new(
                method.clone(),
                label,
                names.clone(),
                number,
                endpoint,
                policy,
            );
            known.push((route, site));
        }
    }

    /// The number of an item's path; a new one if it is not known.
    fn path(&mut self, item: &Item, host: Option<u32>) -> Option<usize> {
        let (path, site) = (&item.path, item.site);
        let known = |known: &Path| known.host == host && known.text == *path;
        if let Some(at) = self.paths.iter().position(known) {
            return Some(at);
        }
        let pattern = match Pattern::parse(path) {
            Ok(pattern) => pattern,
            Err(why) => {
                self.faults
                    .push(format!("the route {path:?} ({site}) is malformed: {why}"));
                return None;
            }
        };
        let hosts = &mut self.routes.hosts;
        let tree = match hosts.iter_mut().find(|known| Some(known.number) == host) {
            Some(host) => &mut host.tree,
            None => &mut self.routes.tree,
        };
        let at = self.paths.len();
        if let Err(with) = tree.insert(&pattern, count(at)) {
            let (first, known) = (
                self.paths[with as usize].site,
                &self.paths[with as usize].text,
            );
            self.faults.push(format!(
                "the route {path:?} ({site}) conflicts with the route {known:?} ({first})"
            ));
            return None;
        }
        self.paths.push(Path {
            host,
            pattern,
            text: path.clone(),
            site,
            scope: count(item.layer),
            routes: Vec::new(),
        });
        Some(at)
    }

    fn name(&mut self, methods: &MethodRoutes, at: usize) {
        let Some((name, site)) = &methods.name else {
            return;
        };
        let named = Named {
            path: count(at),
            site,
        };
        if let Some(first) = self.routes.names.insert(name.clone(), named)
            && first.path != count(at)
        {
            let first = first.site;
            self.faults
                .push(format!("two paths are named {name:?} ({first} and {site})"));
        }
    }

    /// The scope of a path and its number: its router's, or one of its own inside of that.
    fn scope(&mut self, item: &Item) -> (u32, Scope) {
        let mut scope = (self.routes.scopes.get(item.layer).cloned()).unwrap_or_default();
        if item.methods.middleware.is_empty() {
            return (count(item.layer), scope);
        }
        self.surround(&mut scope, &item.methods.middleware);
        self.routes.scopes.push(scope.clone());
        (count(self.routes.scopes.len() - 1), scope)
    }

    fn names(&mut self, at: usize, host: Option<u32>) -> Names {
        let path = &self.paths[at];
        let host = self
            .routes
            .hosts
            .iter()
            .find(|known| Some(known.number) == host);
        let mut all: Vec<Box<str>> = host.map_or_else(Vec::new, |host| {
            host.pattern.names().map(Box::from).collect()
        });
        let in_host = all.len();
        for name in path.pattern.names() {
            if all[..in_host].iter().any(|known| **known == *name) {
                let (text, site) = (&path.text, path.site);
                self.faults.push(format!(
                    "the route {text:?} ({site}) and its host both have a parameter {name:?}"
                ));
            }
            all.push(name.into());
        }
        let all = all.into();
        Names { all, in_host }
    }

    fn finish(mut self) -> Result<Routes, Vec<String>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let routes = &mut self.routes;
        for path in self.paths {
            let from = count(routes.routes.len());
            let allow = allow(&path.routes);
            routes
                .routes
                .extend(path.routes.into_iter().map(|(route, _)| route));
            routes.paths.push(Entry {
                pattern: path.pattern,
                text: path.text.into(),
                routes: from..count(routes.routes.len()),
                allow,
                scope: path.scope,
            });
        }
        (routes.hosts).sort_by_key(|host| Reverse(host.pattern.strictness()));
        Ok(self.routes)
    }
}

fn allow(routes: &[(Route, Site)]) -> Option<Box<str>> {
    let mut names = Vec::new();
    for (route, _) in routes {
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
