//! The handler is called instead of given.
//~ does not answer a route
//~ `impl Future<Output = &'static str>`
//~ a handler is an `async fn`

use squall::Application;

async fn hello() -> &'static str {
    "hello"
}

fn main() {
    let _ = Application::new().route("/", hello());
}
