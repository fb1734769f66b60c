//! A parameter of the path without `Path`.
//~ is not a handler
//~ `u32` is not an extractor
//~ take `Path<T>`

use squall::{Application, get};

async fn show(id: u32) -> String {
    id.to_string()
}

fn main() {
    let _ = Application::new().route("/{id}", get(show));
    squall::web::explain::with_one(show);
}
