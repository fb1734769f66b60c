//! `Endpoint`: a handler behind one pointer, boxed once when it is registered.

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::Arc;

use squall_http::server::ResponseFuture;

use super::function::Handler;
use crate::web::app::States;
use crate::web::cookies::Keys;
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
        // The memory first: the request is then written there and not moved once more.
        let room = Box::new_uninit();
        let handler = visit.attend(self.handler.clone().handle(request));
        Box::into_pin(Box::write(room, handler)) as ResponseFuture
    }

    fn needs(&self, needs: &mut Needs) {
        H::needs(needs);
    }
}

/// What handlers and middleware need of their application; checked before it runs.
#[derive(Default)]
pub struct Needs {
    /// Who is asked at the moment: a route, or a middleware.
    whose: String,
    needs: Vec<Need>,
    provided: Vec<TypeId>,
    /// The parameters that read the body.
    bodies: Vec<&'static str>,
    faults: Vec<String>,
}

struct Need {
    whose: String,
    what: String,
    is_met: fn(&States, &[TypeId]) -> bool,
}

impl Needs {
    /// Collects what the handlers of one route, or a middleware, need.
    pub(crate) fn of(&mut self, whose: &str, collect: impl FnOnce(&mut Self)) {
        whose.clone_into(&mut self.whose);
        collect(self);
    }

    /// The application has to have a state of type `T`.
    pub(crate) fn state<T: Send + Sync + 'static>(&mut self) {
        let name = std::any::type_name::<T>();
        let what = format!("a state of type {name}: add it with Application::state");
        self.need(what, |states, _| states.get::<T>().is_some());
    }

    /// The application has to have keys.
    pub(crate) fn keys(&mut self) {
        let what = "keys: give them with Application::keys".to_owned();
        self.need(what, |states, _| states.get::<Keys>().is_some());
    }

    /// There has to be a middleware that [`provides`](Self::provides) a `T`.
    pub(crate) fn provided<T: 'static>(&mut self, from: &str) {
        let what = format!("the middleware {from}: add it with Application::middleware");
        self.need(what, |_, provided| provided.contains(&TypeId::of::<T>()));
    }

    /// The middleware attaches a `T` to each request.
    pub(crate) fn provides<T: 'static>(&mut self) {
        self.provided.push(TypeId::of::<T>());
    }

    /// What the middleware attaches.
    pub(crate) fn all_provided(&self) -> &[TypeId] {
        &self.provided
    }

    /// The extractor `T` reads the body, to its end.
    pub(crate) fn body<T>(&mut self) {
        self.bodies.push(std::any::type_name::<T>());
    }

    /// What is asked now is wrong in itself.
    pub(crate) fn fault(&mut self, why: &str) {
        self.faults.push(format!("{}: {why}", self.whose));
    }

    fn need(&mut self, what: String, is_met: fn(&States, &[TypeId]) -> bool) {
        self.needs.push(Need {
            whose: self.whose.clone(),
            what,
            is_met,
        });
    }

    /// What is missing or wrong, in words, where these values are shared and the
    /// middleware around provides these.
    pub(crate) fn missing(
        &self,
        states: &States,
        provided: &[TypeId],
    ) -> impl Iterator<Item = String> {
        let missing = (self.needs.iter())
            .filter(|need| !(need.is_met)(states, provided))
            .map(|need| format!("{} needs {}", need.whose, need.what));
        let twice = (self.bodies.len() > 1).then(|| {
            format!(
                "{} has several parameters that read the body, which can be read once: {}",
                self.whose,
                self.bodies.join(" and ")
            )
        });
        self.faults.iter().cloned().chain(missing).chain(twice)
    }
}

impl std::fmt::Debug for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = self.needs.iter().map(|need| &need.what);
        f.debug_list().entries(what).finish()
    }
}
