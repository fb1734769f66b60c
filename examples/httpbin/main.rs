//! The public httpbin's interface, so that test suites written against it run here.
//!
//! ```text
//! cargo run --release --example httpbin -- --listen 127.0.0.1:8080
//! curl http://127.0.0.1:8080/anything/x?a=b
//! ```
//!
//! Beside it there are routes for tests of the wire: `/echo`, `/seen`, `/multipart` and
//! `/parsed-cookies`. With `--wire` every path and method answers as `/seen` does, so
//! that only the engine is judged.

mod answers;
mod auth;
mod cache;
mod coded;
mod cookies;
mod data;
mod digest;
mod formats;
mod methods;
mod redirects;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use squall::{
    Application, Html, IoLoop, Next, Request, Response, Result, Settings, StaticFiles, any, get,
    post,
};

/// The public httpbin's interface, and routes for tests of the wire
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,

    /// A folder that is served under /static/
    #[arg(long = "static", value_name = "DIR")]
    folder: Option<PathBuf>,

    /// Answer every path and method with what was received
    #[arg(long)]
    wire: bool,
}

/// What may stream through `/echo` and `/seen`.
const MAX_BODY_SIZE: u64 = 16 << 30;
/// How long that may take.
const LONG_EXCHANGE: Duration = Duration::from_secs(3600);

fn main() -> Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let mut settings = Settings::default();
    settings.server.max_body_size = MAX_BODY_SIZE;
    // Pages from anywhere may ask, as the public httpbin lets them.
    settings.cross_origin_protection = false;
    let mut application = if options.wire {
        Application::new().middleware(wire::everything)
    } else {
        routes().middleware(open_to_all_origins)
    };
    if let Some(folder) = options.folder.filter(|_| !options.wire) {
        application = application.static_files(StaticFiles::new(folder));
    }
    let application = application
        .settings(settings)
        .listen(options.listen.as_str())?;
    let io_loop = IoLoop::builder().build()?;
    let served = io_loop.run(async move {
        let running = application.start().await?;
        let mut stdout = std::io::stdout();
        writeln!(
            stdout,
            "httpbin listening on http://{}",
            running.local_addr()?
        )?;
        stdout.flush()?;
        running.until_terminated().await
    });
    io_loop.stop();
    served?
}

fn routes() -> Application {
    let application = Application::new()
        .route("/", any(page))
        .route("/echo", any(wire::echo))
        .route("/seen", any(wire::seen))
        .route("/multipart", post(wire::multipart))
        .route("/parsed-cookies", get(wire::cookies));
    let application = requests(application);
    let application = answers(application);
    credentials(content(application))
}

/// What was asked, told back.
fn requests(application: Application) -> Application {
    application
        .route("/get", get(methods::get))
        .route("/post", post(methods::with_body))
        .route("/put", squall::put(methods::with_body))
        .route("/patch", squall::patch(methods::with_body))
        .route("/delete", squall::delete(methods::with_body))
        .route("/anything", any(methods::anything))
        .route("/anything/{*path}", any(methods::anything))
        .route("/headers", get(methods::headers))
        .route("/ip", get(methods::ip))
        .route("/user-agent", get(methods::user_agent))
        .route("/cookies", get(cookies::show))
        .route("/cookies/set", get(cookies::set))
        .route("/cookies/set/{name}/{value}", get(cookies::set_one))
        .route("/cookies/delete", get(cookies::delete))
}

/// Answers of every status, length and pace.
fn answers(application: Application) -> Application {
    application
        .route("/status/{codes}", any(answers::status))
        .route(
            "/response-headers",
            get(answers::response_headers).post(answers::response_headers),
        )
        .route("/redirect/{n}", get(redirects::redirect))
        .route("/relative-redirect/{n}", get(redirects::relative))
        .route("/absolute-redirect/{n}", get(redirects::absolute))
        .route("/redirect-to", any(redirects::to))
        .route("/delay/{seconds}", any(answers::delay))
        .route("/bytes/{n}", get(data::bytes))
        .route("/stream-bytes/{n}", get(data::stream_bytes))
        .route("/stream/{n}", get(data::stream))
        .route("/drip", get(data::drip))
        .route("/sse/{n}", get(data::sse))
        .route("/range/{n}", get(data::range))
        .route("/cache", get(cache::cache))
        .route("/cache/{seconds}", get(cache::max_age))
        .route("/etag/{etag}", get(cache::etag))
}

/// Content of well-known types.
fn content(application: Application) -> Application {
    application
        .route("/base64/{value}", get(answers::base64))
        .route("/uuid", get(answers::uuid))
        .route("/links/{n}", get(answers::first_link))
        .route("/links/{n}/{offset}", get(answers::links))
        .route("/gzip", get(coded::gzip))
        .route("/deflate", get(coded::deflate))
        .route("/brotli", get(coded::brotli))
        .route("/encoding/utf8", get(formats::utf8))
        .route("/html", get(formats::html))
        .route("/xml", get(formats::xml))
        .route("/json", get(formats::json))
        .route("/robots.txt", get(formats::robots))
        .route("/deny", get(formats::deny))
        .route("/forms/post", get(formats::form))
        .route("/image", get(formats::image))
        .route("/image/png", get(formats::image_png))
        .route("/image/jpeg", get(formats::image_jpeg))
        .route("/image/webp", get(formats::image_webp))
        .route("/image/svg", get(formats::image_svg))
}

/// Who may come in.
fn credentials(application: Application) -> Application {
    let digest = "/digest-auth/{qop}/{user}/{passwd}";
    application
        .route("/basic-auth/{user}/{passwd}", get(auth::basic))
        .route(
            "/hidden-basic-auth/{user}/{passwd}",
            get(auth::hidden_basic),
        )
        .route("/bearer", get(auth::bearer))
        .route(digest, get(digest::plain))
        .route(
            &format!("{digest}/{{algorithm}}"),
            get(digest::with_algorithm),
        )
        .route(
            &format!("{digest}/{{algorithm}}/{{stale_after}}"),
            get(digest::with_stale),
        )
}

async fn page() -> Html<&'static str> {
    Html(
        "<!doctype html>\n<html lang=\"en\"><title>httpbin on Squall</title>\
         <h1>httpbin on Squall</h1><p>Try <a href=\"/get\">/get</a>, \
         <a href=\"/anything/x?a=b\">/anything/x?a=b</a> or <a href=\"/stream/3\">/stream/3</a>.</html>\n",
    )
}

/// Tells a page's browser that the page may read the answer.
async fn open_to_all_origins(request: Request, next: Next) -> Result<Response> {
    let origin = request.headers().get("origin").unwrap_or("*").to_owned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.set("Access-Control-Allow-Origin", origin)?;
    headers.set("Access-Control-Allow-Credentials", "true")?;
    Ok(response)
}
