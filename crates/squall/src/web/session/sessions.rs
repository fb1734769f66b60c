//! `Sessions`: the middleware that attaches a session to each request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use squall_http::Headers;
use squall_http::server::{Response, ResponseFuture};
use squall_http::wire::cookie;

use super::handle::{Inner, Record, Session};
use super::memory::MemoryStore;
use super::store::{AnyStore, SessionStore, Token};
use crate::Result;
use crate::web::cookies::{
    Keys, OVERHEAD, SameSite, SetCookie, is_secure, keys_of, now, open, put, seal, seconds,
};
use crate::web::handler::Needs;
use crate::web::middleware::{Middleware, Next, visit};
use crate::web::request::Request;

/// Longest cookie, name and value together, that browsers keep.
const COOKIE: usize = 4096;
/// A session that is only read is written again when this part of its idle time has gone.
const REFRESH: u32 = 4;

/// Attaches a [`Session`] to each request; see [`session`](super).
///
/// ```
/// use std::time::Duration;
/// use squall::session::Sessions;
/// use squall::{Application, Keys};
///
/// # fn main() -> squall::Result<()> {
/// let application = Application::new()
///     .keys(Keys::random()?)
///     .middleware(Sessions::in_cookie().idle(Duration::from_secs(3600)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sessions {
    config: Arc<Config>,
}

#[derive(Clone)]
struct Config {
    /// None: in the cookie.
    store: Option<Arc<dyn AnyStore>>,
    cookie: SetCookie,
    idle: Duration,
    lifetime: Duration,
    max_size: Option<usize>,
    persistent: bool,
}

impl Sessions {
    /// Sessions in this process; they end with it. See [`MemoryStore`] for its bounds.
    pub fn in_memory() -> Self {
        Self::in_store(MemoryStore::new())
    }

    /// Sessions in a store.
    pub fn in_store(store: impl SessionStore) -> Self {
        Self::with(Some(Arc::new(store)))
    }

    /// Sessions in an encrypted cookie. The application needs
    /// [`keys`](crate::Application::keys).
    ///
    /// Nothing is kept on the server, so nothing can be ended there: a copy of the cookie
    /// is good until it expires, also after [`Session::flush`] and [`Session::rotate`].
    pub fn in_cookie() -> Self {
        Self::with(None)
    }

    fn with(store: Option<Arc<dyn AnyStore>>) -> Self {
        Self {
            config: Arc::new(Config {
                store,
                cookie: SetCookie::new("session", ""),
                idle: Duration::from_secs(30 * 60),
                lifetime: Duration::from_secs(24 * 3600),
                max_size: None,
                persistent: false,
            }),
        }
    }

    fn set(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }

    /// How long a session lives without a request that uses it: default 30 minutes, at
    /// least a second.
    ///
    /// A session that is only read is written again once a quarter of this time has gone.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.set().idle = idle.max(Duration::from_secs(1));
        self
    }

    /// How long a session lives at most, from its begin or the last
    /// [`rotate`](Session::rotate): default 24 hours, at least a second.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.set().lifetime = lifetime.max(Duration::from_secs(1));
        self
    }

    /// The most bytes of a session, as JSON: default 64 KiB. In a cookie, as many as fit
    /// into the 4096 bytes that browsers keep, some 3,000, and not more.
    #[must_use]
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.set().max_size = Some(bytes);
        self
    }

    /// The cookie's name: default `session`. One that begins with `__Host-` cannot be
    /// set by other hosts of the same domain; it works over TLS alone.
    #[must_use]
    pub fn cookie_name(mut self, name: &str) -> Self {
        let cookie = &mut self.set().cookie;
        name.clone_into(&mut cookie.name);
        cookie.secure = name.starts_with("__");
        self
    }

    /// When the cookie goes along with other sites' requests: default `Lax`.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.set().cookie.same_site = Some(same_site);
        self
    }

    /// Whether the cookie outlives the browser, for as long as the session may: default
    /// false.
    #[must_use]
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.set().persistent = persistent;
        self
    }
}

impl Middleware for Sessions {
    fn call(&self, mut request: Request, next: Next) -> ResponseFuture {
        let visit = visit(&request);
        let attached = Attached::new(self.config.clone(), &request);
        request.extensions_mut().insert(attached.clone());
        Box::pin(visit.attend(async move {
            let mut response = next.run(request).await;
            attached.keep(&mut response).await?;
            Ok(response)
        }))
    }

    fn needs(&self, needs: &mut Needs) {
        needs.provides::<Attached>();
        if self.config.store.is_none() {
            needs.keys();
        }
        if let Err(error) = self.config.cookie.to_header() {
            needs.fault(&format!("the cookie of the sessions: {error}"));
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("cookie", &self.config.cookie.name)
            .field("idle", &self.config.idle)
            .field("lifetime", &self.config.lifetime)
            .finish_non_exhaustive()
    }
}

/// A request's session, which may not have been asked for.
#[derive(Clone)]
pub(super) struct Attached {
    config: Arc<Config>,
    shared: Arc<Shared>,
}

struct Shared {
    /// The visitor's cookie, as it was sent.
    sent: Option<String>,
    keys: Option<Arc<Keys>>,
    secure: bool,
    session: Mutex<Option<Session>>,
}

impl Attached {
    fn new(config: Arc<Config>, request: &Request) -> Self {
        let shared = Shared {
            sent: cookie::get(request.headers(), &config.cookie.name).map(str::to_owned),
            keys: match config.store {
                Some(_) => None,
                None => keys_of(request).ok(),
            },
            secure: is_secure(request),
            session: Mutex::new(None),
        };
        Self {
            config,
            shared: Arc::new(shared),
        }
    }

