//! The request before another parameter.
//~ does not answer a route
//~ the last of which may be `Request`
//~ `squall::Request` is not an extractor

use squall::{Application, Path, Request};

async fn show(request: Request, Path(id): Path<u32>) -> String {
    format!("{} {id}", request.path())
}

fn main() {
    let _ = Application::new().route("/{id}", show);
    squall::web::explain::with_two(show);
}
