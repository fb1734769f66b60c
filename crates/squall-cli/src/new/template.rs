//! `cargo run` serves it on http://127.0.0.1:5000, `cargo test` tests it.

use squall::{Application, Path, Result};

/// Blocking code may stand in here: it holds up nobody else.
async fn hello(Path(name): Path<String>) -> String {
    format!("Hello, {name}!\n")
}

fn application() -> Application {
    Application::new()
        .route("/", async || "Hello! There is more at /hello/you\n")
        .route("/hello/{name}", hello)
}

fn main() -> Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:5000");
    let application = application().listen(address)?;
    println!("PROJECT listening on http://{}", application.local_addr()?);
    application.run()
}

#[cfg(test)]
mod tests {
    use squall::testing::TestServer;

    use super::application;

    #[test]
    fn it_says_hello() {
        let server = TestServer::start(application());
        (server.get("/hello/you").assert_status(200)).assert_text("Hello, you!\n");
        server.get("/hello").assert_status(404);
    }
}
