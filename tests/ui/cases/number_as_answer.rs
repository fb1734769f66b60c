//! A number as an answer, in a `Result`.
//~ is not a handler
//~ `u32` is not an answer
//~ `Json<T>`

use squall::{Application, Result, get};

async fn count() -> Result<u32> {
    Ok(1)
}

fn main() {
    let _ = Application::new().route("/", get(count));
    squall::web::explain::without(count);
}
