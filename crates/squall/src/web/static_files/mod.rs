//! `StaticFiles`: a directory, or files inside of the program, served as they are.
//!
//! A file that is in the kernel's memory is opened and read in place, without ever waiting
//! for a disk (`RESOLVE_CACHED`, `RWF_NOWAIT`); the others are opened and read on an
//! executor of their own. So neither a slow disk nor a cold cache blocks a lane, and large
//! files are sent in constant memory.
//!
//! A request goes `wanted` (which path) -> `root` (opened below the directory) ->
//! `entry` (the file and its validators) -> `answer` (preconditions, ranges, headers) ->
//! `content` (the bytes).

mod answer;
mod content;
mod entry;
mod listing;
mod root;
mod versions;
mod wanted;

use std::path::PathBuf;
use std::sync::Arc;

use http::{Method, StatusCode};
use squall_http::Headers;
use squall_http::server::Response;
use squall_http::wire::coding::{Coding, prefer};
use squall_loop::Executor;

use self::entry::{Entry, Found, Source};
use self::root::Root;
use self::versions::Versions;
use self::wanted::Wanted;
use super::application::Application;
use super::handler::IntoRoute;
use super::request::Request;
use super::respond::{IntoResponse, Redirect};
use super::routing::{MethodRoutes, get};
use crate::{Error, Result};

/// How many files are opened or read from disks at a time, per [`StaticFiles`].
const WORKERS: usize = 16;
/// The file that stands for its directory.
const INDEX: &str = "index.html";

/// Serves the files below a directory.
///
/// ```no_run
/// use squall::{Application, StaticFiles};
///
/// # fn main() -> squall::Result<()> {
/// Application::new()
///     .static_files(StaticFiles::new("assets")) // under /static/
///     .listen("127.0.0.1:5000")?
///     .run()
/// # }
/// ```
///
/// GET and HEAD, with ranges, `ETag`, `Last-Modified` and conditional requests. Nothing
/// outside of the directory is served, also not over links; names that begin with a dot
/// are not, except `.well-known`. A directory is answered with its `index.html`, or 404.
///
/// The `ETag` is made of the file's time and size. It is a strong one once the file has
/// been left alone for two seconds; before, a second change might not show in its time.
#[doc(alias = "StaticFileHandler")]
#[derive(Debug, Clone)]
pub struct StaticFiles {
    options: Arc<Options>,
}

#[derive(Debug, Clone)]
struct Options {
    source: Source,
    prefix: String,
    hidden: bool,
    listing: bool,
    precompressed: Vec<Coding>,
    cache_control: Option<String>,
    max_ranges: usize,
    executor: Executor,
    versions: Versions,
}

impl StaticFiles {
    /// The files below this directory.
    #[doc(alias = "static_path")]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self::from_source(Source::Directory(Arc::new(Root::new(dir.into()))))
    }

    /// Files inside of the program, by their paths: as [`new`](Self::new), but their
    /// `ETag` is made of their bytes, and they have no `Last-Modified`.
    ///
    /// ```
    /// use squall::{Application, StaticFiles};
    ///
    /// static PAGES: &[(&str, &[u8])] = &[
    ///     ("index.html", b"<!doctype html><script src=app.js></script>"),
    ///     ("app.js", b"console.log('here')"), // include_bytes!("app.js")
    /// ];
    /// let application = Application::new().static_files(StaticFiles::embedded(PAGES));
    /// ```
    pub fn embedded(files: &'static [(&'static str, &'static [u8])]) -> Self {
        Self::from_source(Source::Embedded(files))
    }

    fn from_source(source: Source) -> Self {
        Self {
            options: Arc::new(Options {
                source,
                prefix: "/static".to_owned(),
                hidden: false,
                listing: false,
                precompressed: Vec::new(),
                cache_control: None,
                max_ranges: 16,
                executor: Executor::new(WORKERS),
                versions: Versions::default(),
            }),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// The path under which they are served: default `/static`.
    #[must_use]
    #[doc(alias = "static_url_prefix")]
    pub fn prefix(self, prefix: &str) -> Self {
        self.with(|options| options.prefix = prefix.trim_end_matches('/').to_owned())
    }

    /// Serves names that begin with a dot, too: default false.
    #[must_use]
    pub fn hidden(self, hidden: bool) -> Self {
        self.with(|options| options.hidden = hidden)
    }

    /// Lists directories that have no `index.html`: default false, which is 404.
    #[must_use]
    pub fn listing(self, listing: bool) -> Self {
        self.with(|options| options.listing = listing)
    }

    /// Sends `app.js.br`, `app.js.zst` or `app.js.gz` in place of `app.js` to those who
    /// accept it, if it is there; best first. Default: none.
    ///
    /// Whether it is as new as the file itself is not checked.
    #[must_use]
    pub fn precompressed(self, codings: &[Coding]) -> Self {
        self.with(|options| options.precompressed = codings.to_vec())
    }

    /// The `Cache-Control` of every answer: default none. What is asked for by its
    /// [`static_url`](Self::static_url) is `immutable` in any case.
    #[must_use]
    pub fn cache_control(self, value: &str) -> Self {
        self.with(|options| options.cache_control = Some(value.to_owned()))
    }

    /// How many ranges a request may ask for: default 16. Beyond it, and when they overlap
    /// so far that they add up to more than the file, the whole file is sent.
    #[must_use]
    pub fn max_ranges(self, max: usize) -> Self {
        self.with(|options| options.max_ranges = max)
    }

    /// The address of a file, with its content's hash: `/static/app.js?v=0e98a71c…`.
    ///
    /// An answer to it may be kept for a year, since other content has another address.
    /// The hash is computed when the file has changed; that reads it, and blocks. A file
    /// that cannot be read has no hash in its address.
    ///
    /// ```
    /// use squall::StaticFiles;
    ///
    /// let files = StaticFiles::embedded(&[("a b.css", b"p {}")]);
    /// assert!(files.static_url("a b.css").starts_with("/static/a%20b.css?v="));
    /// assert_eq!(files.static_url("none"), "/static/none");
    /// ```
    pub fn static_url(&self, path: &str) -> String {
        let options = &*self.options;
        let encoded = percent_encoding::utf8_percent_encode(path, listing::PATH);
        let url = format!("{}/{encoded}", options.prefix);
        let version = Wanted::parse(&encoded.to_string(), options.hidden)
            .and_then(|wanted| options.source.open(&wanted.path).ok())
            .and_then(|found| options.versions.of(path, &found.file()?).ok());
        match version {
            Some(version) => format!("{url}?v={version}"),
            None => url,
        }
    }

    /// Answers a request with the file that the last parameter of its route names; without
    /// a parameter, with the root's index. For a handler that decides by itself who may
    /// have a file.
    ///
    /// ```
    /// use squall::{Error, Request, Response, Result, StaticFiles};
    ///
    /// async fn download(request: Request, files: StaticFiles) -> Result<Response> {
    ///     if request.headers().get("authorization").is_none() {
    ///         return Err(Error::unauthorized("who are you?"));
    ///     }
    ///     files.answer(&request).await
    /// }
    /// ```
    ///
    /// # Errors
    /// 404, 403 for a file that this process may not read, 412 and 416.
    pub fn answer(&self, request: &Request) -> impl Future<Output = Result<Response>> + Send {
        // A request itself cannot be shared between threads: its body cannot.
        let asked = Asked {
            method: request.method(),
            path: request.path(),
            query: request.query(),
            headers: request.headers(),
        };
        let raw = request.raw_params().last().map_or("", |(_, value)| value);
        self.options.answer(asked, raw)
    }
}

fn nothing() -> Error {
    Error::status(StatusCode::NOT_FOUND)
}

/// 301, so that the links in a directory's page lead into it.
fn add_slash(asked: Asked<'_>) -> Result<Response> {
    let target = match asked.query {
        Some(query) => format!("{}/?{query}", asked.path),
        None => format!("{}/", asked.path),
    };
    Redirect::to(target)
        .with_status(StatusCode::MOVED_PERMANENTLY)
        .into_response()
}

/// What a request asks, without its body.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a Headers,
}

