//! `squall fetch`: Squall's client from the shell, with curl's letters.
//!
//! ```text
//! stdin, files -> data | form -> the client -> sink -> stdout, a file
//!                        meter: the bar    \-> talk: heads and timings, on stderr
//! ```
//! Nothing is collected: a body goes out as it is read, and comes in as it is written.

mod data;
mod field;
mod form;
mod meter;
mod sink;
mod source;
mod talk;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use squall::client::{Proxy, ProxyError};
use squall::{
    AsyncHttpClient, Body, FetchError, HttpRequest, HttpResponse, IoLoop, Method, Result,
    with_timeout,
};
use url::Url;

use self::data::Data;
use self::field::Field;
use self::form::Part;
use self::meter::Meter;
use self::sink::Sink;
use self::talk::Talk;
use crate::program::{CANNOT_CONNECT, complain, seconds, web_address, with_scheme};

/// The answer is an error of the client or the server, as curl says it with `-f`.
const BAD_STATUS: u8 = 22;
const TIMED_OUT: u8 = 28;
const WRONG_USAGE: u8 = 2;
const OTHER: u8 = 1;

/// How long nothing may move: some servers think for long, but a connection may also be dead.
const IDLE: Duration = Duration::from_secs(300);

/// Fetch an address: the answer's body to stdout as it comes, everything else to stderr
///
/// Status 0: the answer is 2xx or 3xx. 22: it is 4xx or 5xx. 7: no connection could be made.
/// 28: not done in time. 2: wrong usage. 1: anything else.
///
/// http_proxy, https_proxy, all_proxy and no_proxy are obeyed, but never for localhost and the
/// loopback addresses; --proxy is for them, too. The secrets of TLS are appended to the file that
/// SSLKEYLOGFILE names, if it is set.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The address, http:// unless it says otherwise; user:password@ before the host is
    /// basic authentication
    #[arg(value_name = "URL", value_parser = web_address)]
    url: Url,

    /// The method; otherwise GET, or POST where there is a body
    #[arg(short = 'X', long = "request", value_name = "METHOD", value_parser = method)]
    method: Option<Method>,

    /// Add a header; 'K:' leaves out one that would be sent, 'K;' sends it empty
    #[arg(short = 'H', long = "header", value_name = "K: V", value_parser = field::field)]
    fields: Vec<Field>,

    /// The body, or a file of it (@- is stdin), byte for byte; several are joined by &
    #[arg(
        short = 'd',
        long,
        value_name = "BODY|@FILE",
        allow_hyphen_values = true
    )]
    #[arg(conflicts_with = "form")]
    data: Vec<Data>,

    /// A field of a form in parts, or a file; ;type=… and ;filename=… may follow
    #[arg(short = 'F', long, value_name = "name=value|name=@file", value_parser = form::part)]
    form: Vec<Part>,

    /// Write the body to this file; - is stdout
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the answer's head before its body
    #[arg(short = 'i', long)]
    include: bool,

    /// Follow redirects, as is done anyway
    #[arg(short = 'L', long = "location", overrides_with = "no_follow")]
    follow: bool,

    /// Do not follow redirects
    #[arg(long, overrides_with = "follow")]
    no_follow: bool,

    /// Do not check the server's certificate
    #[arg(short = 'k', long)]
    insecure: bool,

    /// How long all of it may take; besides, 10 s to connect, and 300 s in which nothing moves
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Go through this proxy: http://, socks5:// or socks5h://; '' is none
    #[arg(long, value_name = "URL", value_parser = proxy)]
    proxy: Option<Proxy>,

    /// Speak HTTP/2. Not there yet: this is an error
    #[arg(long)]
    http2: bool,

    /// Show heads, and the time that each phase took
    #[arg(short = 'v', long)]
    verbose: bool,
}

impl Options {
    /// What cannot be done as it is said.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        (self.http2).then_some("--http2: HTTP/2 is not there yet; without it this is HTTP/1.1")
    }
}

pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let io_loop = IoLoop::builder().lanes(1).build()?;
    let status = io_loop.run(fetch(options))?;
    // The loop is not stopped: a read from stdin may still be on its way.
    Ok(status.into())
}