    fn loaded(&self) -> Option<Session> {
        self.shared.session.lock().clone()
    }

    /// The session, loaded by whoever asks first.
    pub(super) async fn session(&self) -> Result<Session> {
        if let Some(session) = self.loaded() {
            return Ok(session);
        }
        let found = self.find().await?;
        let has_cookie = self.shared.sent.is_some();
        let (token, record) = found.unwrap_or_else(|| (None, Record::fresh()));
        let session = Session::new(Inner {
            record,
            token,
            retired: None,
            has_cookie,
            changed: false,
            max_size: self.config.max_size(),
        });
        let mut slot = self.shared.session.lock();
        Ok(slot.get_or_insert(session).clone())
    }

    /// What is known about the visitor, if it has not expired.
    async fn find(&self) -> Result<Option<(Option<Token>, Record)>> {
        let config = &self.config;
        let Some(sent) = &self.shared.sent else {
            return Ok(None);
        };
        let (token, bytes) = match (&config.store, &self.shared.keys) {
            (Some(store), _) => {
                let Some(token) = Token::parse(sent) else {
                    return Ok(None);
                };
                let bytes = store.load(&token.id()).await?;
                (Some(token), bytes.map(Vec::from))
            }
            (None, Some(keys)) => {
                let name = &config.cookie.name;
                (None, open(keys, name, sent, config.lifetime, now()))
            }
            (None, None) => (None, None),
        };
        let record = bytes.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        let record = record.filter(|record| !config.ttl(record).is_zero());
        Ok(record.map(|record| (token, record)))
    }

    /// Keeps what the handler has changed, and tells the visitor.
    async fn keep(&self, response: &mut Response) -> Result<()> {
        let Some(session) = self.loaded() else {
            return Ok(());
        };
        response.headers_mut().append("Vary", "Cookie")?;
        if response.status().is_server_error() {
            return Ok(());
        }
        let (mut record, token, retired, has_cookie, changed) = {
            let inner = session.lock();
            let (token, retired) = (inner.token.clone(), inner.retired.clone());
            let record = inner.record.clone();
            (record, token, retired, inner.has_cookie, inner.changed)
        };
        let store = self.config.store.as_ref();
        if let (Some(store), Some(retired)) = (store, retired) {
            store.remove(&retired.id()).await?;
        }
        if record.values.is_empty() {
            if let (Some(store), Some(token)) = (store, token) {
                store.remove(&token.id()).await?;
            }
            // A cookie that is merely unknown is left alone: a log-in that ran beside this
            // request may have replaced it already.
            return match has_cookie && changed {
                true => self.forget(response.headers_mut()),
                false => Ok(()),
            };
        }
        let now = seconds(now());
        let since = Duration::from_secs(now.saturating_sub(record.seen));
        if !changed && since < self.config.idle / REFRESH {
            return Ok(());
        }
        record.seen = now;
        let value = match (store, token) {
            (None, _) => self.sealed(&record)?,
            (Some(store), Some(token)) => {
                let (id, bytes) = (token.id(), record.bytes().into());
                if !store.update(&id, bytes, self.config.ttl(&record)).await? {
                    // It was ended meanwhile, and stays so.
                    return Ok(());
                }
                token.as_str().to_owned()
            }
            (Some(store), None) => {
                let token = Token::fresh()?;
                let (id, bytes) = (token.id(), record.bytes().into());
                store.create(&id, bytes, self.config.ttl(&record)).await?;
                token.as_str().to_owned()
            }
        };
        let mut cookie = self.config.cookie.clone();
        cookie.value = value;
        if self.config.persistent {
            cookie.max_age = Some(self.config.ttl(&record));
        }
        self.tell(response.headers_mut(), cookie)
    }

    fn sealed(&self, record: &Record) -> Result<String> {
        let keys = self.shared.keys.as_ref();
        let keys = keys.ok_or_else(|| crate::Error::internal("there are no keys"))?;
        seal(keys, &self.config.cookie.name, &record.bytes(), now())
    }

    fn forget(&self, headers: &mut Headers) -> Result<()> {
        let mut cookie = SetCookie::removal(&self.config.cookie.name);
        cookie.secure = self.config.cookie.secure;
        self.tell(headers, cookie)
    }

    fn tell(&self, headers: &mut Headers, cookie: SetCookie) -> Result<()> {
        if !headers.contains("cache-control") {
            headers.set("Cache-Control", "no-store")?;
        }
        put(headers, cookie, self.shared.secure)
    }
}

impl Config {
    /// How much longer a session lives. Zero: it has expired.
    fn ttl(&self, record: &Record) -> Duration {
        let now = seconds(now());
        let left = |since: u64, limit: Duration| {
            limit.saturating_sub(Duration::from_secs(now.saturating_sub(since)))
        };
        left(record.begun, self.lifetime).min(left(record.seen, self.idle))
    }

    fn max_size(&self) -> usize {
        // base64 turns three bytes into four.
        let fit = COOKIE.saturating_sub(self.cookie.name.len()) / 4 * 3;
        match self.store {
            Some(_) => self.max_size.unwrap_or(64 << 10),
            None => (self.max_size.unwrap_or(usize::MAX)).min(fit.saturating_sub(OVERHEAD)),
        }
    }
}
