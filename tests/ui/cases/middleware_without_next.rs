//! A middleware of another shape.
//~ expected function that takes 2 arguments
//~ to implement `Middleware`

use squall::{Application, Request, Response};

async fn log(_: Request) -> Response {
    Response::default()
}

fn main() {
    let _ = Application::new().middleware(log);
}
