//! `Path` of a type that is not `Deserialize`.
//~ does not answer a route
//~ `Id: serde::Deserialize<'de>` is not satisfied

use squall::{Application, Path};

struct Id(u32);

async fn show(Path(id): Path<Id>) -> String {
    id.0.to_string()
}

fn main() {
    let _ = Application::new().route("/{id}", show);
    squall::web::explain::with_one(show);
}
