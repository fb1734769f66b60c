//! `Json` of a type that is not `Serialize`.
//~ does not answer a route
//~ `Photo: serde::Serialize` is not satisfied

use squall::{Application, Json};

struct Photo;

async fn show() -> Json<Photo> {
    Json(Photo)
}

fn main() {
    let _ = Application::new().route("/", show);
    squall::web::explain::without(show);
}
