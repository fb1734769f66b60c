//! An `Rc` lives across an `.await`.
//~ is not a handler
//~ has type `Rc<String>` which is not `Send`
//~ await occurs here, with `name` maybe used later

use std::rc::Rc;

use squall::{Application, get};

async fn shared() -> String {
    let name = Rc::new(String::from("x"));
    squall::yield_now().await;
    name.to_string()
}

fn main() {
    let _ = Application::new().route("/", get(shared));
    squall::web::explain::without(shared);
}
