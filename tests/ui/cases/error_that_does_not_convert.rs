//! `?` on an error that is none of the standard library's trait.
//~ `?` couldn't convert the error: `Broken: std::error::Error` is not satisfied

use squall::{Application, Result};

struct Broken;

fn load() -> std::result::Result<String, Broken> {
    Err(Broken)
}

async fn show() -> Result<String> {
    Ok(load()?)
}

fn main() {
    let _ = Application::new().route("/", show);
}
