//! `Cors`: which other sites' pages may read answers (Fetch standard, section 3.2).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use squall_http::Body;
use squall_http::server::{Response, ResponseFuture};

use super::{Middleware, Next, visit};
use crate::web::cross_origin::{Named, is_origin};
use crate::web::handler::Needs;
use crate::web::request::Request;
use crate::{Error, Result};

/// Lets pages of other sites read answers, and answers their preflights.
///
/// ```
/// use squall::middleware::Cors;
/// use squall::{Application, Method};
///
/// let application = Application::new().middleware(
///     Cors::origins(["https://app.example"])
///         .methods([Method::GET, Method::POST])
///         .allow_headers(["Content-Type", "Authorization"])
///         .credentials(true),
/// );
/// ```
///
/// Origins that are named here, by a list or a function, may also send requests with unsafe
/// methods, which the cross-origin protection would refuse
/// ([`Settings::cross_origin_protection`](crate::Settings::cross_origin_protection));
/// [`Cors::any`] does not lift it. A preflight that is not allowed is a 403 that says why.
#[derive(Clone)]
pub struct Cors {
    policy: Arc<Policy>,
}

#[derive(Clone)]
struct Policy {
    who: Who,
    methods: String,
    allow_headers: String,
    expose_headers: String,
    credentials: bool,
    private_network: bool,
    max_age: Duration,
}

#[derive(Clone)]
enum Who {
    Anyone,
    Listed(Vec<String>),
    If(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Cors {
    /// Pages of every site, without the user's cookies.
    pub fn any() -> Self {
        Self::of(Who::Anyone)
    }

    /// Pages of these origins, each as a browser writes it: `https://app.example`.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self::of(Who::Listed(origins.into_iter().map(Into::into).collect()))
    }

    /// Pages of the origins for which `allowed` says so. It sees the header as it was
    /// sent, such as `https://app.example` or `null`; compare it whole.
    pub fn origin_if(allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::of(Who::If(Arc::new(allowed)))
    }

    fn of(who: Who) -> Self {
        Self {
            policy: Arc::new(Policy {
                who,
                methods: "GET, HEAD, POST, PUT, PATCH, DELETE".to_owned(),
                allow_headers: "Content-Type".to_owned(),
                expose_headers: String::new(),
                credentials: false,
                private_network: false,
                max_age: Duration::from_secs(600),
            }),
        }
    }

    /// The methods they may use: default GET, HEAD, POST, PUT, PATCH and DELETE.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        let methods = methods.into_iter().map(|method| method.to_string());
        self.set().methods = list(methods);
        self
    }

