//! `Traces`: each request as a part of a trace (W3C Trace Context).

use std::fmt;
use std::sync::Arc;

use squall_http::server::ResponseFuture;
use tracing::Instrument;
use tracing::field::Empty;

use super::{Middleware, Next, visit};
use crate::web::cookies::random;
use crate::web::extract::FromRequest;
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// Longest `tracestate` that is passed on (section 3.3.1.5 of the standard asks for 512).
const STATE: usize = 512;

/// Continues the trace that a request brings in `traceparent`, or begins one.
///
/// What the handler does runs in a span `request` (target `squall::trace`, INFO) with the
/// fields `trace_id`, `span_id`, `parent_id`, `method`, `path`, `route` and `status`. The
/// request's own `traceparent` is changed to that span's, so that a forward passes it on.
/// For a fetch, the extractor [`TraceContext`] is what to send:
///
/// ```
/// use squall::middleware::{TraceContext, Traces};
/// use squall::{Application, AsyncHttpClient, HttpRequest, Result, State};
///
/// async fn news(State(client): State<AsyncHttpClient>, trace: TraceContext) -> Result<String> {
///     let request = HttpRequest::get("http://127.0.0.1:9000/news")
///         .header("traceparent", trace.to_string());
///     Ok(client.fetch(request).await?.text().await?)
/// }
///
/// let application = Application::new()
///     .state(AsyncHttpClient::new())
///     .middleware(Traces::default())
///     .route("/news", news);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Traces {
    restart: bool,
}

impl Traces {
    /// Begins a trace with each request, whatever it brings, for servers whose clients
    /// are not to be trusted with that: default false.
    #[must_use]
    pub fn restart(mut self, restart: bool) -> Self {
        self.restart = restart;
        self
    }
}

/// Where a request stands in its trace; an extractor that needs the middleware [`Traces`].
///
/// Its text is the `traceparent` for whoever is called from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    parent: Option<u64>,
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// A span of a new trace.
    fn root() -> Result<Self> {
        Ok(Self {
            trace: u128::from_be_bytes(random()?).max(1),
            span: fresh_span()?,
            parent: None,
            flags: 1,
            state: None,
        })
    }

    /// A span below the one that a request brings, if that is valid.
    fn below(parent: &str, state: Option<&str>) -> Result<Option<Self>> {
        let Some((trace, parent, flags)) = parse(parent) else {
            return Ok(None);
        };
        Ok(Some(Self {
            trace,
            span: fresh_span()?,
            parent: Some(parent),
            // Only what this version knows: sampled (1), and random (2).
            flags: flags & 3,
            state: state.filter(|state| state.len() <= STATE).map(Arc::from),
        }))
    }

    /// The trace's id: 32 digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The id of the request's own span: 16 digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// The id of the span that called, if there is one.
    pub fn parent_id(&self) -> Option<String> {
        self.parent.map(|parent| format!("{parent:016x}"))
    }

    /// Whether whoever began the trace wants it recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The `tracestate` that came along, to be passed on as it is.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

fn fresh_span() -> Result<u64> {
    Ok(u64::from_be_bytes(random()?).max(1))
}

/// Trace, span and flags of a `traceparent` (section 3.2.2 of the standard).
fn parse(text: &str) -> Option<(u128, u64, u8)> {
    let version = hex(text.get(..2)?)?;
    let known = text.get(..55)?;
    let rest = text.get(55..)?;
    // Later versions may add fields after a dash.
    let fits = match version {
        0 => rest.is_empty(),
        255 => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let mut fields = known.split('-').skip(1);
    let (trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
    if !fits || fields.next().is_some() || (trace.len(), span.len(), flags.len()) != (32, 16, 2) {
        return None;
    }
    let (trace, span, flags) = (hex(trace)?, hex(span)?, hex(flags)?);
    let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(flags).ok()?);
    (trace != 0 && span != 0).then_some((trace, span, flags))
}

/// Lower case only, as the standard wants it.
fn hex(text: &str) -> Option<u128> {
    let digits = (text.bytes()).all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| digits)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace, self.span, self.flags
        )
    }
}

impl Middleware for Traces {
    fn call(&self, mut request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let context = context(&request, self.restart);
        let span = span(&request, context.as_ref().ok());
        let recorded = span.clone();
        let work = async move {
            let context = context?;
            let headers = request.headers_mut();
            headers.set("traceparent", context.to_string())?;
            if context.state.is_none() {
                headers.remove("tracestate");
            }
            request.extensions_mut().insert(context);
            let response = next.run(request).await;
            recorded.record("status", response.status().as_u16());
            Ok(response)
        };
        Box::pin(visit.attend(work.instrument(span)))
    }

    fn needs(&self, needs: &mut Needs) {
        needs.provides::<TraceContext>();
    }
}

fn context(request: &Request, restart: bool) -> Result<TraceContext> {
    let headers = request.headers();
    // More than one is none (section 3.2.1).
    let parent =
        (headers.get("traceparent")).filter(|_| !restart && headers.count("traceparent") == 1);
    let state = (headers.get("tracestate")).filter(|_| headers.count("tracestate") == 1);
    let below = parent.map(|parent| TraceContext::below(parent, state));
    match below.transpose()?.flatten() {
        Some(below) => Ok(below),
        None => TraceContext::root(),
    }
}

fn span(request: &Request, context: Option<&TraceContext>) -> tracing::Span {
    tracing::info_span!(
        target: "squall::trace",
        "request",
        trace_id = context.map(TraceContext::trace_id),
        span_id = context.map(TraceContext::span_id),
        parent_id = context.and_then(TraceContext::parent_id),
        method = %request.method(),
        path = request.path(),
        route = request.route(),
        status = Empty,
    )
}

impl FromRequest for TraceContext {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let context = request.extensions().get::<Self>().cloned();
        context.ok_or_else(|| Error::internal("there are no traces: add the middleware Traces"))
    }

    fn is_absent(request: &Request) -> bool {
        request.extensions().get::<Self>().is_none()
    }

    fn needs(needs: &mut Needs) {
        needs.provided::<Self>("middleware::Traces");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let good = (
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            0x00f0_67aa_0ba9_02b7,
            1,
        );
        assert_eq!(parse(GOOD), Some(good));
        for good in [
            GOOD.replacen("00", "cc", 1),
            GOOD.replacen("00", "01", 1) + "-what-comes",
        ] {
            assert!(parse(&good).is_some(), "{good}");
        }
        for bad in [
            String::new(),
            GOOD.replacen("00", "ff", 1),
            GOOD.to_uppercase(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-x"),
            format!("{GOOD}0"),
            GOOD.replacen("00", "01", 1) + "x",
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("4bf9", "4-f9"),
            GOOD.replace("4bf9", "+bf9"),
            "é".repeat(40),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        let below = TraceContext::below(GOOD, Some("a=b")).unwrap().unwrap();
        assert_eq!(below.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(below.parent_id().as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(below.state(), Some("a=b"));
        assert_ne!(below.span_id(), "00f067aa0ba902b7");
        let sent = below.to_string();
        assert_eq!(parse(&sent), Some((below.trace, below.span, 1)));
    }
}