/// Why there is no answer, or not all of it.
enum Failure {
    Fetch(FetchError),
    /// The body did not end within `--timeout`.
    Late(Duration),
    /// Reading what is to be sent, or writing what came.
    Io(io::Error),
    Usage(String),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Fetches, says what went wrong, and gives the program's status.
async fn fetch(options: Options) -> u8 {
    let talk = Talk::new(options.verbose);
    match transfer(options, &talk).await {
        Ok(status) => status,
        Err(Failure::Fetch(error)) => {
            // Those of a body that broke off have been told.
            if !error.is_body() {
                talk.times(error.time_info(), None);
            }
            complain(in_options(error.to_string()));
            status_of(&error)
        }
        Err(Failure::Late(limit)) => {
            complain(format_args!(
                "reading the answer's body: not done within {limit:?} (--timeout)"
            ));
            TIMED_OUT
        }
        Err(Failure::Io(error)) => {
            complain(&error);
            OTHER
        }
        Err(Failure::Usage(what)) => {
            complain(what);
            WRONG_USAGE
        }
    }
}

/// The client's settings in the words of the command line.
fn in_options(mut words: String) -> String {
    for (setting, option) in [
        ("(request_timeout)", "(--timeout)"),
        ("validate_cert(false)", "-k"),
        // What only a program can say.
        (
            " name that authority's certificate with ca_certs(pem), or",
            "",
        ),
        (" name that very certificate with ca_certs(pem), or", ""),
        (" (allow_downgrade)", ""),
    ] {
        words = words.replace(setting, option);
    }
    words
}

fn status_of(error: &FetchError) -> u8 {
    match error {
        error if error.is_timeout() => TIMED_OUT,
        error if error.is_connect() => CANNOT_CONNECT,
        error if error.is_request() => WRONG_USAGE,
        _ => OTHER,
    }
}

/// Sends the request and passes the answer's body on.
async fn transfer(options: Options, talk: &Talk) -> Result<u8, Failure> {
    let begun = Instant::now();
    let proxy = match &options.proxy {
        Some(proxy) => proxy.clone(),
        None => Proxy::from_env().map_err(|error| Failure::Usage(error.to_string()))?,
    };
    let client = AsyncHttpClient::builder()
        .proxy(proxy)
        .key_log(true)
        .build();
    let meter = Meter::new(options.output.as_deref());
    let request = request(&options, &meter, talk).await?;
    let mut response = client.fetch(request).await?;
    talk.answered(&response);
    meter.receive(response.content_length());

    let mut sink = Sink::open(options.output.as_deref()).await?;
    let passed_on = pass_on(&mut response, &options, talk, &meter, &mut sink);
    let passed_on = match options.timeout {
        None => passed_on.await,
        Some(limit) => {
            let rest = limit.saturating_sub(begun.elapsed());
            let passed_on = with_timeout(rest, passed_on).await;
            passed_on.unwrap_or(Err(Failure::Late(limit)))
        }
    };
    meter.finish();
    talk.times(response.time_info(), Some(begun.elapsed()));
    match passed_on {
        // Whoever read the output has seen enough.
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        passed_on => passed_on?,
    }
    if response.code() < 400 {
        return Ok(0);
    }
    let (code, reason) = (response.code(), response.reason());
    complain(format_args!("the answer is {code} {reason}"));
    Ok(BAD_STATUS)
}

async fn pass_on(
    response: &mut HttpResponse,
    options: &Options,
    talk: &Talk,
    meter: &Meter,
    sink: &mut Sink,
) -> Result<(), Failure> {
    if options.include {
        sink.write(talk.last_head()).await?;
    }
    while let Some(chunk) = response.chunk().await? {
        meter.add(chunk.len());
        sink.write(chunk).await?;
    }
    Ok(())
}

/// The request that the options describe.
async fn request(options: &Options, meter: &Meter, talk: &Talk) -> Result<HttpRequest, Failure> {
    let given = |name: &str| options.fields.iter().any(|field| field.is(name));
    let mut url = options.url.clone();
    if given("authorization") {
        // What is said with -H goes before what the address says.
        let _ = (url.set_username(""), url.set_password(None));
    }
    let mut request = HttpRequest::from(url)
        .follow_redirects(!options.no_follow)
        .validate_cert(!options.insecure)
        .request_timeout(options.timeout.unwrap_or_default())
        .idle_timeout(IDLE)
        .decompress(!given("accept-encoding"))
        .on_head(talk.hears());
    let body = if !options.form.is_empty() {
        let form = form::form(&options.form).await?;
        request = request.header("Content-Type", form.content_type());
        Some(form.into_body())
    } else if !options.data.is_empty() {
        if !given("content-type") {
            request = request.header("Content-Type", "application/x-www-form-urlencoded");
        }
        Some(data::body(&options.data).await?)
    } else {
        None
    };
    for field in &options.fields {
        // Only the form knows its boundary.
        if options.form.is_empty() || !field.is("content-type") {
            request = field.apply(request);
        }
    }
    let usual = if body.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let method = options.method.clone().unwrap_or(usual);
    let body = body.map_or_else(Body::empty, |body| meter.send(body));
    Ok(request.method(method).body(body))
}

fn method(text: &str) -> Result<Method, &'static str> {
    match text.parse() {
        Ok(Method::CONNECT) => Err("CONNECT makes a tunnel, which a fetch cannot"),
        Ok(method) => Ok(method),
        Err(_) => Err("expected a method, such as PUT"),
    }
}

fn proxy(text: &str) -> Result<Proxy, ProxyError> {
    match text {
        "" => Ok(Proxy::none()),
        text => Proxy::new(&with_scheme(text)),
    }
}
