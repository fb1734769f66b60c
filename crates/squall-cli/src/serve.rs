//! `squall serve`: the files of a directory over HTTP, and an upload form if asked for.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use squall::coding::Coding;
use squall::settings::Settings;
use squall::{
    Application, Error, Exchange, Html, IntoResponse, IoLoop, Multipart, Part, Redirect, Response,
    Result, State, StaticFiles, StatusCode, get, run_on_executor,
};

use crate::program::{GRACE, host_and_port, run_on, say};

/// How long an upload may take: a day.
const LONG_EXCHANGE: Duration = Duration::from_secs(24 * 3600);
/// The longest name that file systems take, in bytes.
const MAX_NAME: usize = 255;
/// Names that begin with a dot are not served, so that no file is in the form's way.
const FORM: &str = "/.upload";

/// Serve the files of a directory: ranges, ETags, listings; compressed siblings where there are some
///
/// Nothing outside of the directory is served, also not over links, and no name that begins
/// with a dot. Ends with status 0 on SIGTERM or SIGINT.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The directory
    #[arg(value_name = "DIR", default_value = ".", value_parser = directory)]
    dir: PathBuf,

    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8000", value_parser = host_and_port)]
    listen: String,

    /// Let anyone put files into the directory, by the form at /.upload; none is overwritten
    #[arg(long)]
    upload: bool,

    /// The most bytes of one upload, all its files together
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, requires = "upload")]
    max_upload: u64,

    /// Log a line for each request
    #[arg(long)]
    pub(crate) access_log: bool,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(options: Options) -> Result<()> {
    run_on(&IoLoop::builder().build()?, serve(options))
}

async fn serve(options: Options) -> Result<()> {
    let terminated = squall::signal::terminate()?;
    let files = StaticFiles::new(&options.dir)
        .prefix("/")
        .listing(true)
        .precompressed(&[Coding::Zstd, Coding::Br, Coding::Gzip])
        .cache_control("no-cache");
    let mut settings = Settings::default();
    settings.grace = GRACE;
    settings.server.max_body_size = options.max_upload;
    let mut application = Application::new().settings(settings).static_files(files);
    if options.upload {
        application = application
            .state(Target(options.dir.into()))
            .route(FORM, get(form).post(upload));
    }
    let running = application.listen(options.listen.as_str())?.start().await?;
    say(&format!(
        "squall listening on http://{}\n",
        running.local_addr()?
    ))?;
    if options.upload {
        tracing::info!("the upload form is http://{}{FORM}", running.local_addr()?);
    }
    terminated.await;
    running.shutdown(GRACE).await;
    Ok(())
}

/// Where uploads go.
struct Target(Arc<Path>);

async fn form() -> Html<&'static str> {
    Html(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Upload</title></head>\
         <body><form method=\"post\" enctype=\"multipart/form-data\">\
         <input type=\"file\" name=\"file\" multiple required> <button>Upload</button></form>\
         <p><a href=\"/\">The files</a></p></body></html>\n",
    )
}

/// Streams each file of the form to disk. Those that came before an error stay.
async fn upload(
    State(target): State<Target>,
    exchange: Exchange,
    WantsPage(wants_page): WantsPage,
    mut form: Multipart,
) -> Result<Response> {
    exchange.set_deadline(LONG_EXCHANGE);
    let mut stored = String::new();
    while let Some(part) = form.next_part().await? {
        let Some(name) = part.filename() else {
            continue;
        };
        let name = safe_name(name)?.to_owned();
        let bytes = store(part, target.0.join(&name)).await?;
        stored += &format!("{name} {bytes}\n");
    }
    if stored.is_empty() {
        return Err(Error::bad_request("the form has no file"));
    }
    match wants_page {
        true => Redirect::to("/").into_response(),
        false => (StatusCode::CREATED, stored).into_response(),
    }
}

/// Whether the client would rather read a page.
struct WantsPage(bool);

impl squall::FromRequest for WantsPage {
    async fn from_request(request: &mut squall::Request) -> Result<Self> {
        let accept = request.headers().get("accept").unwrap_or_default();
        Ok(Self(accept.contains("text/html")))
    }
}

/// The last part of a name, if it can be a file that is served.
fn safe_name(name: &str) -> Result<&str> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let fits = !last.is_empty()
        && last.len() <= MAX_NAME
        && !last.starts_with('.')
        && !last.contains(|char: char| char.is_control() || char == ':');
    match fits {
        true => Ok(last),
        false => Err(Error::bad_request(format!(
            "{last:?} cannot be a file's name here"
        ))),
    }
}

/// Writes a part to a new file; a part that breaks off leaves none.
async fn store(mut part: Part, path: PathBuf) -> Result<u64> {
    let created = run_on_executor(move || Unfinished::create(path)).await?;
    let mut file = created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::conflict("there is a file of this name"),
        _ => Error::internal(error),
    })?;
    let mut bytes = 0;
    while let Some(chunk) = part.chunk().await? {
        bytes += chunk.len() as u64;
        file = run_on_executor(move || file.write(&chunk)).await??;
    }
    file.finish();
    Ok(bytes)
}

/// A file that is removed unless it is finished.
struct Unfinished {
    file: File,
    path: Option<PathBuf>,
}

impl Unfinished {
    fn create(path: PathBuf) -> io::Result<Self> {
        // Never an existing file, and never through a link.
        let file = File::create_new(&path)?;
        Ok(Self {
            file,
            path: Some(path),
        })
    }

    fn write(mut self, bytes: &[u8]) -> io::Result<Self> {
        self.file.write_all(bytes)?;
        Ok(self)
    }

    fn finish(mut self) {
        self.path = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = fs::remove_file(&path)
        {
            squall_loop::say(|| tracing::warn!(%error, ?path, "a broken upload stays"));
        }
    }
}

fn directory(text: &str) -> Result<PathBuf, &'static str> {
    match Path::new(text).is_dir() {
        true => Ok(text.into()),
        false => Err("this is no directory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path() {
        for (name, safe) in [
            ("a.txt", "a.txt"),
            ("dir/a b.txt", "a b.txt"),
            ("C:\\Users\\x\\photo.jpg", "photo.jpg"),
            ("../../etc/passwd", "passwd"),
        ] {
            assert_eq!(safe_name(name).ok(), Some(safe), "{name}");
        }
        let long = "x".repeat(256);
        for name in [
            "", "..", ".", "a/", ".bashrc", "a/.ssh", "a\0b", "a\nb", "a:b", &long,
        ] {
            assert!(safe_name(name).is_err(), "{name}");
        }
    }
}
