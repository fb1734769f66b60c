//! A result that is no answer.
//~ does not answer a route
//~ `Photo` is not an answer
//~ a handler cannot return this

use squall::Application;

struct Photo;

async fn show() -> Photo {
    Photo
}

fn main() {
    let _ = Application::new().route("/", show);
    squall::web::explain::without(show);
}
