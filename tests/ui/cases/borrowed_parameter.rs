//! A parameter that borrows from the request.
//~ is not general enough
//~ `&str`

use squall::{Application, Path};

async fn show(Path(name): Path<&str>) -> String {
    name.to_owned()
}

fn main() {
    let _ = Application::new().route("/{name}", show);
}
