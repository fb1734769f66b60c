//! Asking the compiler why a function is no handler.
//!
//! [`Application::route`](crate::Application::route) takes functions of any number of
//! extractors, and types as well, so that the compiler can only say that something fits
//! none of these. Each function here wants exactly one shape, and the compiler says
//! what is wrong with it: which parameter is no extractor, which result is no answer,
//! which value that is not `Send` lives across which `.await`. They do nothing; take the
//! call out again.
//!
//! ```
//! async fn hello(squall::Path(name): squall::Path<String>) -> String { name }
//!
//! squall::web::explain::with_one(hello);
//! ```
//!
//! The last parameter may be [`Request`](crate::Request) in a handler; give
//! [`Exchange`](crate::Exchange) in its place while you ask.

use super::extract::FromRequest;
use super::respond::IntoResponse;

/// One function per number of parameters: Rust has no variadic generics.
macro_rules! shapes {
    ($($name:ident($($T:ident)*);)*) => {$(
        /// Compiles for a handler with so many parameters.
        pub fn $name<F, Fut, $($T),*>(_: F)
        where
            F: Fn($($T),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: IntoResponse,
            $($T: FromRequest + 'static,)*
        {
        }
    )*};
}

shapes! {
    without();
    with_one(A);
    with_two(A B);
    with_three(A B C);
    with_four(A B C D);
    with_five(A B C D E);
    with_six(A B C D E G);
    with_seven(A B C D E G H);
    with_eight(A B C D E G H I);
}
