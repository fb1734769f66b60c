//! `CookieJar`: cookies that servers set, sent back where they belong.
//!
//! RFC 6265bis, as browsers do it: public suffixes, `__Host-` and `__Secure-` names,
//! `Secure` only over https, at most 400 days. What is kept has bounds, so that no
//! server can fill the jar.

mod domain;
mod store;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use squall_http::Headers;
use squall_http::wire::set_cookie;
use url::Url;

pub use store::StoredCookie;

use crate::draft_file::DraftFile;
use store::Store;

/// A file of cookies that is larger is no such file.
const MAX_FILE: u64 = 64 << 20;

/// Cookies of a client. Cloning gives another handle to the same jar.
///
/// ```
/// use squall::client::{AsyncHttpClient, CookieJar};
///
/// let jar = CookieJar::new();
/// let client = AsyncHttpClient::builder().cookie_jar(jar.clone()).build();
/// // … fetch a login form, post it, and be logged in …
/// assert!(jar.is_empty());
/// ```
///
/// | bound | cookies |
/// |---|---:|
/// | of one host | 180 |
/// | in all | 3,000 |
///
/// Beyond them the cookies that were set first go.
#[derive(Clone, Default)]
pub struct CookieJar {
    store: Arc<Mutex<Store>>,
}

impl CookieJar {
    /// An empty jar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps what the answer of `url` sets.
    pub fn store(&self, url: &Url, headers: &Headers) {
        let mut fields = headers.get_all("set-cookie").peekable();
        if fields.peek().is_none() {
            return;
        }
        let now = SystemTime::now();
        let mut store = self.store.lock();
        for cookie in fields.filter_map(set_cookie::parse) {
            store.set(url, &cookie, now);
        }
    }

    /// Sets one cookie as if the answer of `url` had: the text is a `Set-Cookie`'s.
    ///
    /// Says whether it was kept.
    pub fn set(&self, url: &Url, cookie: &str) -> bool {
        set_cookie::parse(cookie.as_bytes())
            .is_some_and(|cookie| self.store.lock().set(url, &cookie, SystemTime::now()))
    }

    /// The `Cookie` field for a request to `url`; `None`: there is no cookie for it.
    pub fn header(&self, url: &Url) -> Option<String> {
        self.store.lock().header(url, SystemTime::now())
    }

    /// Every cookie that has not expired, in no order.
    pub fn cookies(&self) -> Vec<StoredCookie> {
        self.store.lock().live(SystemTime::now()).cloned().collect()
    }

    /// How many cookies have not expired.
    pub fn len(&self) -> usize {
        self.store.lock().live(SystemTime::now()).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.store.lock().clear();
    }

    /// The jar as JSON, with cookies that last beyond the session only.
    ///
    /// # Errors
    /// Never for a jar that servers have filled: names and values are text.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let store = self.store.lock();
        let lasting = store
            .live(SystemTime::now())
            .filter(|cookie| cookie.expires.is_some());
        serde_json::to_string_pretty(&lasting.collect::<Vec<_>>())
    }

    /// A jar from what [`to_json`](Self::to_json) wrote. What has expired stays out.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        let jar = Self::new();
        let cookies: Vec<StoredCookie> = serde_json::from_str(json)?;
        jar.store.lock().restore(cookies, SystemTime::now());
        Ok(jar)
    }

    /// Writes the jar to a file, as [`to_json`](Self::to_json) does, in place of what was
    /// there. Only its owner can read it. Blocks until the disk has what it holds: in a
    /// handler that is work for [`run_on_executor`](crate::run_on_executor).
    ///
    /// # Errors
    /// The file system's; then the old file is as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let json = self.to_json()?;
        let mut draft = DraftFile::create_private(path.as_ref().to_owned())?;
        draft.write(json.as_bytes())?;
        draft.sync()?;
        draft.finish()
    }

    /// Reads what [`save`](Self::save) wrote; no file is an empty jar. Blocks meanwhile.
    ///
    /// # Errors
    /// The file system's, or [`io::ErrorKind::InvalidData`] when it is no jar.
    pub fn load(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new()),
            Err(error) => return Err(error),
        };
        let mut json = String::new();
        file.take(MAX_FILE).read_to_string(&mut json)?;
        Ok(Self::from_json(&json)?)
    }
}

/// Says how many there are; values are secrets.
impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar")
            .field("len", &self.len())
            .finish()
    }
}