impl Options {
    /// Answers with what the still encoded path `raw` stands for.
    async fn answer(&self, asked: Asked<'_>, raw: &str) -> Result<Response> {
        let wanted = Wanted::parse(raw, self.hidden).ok_or_else(nothing)?;
        let directory = match self.open(&wanted.path).await? {
            Found::File(file) if !wanted.slash => {
                return self.respond(asked, &wanted.path, file).await;
            }
            Found::File(_) => return Err(nothing()),
            Found::Directory(_) if !wanted.slash => return add_slash(asked),
            Found::Directory(directory) => directory,
        };
        let index = match wanted.path.as_str() {
            "" => INDEX.to_owned(),
            path => format!("{path}/{INDEX}"),
        };
        match self.open(&index).await {
            Ok(Found::File(file)) => self.respond(asked, &index, file).await,
            Err(error) if error.status_code() != StatusCode::NOT_FOUND => Err(error),
            _ if self.listing => self.list(asked, &wanted.path, directory).await,
            _ => Err(nothing()),
        }
    }

    /// Opens a path: at once if it is in memory, else on the executor.
    async fn open(&self, path: &str) -> Result<Found> {
        let found = match self.source.open_now(path) {
            Err(error) if entry::must_wait(&error) => {
                let (source, path) = (self.source.clone(), path.to_owned());
                self.executor.submit(move || source.open(&path)).await?
            }
            found => found,
        };
        found.map_err(entry::status)
    }

    /// The file, or a compressed sibling that the client would rather have.
    async fn choose(&self, headers: &Headers, path: &str, file: entry::File) -> Entry {
        let mut offers = self.precompressed.clone();
        while let Some(coding) = prefer(headers, &offers).coding {
            offers.retain(|offer| *offer != coding);
            let sibling = format!("{path}.{}", extension(coding));
            if let Ok(Found::File(file)) = self.open(&sibling).await {
                return Entry::new(file, Some(coding));
            }
        }
        Entry::new(file, None)
    }
}

fn extension(coding: Coding) -> &'static str {
    match coding {
        Coding::Gzip => "gz",
        Coding::Zstd => "zst",
        other => other.name(),
    }
}

/// Static files.
#[derive(Debug)]
#[doc(hidden)]
pub enum Static {}

#[diagnostic::do_not_recommend]
impl IntoRoute<Static> for StaticFiles {
    fn into_route(self) -> MethodRoutes {
        get(move |request: Request| {
            let files = self.clone();
            async move { files.answer(&request).await }
        })
    }
}

impl Application {
    /// Serves files under their [`prefix`](StaticFiles::prefix).
    ///
    /// To serve them elsewhere, too, give them to [`route`](Self::route):
    /// `.route("/favicon.ico", …)` for one, or `.route("/docs/{*path}", files)`.
    #[track_caller]
    #[doc(alias = "static_path")]
    pub fn static_files(self, files: StaticFiles) -> Self {
        let prefix = files.options.prefix.clone();
        self.route(&format!("{prefix}/{{*path}}"), files.clone())
            .route(&format!("{prefix}/"), files)
    }
}
