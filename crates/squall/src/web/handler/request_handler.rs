//! `RequestHandler`: a type with `prepare`, a method per verb, and `on_finish`.

use std::any::type_name;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use squall_http::server::{Response, ResponseFuture};

use super::context::Context;
use super::endpoint::{Endpoint, Needs};
use super::outgoing::{Outgoing, UntilHead, contained};
use crate::web::request::Request;
use crate::web::routing::MethodRoutes;
use crate::web::visit::Visit;
use crate::web::{etag, http_error, panic};
use crate::{Error, Result};

/// A handler that is a type: one value answers one request.
///
/// The value given to [`Application::route`](crate::Application::route) is cloned for
/// each request, which is what Tornado's `initialize` is for. Verbs without a method
/// are answered with 405 and `Allow`.
///
/// ```text
/// set_default_headers -> prepare -> data_received* -> get, post, ... -> on_finish
///                           '---------- an error -> write_error ---------^
///                           '---------- the client is gone -> on_connection_close
/// ```
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `RequestHandler`",
    note = "a `RequestHandler` is a type that is `Clone`, `Send` and `Sync`, with methods such as \
            `async fn get(&mut self, context: &mut Context) -> Result<()>`"
)]
pub trait RequestHandler: Clone + Send + Sync + 'static {
    /// Sets headers that every answer of this handler has, also those to errors, where
    /// they do not replace what the error says itself.
    fn set_default_headers(&mut self, context: &mut Context) {
        let _ = context;
    }

    /// Runs before the verb's method. An error, or [`Context::finish`], is the answer.
    fn prepare(&mut self, context: &mut Context) -> impl Future<Output = Result<()>> + Send {
        let _ = context;
        ready(Ok(()))
    }

    /// Takes the body piece by piece as it arrives, between `prepare` and the verb's
    /// method. Nothing more is read until it returns. A handler without this method
    /// reads the body itself, or not at all.
    ///
    /// The body is bounded by `max_body_size`.
    ///
    /// ```
    /// use squall::{Bytes, Context, RequestHandler, Result};
    ///
    /// #[derive(Clone, Default)]
    /// struct Count(u64);
    ///
    /// impl RequestHandler for Count {
    ///     async fn data_received(&mut self, _: &mut Context, chunk: Bytes) -> Result<()> {
    ///         self.0 += chunk.len() as u64;
    ///         Ok(())
    ///     }
    ///     async fn put(&mut self, context: &mut Context) -> Result<()> {
    ///         context.write(self.0.to_string());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[doc(alias = "stream_request_body")]
    fn data_received(
        &mut self,
        context: &mut Context,
        chunk: Bytes,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (context, chunk);
        unsupported()
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

    /// Answers in place of a method that failed. The context is as new, its status and
    /// headers are the error's. Without it the application's renderer answers, as it does
    /// when this fails, too. Not called when the head of the answer was sent before: the
    /// answer breaks off then.
    #[doc(alias = "send_error")]
    fn write_error(
        &mut self,
        context: &mut Context,
        error: &Error,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (context, error);
        unsupported()
    }

    /// The validator of a 200 to GET or HEAD that was written as a whole and has none:
    /// by default a digest of the body. A client that has it already gets a 304. With
    /// `None` there is none.
    fn compute_etag(&self, body: &[u8]) -> Option<String> {
        Some(etag::of(body))
    }

    /// Runs when the answer is complete, before its end is sent; also after an error.
    fn on_finish(&mut self, context: &Context, status: StatusCode) {
        let _ = (context, status);
    }

    /// Runs in place of `on_finish` when the request was given up before it was
    /// answered: the client has gone, or the deadline was answered.
    fn on_connection_close(&mut self, context: &Context) {
        let _ = context;
    }
}

/// The future of a method that was not written.
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

/// As [`is_written`], for a method with one more parameter.
fn is_written_with<'a, H: 'a, A, F: Future<Output = Result<()>>>(
    _: impl FnOnce(&'a mut H, &'a mut Context, A) -> F,
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
        let outgoing = Arc::new(Outgoing::default());
        let route: Arc<str> = request.route().unwrap_or_default().into();
        let life = life(self.0.clone(), request, route.clone(), outgoing.clone());
        Box::pin(visit.attend(UntilHead::new(Box::pin(life), outgoing, route)))
    }

    fn needs(&self, _: &mut Needs) {}
}

/// The life of a handler value. The answer is `None` when it was begun by a flush.
async fn life<H: RequestHandler>(
    handler: H,
    request: Request,
    route: Arc<str>,
    outgoing: Arc<Outgoing>,
) -> Result<Option<Response>> {
    let mut alive = Alive {
        handler,
        context: Context::new(request, outgoing),
        ended: false,
    };
    let (handler, context) = (&mut alive.handler, &mut alive.context);
    let result = match contained(&route, serve(handler, context)).await {
        Ok(()) => Ok(context.complete(|body| handler.compute_etag(body))),
        Err(error) if context.is_begun() => Err(error),
        Err(error) => Ok(Some(failed(handler, context, &route, error).await)),
    };
    alive.ended = true;
    let (handler, context) = (&mut alive.handler, &alive.context);
    let status = match &result {
        Ok(Some(response)) => response.status(),
        _ => context.begun_status(),
    };
    if let Err(panicked) = panic::contain(|| handler.on_finish(context, status)) {
        panicked.log(&route);
    }
    result
}

/// What a request needs of its handler, in order.
async fn serve<H: RequestHandler>(handler: &mut H, context: &mut Context) -> Result<()> {
    handler.set_default_headers(context);
    handler.prepare(context).await?;
    if is_written_with(H::data_received) {
        let mut body = context.request_mut().take_body();
        while !context.is_finished()
            && let Some(chunk) = body.chunk().await
        {
            handler.data_received(context, chunk?).await?;
        }
    }
    if context.is_finished() {
        return Ok(());
    }
    match context.request().method().clone() {
        Method::HEAD if is_written(H::head) => handler.head(context).await,
        Method::GET | Method::HEAD => handler.get(context).await,
        Method::POST => handler.post(context).await,
        Method::PUT => handler.put(context).await,
        Method::PATCH => handler.patch(context).await,
        Method::DELETE => handler.delete(context).await,
        Method::OPTIONS => handler.options(context).await,
        _ => Err(Error::status(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// The answer to an error: the handler's own, or the application's.
async fn failed<H: RequestHandler>(
    handler: &mut H,
    context: &mut Context,
    route: &str,
    error: Error,
) -> Response {
    context.clear();
    handler.set_default_headers(context);
    let error = match is_written_with(H::write_error) {
        false => error,
        true => {
            http_error::log(route, &error);
            context.take_over(&error);
            match contained(route, handler.write_error(context, &error)).await {
                Ok(()) => return context.take_response(),
                Err(second) => second,
            }
        }
    };
    context.clear();
    handler.set_default_headers(context);
    context.render(route, &error)
}

/// A handler and its request. Dropped before the end, the handler hears of it.
struct Alive<H: RequestHandler> {
    handler: H,
    context: Context,
    ended: bool,
}

impl<H: RequestHandler> Drop for Alive<H> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (handler, context) = (&mut self.handler, &self.context);
        if let Err(panicked) = panic::contain(|| handler.on_connection_close(context)) {
            panicked.log(context.request().route().unwrap_or_default());
        }
    }
}
