//! A site from a directory: compressed, cached by content, with an address of its own.
//!
//! ```text
//! cargo run --release --example static_site -- DIR
//! curl -i --compressed http://127.0.0.1:5000/
//! curl -i -H 'Range: bytes=0-99' http://127.0.0.1:5000/static/app.js
//! ```

use squall::{Application, Compression, Html, Result, State, StaticFiles};

async fn home(State(files): State<StaticFiles>) -> Html<String> {
    // The address changes with the content, so that browsers may keep what it names.
    let (script, style) = (files.static_url("app.js"), files.static_url("app.css"));
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><title>A site</title>\
         <link rel=\"stylesheet\" href=\"{style}\"><script defer src=\"{script}\"></script>\
         <h1>A site</h1></html>\n"
    ))
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let mut args = std::env::args().skip(1);
    let files = StaticFiles::new(args.next().unwrap_or_else(|| "assets".to_owned()));
    let address = args.next();
    Application::new()
        .middleware(Compression::default())
        .state(files.clone())
        .route("/", home)
        .static_files(files) // GET /static/…
        .listen(address.as_deref().unwrap_or("127.0.0.1:5000"))?
        .run()
}
