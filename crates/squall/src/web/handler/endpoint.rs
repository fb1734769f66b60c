//! `Endpoint`: a handler behind one pointer, boxed once when it is registered.

use std::marker::PhantomData;
use std::sync::Arc;

use squall_http::server::ResponseFuture;

use super::function::Handler;
use crate::web::app::States;
use crate::web::request::Request;
use crate::web::visit::Visit;

/// Whatever answers requests, with its type forgotten.
pub(crate) trait Endpoint: Send + Sync {
    /// Answers a request. The one allocation of the plain path happens here.
    fn call(&self, visit: Visit, request: Request) -> ResponseFuture;

    /// Says what the handler needs of the application.
    fn needs(&self, needs: &mut Needs);
}

/// An async function as an endpoint.
pub(crate) struct Plain<H, M> {
    handler: H,
    marker: PhantomData<fn() -> M>,
}

impl<H: Handler<M>, M: 'static> Plain<H, M> {
    pub(crate) fn boxed(handler: H) -> Arc<dyn Endpoint> {
        Arc::new(Self {
            handler,
            marker: PhantomData,
        })
    }
}

impl<H: Handler<M>, M> Endpoint for Plain<H, M> {
    fn call(&self, visit: Visit, request: Request) -> ResponseFuture {
        Box::pin(visit.attend(self.handler.clone().handle(request)))
    }

    fn needs(&self, needs: &mut Needs) {
        H::needs(needs);
    }
}

/// What handlers need of their application; checked before it runs.
#[derive(Default)]
pub struct Needs {
    route: String,
    states: Vec<Need>,
}

struct Need {
    route: String,
    type_name: &'static str,
    is_met: fn(&States) -> bool,
}

impl Needs {
    /// Collects what the handlers of one route need.
    pub(crate) fn of(&mut self, route: &str, collect: impl FnOnce(&mut Self)) {
        route.clone_into(&mut self.route);
        collect(self);
    }

    /// The application has to have a state of type `T`.
    pub(crate) fn state<T: Send + Sync + 'static>(&mut self) {
        self.states.push(Need {
            route: self.route.clone(),
            type_name: std::any::type_name::<T>(),
            is_met: |states| states.get::<T>().is_some(),
        });
    }

    /// What is missing, in words.
    pub(crate) fn missing(&self, states: &States) -> impl Iterator<Item = String> {
        (self.states.iter())
            .filter(|need| !(need.is_met)(states))
            .map(|need| {
                format!(
                    "the route {:?} needs a state of type {}: add it with Application::state",
                    need.route, need.type_name
                )
            })
    }
}

impl std::fmt::Debug for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.states.iter().map(|need| need.type_name);
        f.debug_list().entries(names).finish()
    }
}
