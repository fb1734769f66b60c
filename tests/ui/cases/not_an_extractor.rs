//! A parameter that is no extractor.
//~ does not answer a route
//~ `Settings` is not an extractor
//~ a handler cannot take this

use squall::Application;

struct Settings;

async fn show(_: Settings) -> &'static str {
    "x"
}

fn main() {
    let _ = Application::new().route("/", show);
    squall::web::explain::with_one(show);
}
