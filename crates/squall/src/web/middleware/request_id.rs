//! `RequestIds`: a name for each request, in the log and in the answer.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use squall_http::server::ResponseFuture;
use tracing::Instrument;

use super::{Middleware, Next, visit};
use crate::web::cookies::random;
use crate::web::extract::FromRequest;
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// Longest id that is taken over.
const LONGEST: usize = 64;

type Predicate = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// Gives each request an id: in the answer's `X-Request-Id`, in the access log, in the span
/// of what the handler logs, and in the request's own header, so that a forward passes it
/// on. The extractor [`RequestId`] reads it.
///
/// ```
/// use squall::Application;
/// use squall::middleware::{RequestId, RequestIds};
///
/// async fn whoami(id: RequestId) -> String { format!("request {id}\n") }
///
/// let application = Application::new()
///     .middleware(RequestIds::new().accept_if(|request| {
///         request.exchange().remote_addr().ip().is_some_and(|ip| ip.is_loopback())
///     }))
///     .route("/", whoami);
/// ```
#[derive(Clone)]
pub struct RequestIds {
    header: String,
    accept: Option<Predicate>,
    /// What tells the ids of one process from those of another.
    prefix: u64,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    /// Always a new id.
    pub fn new() -> Self {
        // Without random numbers ids are still told apart within the process.
        let prefix = random::<8>().map_or(0, u64::from_be_bytes);
        Self {
            header: "X-Request-Id".to_owned(),
            accept: None,
            prefix,
            next: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Takes the id over that a request brings, where `trusted` says so, such as for the
    /// addresses of one's own proxies. It has to be of at most 64 letters, digits and
    /// `.`, `_`, `-`; otherwise there is a new one.
    #[must_use]
    pub fn accept_if(mut self, trusted: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.accept = Some(Arc::new(trusted));
        self
    }

    /// Another header: default `X-Request-Id`.
    #[must_use]
    pub fn header(mut self, name: &str) -> Self {
        name.clone_into(&mut self.header);
        self
    }

    fn id_of(&self, request: &Request) -> String {
        let sent = request.headers().get(&self.header).filter(|id| is_sane(id));
        let trusted = self.accept.as_ref().is_some_and(|accept| accept(request));
        match sent.filter(|_| trusted) {
            Some(sent) => sent.to_owned(),
            None => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                format!("{:016x}{number:016x}", self.prefix)
            }
        }
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

fn is_sane(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !id.is_empty() && id.len() <= LONGEST && id.bytes().all(fits)
}

impl Middleware for RequestIds {
    fn call(&self, mut request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let (id, header) = (self.id_of(&request), self.header.clone());
        let span = tracing::info_span!(target: "squall::web", "request", id);
        let work = async move {
            request.headers_mut().set(&header, &id)?;
            request.name_in_log(&id);
            request.extensions_mut().insert(RequestId(Arc::from(&*id)));
            let mut response = next.run(request).await;
            response.headers_mut().set(&header, &id)?;
            Ok(response)
        };
        Box::pin(visit.attend(work.instrument(span)))
    }

    fn needs(&self, needs: &mut Needs) {
        needs.provides::<RequestId>();
        if let Err(error) = squall_http::Headers::new().append(&self.header, "x") {
            needs.fault(&format!("RequestIds: {error}"));
        }
    }
}

impl fmt::Debug for RequestIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestIds")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// The request's id; an extractor that needs the middleware [`RequestIds`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromRequest for RequestId {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let id = request.extensions().get::<Self>().cloned();
        id.ok_or_else(|| Error::internal("there are no request ids: add the middleware RequestIds"))
    }

    fn is_absent(request: &Request) -> bool {
        request.extensions().get::<Self>().is_none()
    }

    fn needs(needs: &mut Needs) {
        needs.provided::<Self>("middleware::RequestIds");
    }
}
