//! A type that is no `RequestHandler`.
//~ `Photos` does not answer a route
//~ `squall::RequestHandler` fit, too

use squall::Application;

#[derive(Clone)]
struct Photos;

fn main() {
    let _ = Application::new().route("/", Photos);
}