    /// The headers they may send beyond the simple ones: default `Content-Type`.
    #[must_use]
    pub fn allow_headers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.set().allow_headers = list(names.into_iter().map(Into::into));
        self
    }

    /// The headers of answers they may read beyond the simple ones: default none.
    #[must_use]
    pub fn expose_headers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.set().expose_headers = list(names.into_iter().map(Into::into));
        self
    }

    /// Whether their requests may carry the user's cookies: default false. Not with
    /// [`any`](Self::any), which is reported when the application begins to listen.
    #[must_use]
    pub fn credentials(mut self, credentials: bool) -> Self {
        self.set().credentials = credentials;
        self
    }

    /// Whether pages from the internet may reach this server in a private network:
    /// default false.
    #[must_use]
    pub fn private_network(mut self, allowed: bool) -> Self {
        self.set().private_network = allowed;
        self
    }

    /// How long a browser may remember a preflight's answer: default 10 minutes.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.set().max_age = max_age;
        self
    }

    fn set(&mut self) -> &mut Policy {
        Arc::make_mut(&mut self.policy)
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl Middleware for Cors {
    fn call(&self, mut request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let policy = self.policy.clone();
        Box::pin(visit.attend(async move {
            let origin = request.headers().get("origin").map(str::to_owned);
            let preflight = request.method() == Method::OPTIONS
                && request.headers().contains("access-control-request-method");
            if let (true, Some(origin)) = (preflight, &origin) {
                return policy.preflight(&request, origin);
            }
            let allowed = origin.filter(|origin| policy.allows(origin));
            if allowed.is_some() && !matches!(policy.who, Who::Anyone) {
                request.extensions_mut().insert(Named);
            }
            let mut response = next.run(request).await;
            policy.mark(&mut response, allowed.as_deref())?;
            Ok(response)
        }))
    }

    fn needs(&self, needs: &mut Needs) {
        if self.policy.credentials && matches!(self.policy.who, Who::Anyone) {
            needs.fault("Cors::any cannot allow credentials: name the origins");
        }
        if let Who::Listed(origins) = &self.policy.who {
            for origin in origins.iter().filter(|origin| !is_origin(origin)) {
                needs.fault(&format!(
                    "Cors: {origin:?} is no origin such as \"https://app.example\""
                ));
            }
        }
    }
}

impl Policy {
    fn allows(&self, origin: &str) -> bool {
        match &self.who {
            Who::Anyone => true,
            Who::Listed(origins) => origins.iter().any(|known| known == origin),
            Who::If(allowed) => allowed(origin),
        }
    }

    /// Answers the browser's question, in the place of any handler.
    fn preflight(&self, request: &Request, origin: &str) -> Result<Response> {
        let headers = request.headers();
        let refuse = |what: String| Err(refusal(what));
        if !self.allows(origin) {
            return refuse(format!(
                "the origin {:?}; setting: Cors::origins",
                cut(origin)
            ));
        }
        let method = (headers.get("access-control-request-method")).unwrap_or_default();
        if !self.methods.split(", ").any(|known| known == method) {
            return refuse(format!(
                "the method {:?}; setting: Cors::methods",
                cut(method)
            ));
        }
        let unknown = headers
            .tokens("access-control-request-headers")
            .find(|name| !(self.allow_headers.split(", ")).any(|it| it.eq_ignore_ascii_case(name)));
        if let Some(name) = unknown {
            return refuse(format!(
                "the header {:?}; setting: Cors::allow_headers",
                cut(name)
            ));
        }
        let mut response = Response::new(StatusCode::NO_CONTENT, Body::empty());
        self.mark(&mut response, Some(origin))?;
        let answer = response.headers_mut();
        answer.set("Access-Control-Allow-Methods", &self.methods)?;
        if !self.allow_headers.is_empty() {
            answer.set("Access-Control-Allow-Headers", &self.allow_headers)?;
        }
        answer.set("Access-Control-Max-Age", self.max_age.as_secs().to_string())?;
        let asked = headers.get("access-control-request-private-network");
        if self.private_network && asked == Some("true") {
            answer.set("Access-Control-Allow-Private-Network", "true")?;
        }
        answer.append(
            "Vary",
            "Access-Control-Request-Method, Access-Control-Request-Headers",
        )?;
        Ok(response)
    }

    /// Says in an answer who may read it.
    fn mark(&self, response: &mut Response, allowed: Option<&str>) -> Result<()> {
        let headers = response.headers_mut();
        if matches!(self.who, Who::Anyone) {
            headers.set("Access-Control-Allow-Origin", "*")?;
        } else {
            // Also without an origin: a cache must not give that answer to one.
            headers.append("Vary", "Origin")?;
            let Some(origin) = allowed else {
                return Ok(());
            };
            headers.set("Access-Control-Allow-Origin", origin)?;
            if self.credentials {
                headers.set("Access-Control-Allow-Credentials", "true")?;
            }
        }
        if !self.expose_headers.is_empty() {
            headers.set("Access-Control-Expose-Headers", &self.expose_headers)?;
        }
        Ok(())
    }
}

fn refusal(what: String) -> Error {
    Error::forbidden(format!("not allowed to other sites here: {what}"))
        .with_header("Vary", "Origin")
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Cors");
        match &self.policy.who {
            Who::Anyone => debug.field("origins", &"*"),
            Who::Listed(origins) => debug.field("origins", origins),
            Who::If(_) => debug.field("origins", &"a function's"),
        };
        debug.finish_non_exhaustive()
    }
}
