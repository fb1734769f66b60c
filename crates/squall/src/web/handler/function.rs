//! Async functions with zero to eight extractors as handlers.

use squall_http::server::Response;

use super::endpoint::Needs;
use crate::Result;
use crate::web::extract::FromRequest;
use crate::web::request::Request;
use crate::web::respond::IntoResponse;

/// An async function that answers requests.
///
/// It takes up to eight extractors ([`FromRequest`]); the last one may be the whole
/// [`Request`]. It returns anything that is [`IntoResponse`]. `M` tells functions of
/// different parameters apart and is never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a handler",
    note = "a handler is an `async fn` of up to eight parameters",
    note = "each parameter has to be an extractor (`squall::FromRequest`) such as `Path<T>`, `Query<T>` \
            or `Json<T>`; only the last one may be `Request`",
    note = "its result has to be `squall::IntoResponse`, such as `String`, `Json<T>` or \
            `squall::Result<T>`",
    note = "its future has to be `Send`: nothing like `Rc` or a lock's guard may live across an `.await`",
    note = "to hear which of these it is, write `squall::web::explain::with_one(f)` for a handler `f` of one \
            parameter, `with_two(f)` for one of two, and so on"
)]
pub trait Handler<M>: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn handle(self, request: Request) -> impl Future<Output = Result<Response>> + Send + 'static;

    /// Says what the extractors need of the application.
    #[doc(hidden)]
    fn needs(needs: &mut Needs);
}

/// The request is taken apart by extractors alone.
#[derive(Debug)]
#[doc(hidden)]
pub enum Extracted {}

/// The last parameter is the request itself.
#[derive(Debug)]
#[doc(hidden)]
pub enum WithRequest {}

/// One implementation per number of parameters: Rust has no variadic generics.
macro_rules! handlers {
    ($($T:ident)*) => {
        impl<F, Fut, $($T),*> Handler<(Extracted, $($T,)*)> for F
        where
            F: Fn($($T),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoResponse,
            $($T: FromRequest + 'static,)*
        {
            #[allow(unused_assignments, unused_variables, non_snake_case)]
            fn handle(
                self,
                request: Request,
            ) -> impl Future<Output = Result<Response>> + Send + 'static {
                // Dropped where it is; a move to drop it is a copy.
                let mut request = Some(request);
                // Not an `async fn`: that would hold the request twice.
                async move {
                    let ($($T,)*) = match &mut request {
                        Some(request) => ($($T::from_request(request).await?,)*),
                        None => unreachable!("it is dropped below"),
                    };
                    request = None;
                    self($($T),*).await.into_response()
                }
            }

            #[allow(unused_variables)]
            fn needs(needs: &mut Needs) {
                $($T::needs(needs);)*
            }
        }

        impl<F, Fut, $($T),*> Handler<(WithRequest, $($T,)*)> for F
        where
            F: Fn($($T,)* Request) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoResponse,
            $($T: FromRequest + 'static,)*
        {
            #[allow(unused_mut, non_snake_case, clippy::manual_async_fn)]
            fn handle(
                self,
                mut request: Request,
            ) -> impl Future<Output = Result<Response>> + Send + 'static {
                async move {
                    $(let $T = $T::from_request(&mut request).await?;)*
                    self($($T,)* request).await.into_response()
                }
            }

            #[allow(unused_variables)]
            fn needs(needs: &mut Needs) {
                $($T::needs(needs);)*
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D E);
handlers!(A B C D E G);
handlers!(A B C D E G H);
handlers!(A B C D E G H I);
