//! `RequestHandler`: a type with `prepare`, a method per verb, and `on_finish`.

use std::any::type_name;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use http::{Method, StatusCode};
use squall_http::server::{Response, ResponseFuture};

use super::context::Context;
use super::endpoint::{Endpoint, Needs};
use crate::web::request::Request;
use crate::web::routing::MethodRoutes;
use crate::web::visit::Visit;
use crate::{Error, Result};

/// A handler that is a type: one value answers one request.
///
/// The value given to [`Application::route`](crate::Application::route) is cloned for
/// each request, which is what Tornado's `initialize` is for. Verbs without a method
/// are answered with 405 and `Allow`.
///
/// ```
/// use squall::{Application, Context, RequestHandler, Result};
///
/// #[derive(Clone)]
/// struct Greeting { word: &'static str }
///
/// impl RequestHandler for Greeting {
///     async fn get(&mut self, context: &mut Context) -> Result<()> {
///         let name = context.argument("name").await?;
///         context.set_header("X-Greeting", self.word)?;
///         context.write(format!("{}, {name}!\n", self.word));
///         Ok(())
///     }
/// }
///
/// let application = Application::new().route("/greet", Greeting { word: "Hello" });
/// ```
pub trait RequestHandler: Clone + Send + Sync + 'static {
    /// Runs before the verb's method. An error, or [`Context::finish`], is the answer.
    fn prepare(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        ready(Ok(()))
    }

    /// Answers GET.
    fn get(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        unsupported()
    }

    /// Answers HEAD; without it, `get` does.
    fn head(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        unsupported()
    }

    /// Answers POST.
    fn post(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        unsupported()
    }

    /// Answers PUT.
    fn put(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        unsupported()
    }

    /// Answers PATCH.
    fn patch(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        unsupported()
    }

    /// Answers DELETE.
    fn delete(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        unsupported()
    }

    /// Answers OPTIONS; without it, `Allow` does.
    fn options(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        unsupported()
    }

    /// Runs when the answer is complete, before it is sent. Not after an error.
    fn on_finish(&mut self, context: &Context, status: StatusCode) {
        let _ = (context, status);
    }
}

/// The future of a verb's method that was not written.
///
/// Its type is how [`routes`] sees which methods a type has: a method that somebody
/// wrote gives another one.
struct Unsupported;

fn unsupported() -> Unsupported {
    Unsupported
}

impl Future for Unsupported {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Err(Error::status(StatusCode::METHOD_NOT_ALLOWED)))
    }
}

/// Whether a method's future is one that somebody wrote. The method is not called.
fn is_written<'a, H: 'a, F: Future<Output = Result<()>>>(
    _: impl FnOnce(&'a mut H, &'a mut Context) -> F,
) -> bool {
    type_name::<F>() != type_name::<Unsupported>()
}

/// The methods that a type has, each as an endpoint.
pub(super) fn routes<H: RequestHandler>(handler: H) -> MethodRoutes {
    let mut routes = MethodRoutes::default();
    let written = [
        (Method::GET, is_written(H::get)),
        (Method::HEAD, is_written(H::head)),
        (Method::POST, is_written(H::post)),
        (Method::PUT, is_written(H::put)),
        (Method::PATCH, is_written(H::patch)),
        (Method::DELETE, is_written(H::delete)),
        (Method::OPTIONS, is_written(H::options)),
    ];
    let endpoint = Arc::new(PerRequest(handler));
    for (method, written) in written {
        if written {
            routes = routes.push(Some(method), endpoint.clone());
        }
    }
    routes
}

/// A value that is cloned for each request.
struct PerRequest<H>(H);

impl<H: RequestHandler> Endpoint for PerRequest<H> {
    fn call(&self, visit: Visit, request: Request) -> ResponseFuture {
        Box::pin(visit.attend(life(self.0.clone(), request)))
    }

    fn needs(&self, _: &mut Needs) {}
}

/// The life of a handler value: `prepare`, the verb's method, `on_finish`.
async fn life<H: RequestHandler>(mut handler: H, request: Request) -> Result<Response> {
    let method = request.method().clone();
    let mut context = Context::new(request);
    let handler = &mut handler;
    handler.prepare(&mut context).await?;
    if !context.is_finished() {
        match method {
            Method::HEAD if is_written(H::head) => handler.head(&mut context).await?,
            Method::GET | Method::HEAD => handler.get(&mut context).await?,
            Method::POST => handler.post(&mut context).await?,
            Method::PUT => handler.put(&mut context).await?,
            Method::PATCH => handler.patch(&mut context).await?,
            Method::DELETE => handler.delete(&mut context).await?,
            Method::OPTIONS => handler.options(&mut context).await?,
            _ => return Err(Error::status(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }
    let response = context.take_response();
    handler.on_finish(&context, response.status());
    Ok(response)
}
