//! A closure that borrows what it uses.
//~ borrow
//~ 'static

use squall::Application;

fn main() {
    let name = String::from("x");
    let _ = Application::new().route("/", async || name.clone());
}
