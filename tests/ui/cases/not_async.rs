//! `async` is forgotten.
//~ does not answer a route
//~ a handler is an `async fn`
//~ is not a future

use squall::Application;

fn hello() -> &'static str {
    "hello"
}

fn main() {
    let _ = Application::new().route("/", hello);
    squall::web::explain::without(hello);
}
