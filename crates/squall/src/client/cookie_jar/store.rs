//! The cookies themselves: what is kept, what is sent, what goes first.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use squall_http::wire::set_cookie::ReceivedCookie;
use url::Url;

use super::domain::{host_of, is_public, matches};

/// Cookies of one domain.
const MAX_OF_DOMAIN: usize = 180;
/// Cookies in all.
const MAX_COOKIES: usize = 3000;
/// Bytes of a `Cookie` field; what does not fit stays at home.
const MAX_FIELD: usize = 32 << 10;
/// No cookie lives longer (RFC 6265bis section 5.5).
const MAX_LIFE: Duration = Duration::from_secs(400 * 86_400);

/// A cookie in a jar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredCookie {
    /// The name.
    pub name: String,
    /// The value as it is sent, with the quotes around it if there are any.
    pub value: String,
    /// The host it is for, in lower case.
    pub domain: String,
    /// Whether it is for that host alone and not for the hosts below it.
    pub host_only: bool,
    /// The path it is for, and everything below it.
    pub path: String,
    /// Whether it is sent over https only.
    pub secure: bool,
    /// Whether the server wants it kept from scripts.
    pub http_only: bool,
    /// When it ends; `None`: with the jar.
    pub expires: Option<SystemTime>,
}

#[derive(Default)]
pub(super) struct Store {
    /// In the order in which they were set first.
    cookies: Vec<StoredCookie>,
}

impl Store {
    /// Keeps a cookie, or lets it delete one; false where it is refused.
    pub(super) fn set(
        &mut self,
        url: &Url,
        received: &ReceivedCookie<'_>,
        now: SystemTime,
    ) -> bool {
        let Some(mut cookie) = accept(url, received) else {
            return false;
        };
        // What came over https cannot be overlaid by whoever sits on the line.
        if !is_secure(url) && self.shadows_a_secure_one(&cookie, now) {
            return false;
        }
        cookie.expires = expiry(received, now);
        let known = self.cookies.iter().position(|known| known.is_same(&cookie));
        let ended = cookie.has_ended(now);
        match known {
            Some(at) if ended => drop(self.cookies.remove(at)),
            Some(at) => self.cookies[at] = cookie,
            None if ended => {}
            None => {
                self.make_room(&cookie.domain, now);
                self.cookies.push(cookie);
            }
        }
        true
    }

    pub(super) fn header(&mut self, url: &Url, now: SystemTime) -> Option<String> {
        let host = host_of(url)?;
        let mut fitting: Vec<_> = (self.live(now))
            .filter(|cookie| cookie.is_for(&host, url))
            .collect();
        // Of equally long paths the one that was set first.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut field = String::new();
        for cookie in fitting {
            if field.len() + cookie.name.len() + cookie.value.len() + 3 > MAX_FIELD {
                break;
            }
            if !field.is_empty() {
                field.push_str("; ");
            }
            field.extend([&cookie.name, "=", &cookie.value]);
        }
        (!field.is_empty()).then_some(field)
    }

    pub(super) fn live(&self, now: SystemTime) -> impl Iterator<Item = &StoredCookie> {
        self.cookies
            .iter()
            .filter(move |cookie| !cookie.has_ended(now))
    }

    pub(super) fn restore(&mut self, cookies: Vec<StoredCookie>, now: SystemTime) {
        for mut cookie in cookies {
            cookie.expires = cookie.expires.map(|expires| expires.min(now + MAX_LIFE));
            if !cookie.has_ended(now) {
                self.make_room(&cookie.domain, now);
                self.cookies.push(cookie);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.cookies.clear();
    }

    fn shadows_a_secure_one(&self, new: &StoredCookie, now: SystemTime) -> bool {
        self.live(now).any(|known| {
            known.secure
                && known.name == new.name
                && (matches(&known.domain, &new.domain) || matches(&new.domain, &known.domain))
                && path_matches(&new.path, &known.path)
        })
    }

    /// Expired cookies go first, then the domain's oldest, then the oldest of all.
    fn make_room(&mut self, domain: &str, now: SystemTime) {
        let of_domain = |cookie: &StoredCookie| cookie.domain == domain;
        let count = self
            .cookies
            .iter()
            .filter(|cookie| of_domain(cookie))
            .count();
        if count < MAX_OF_DOMAIN && self.cookies.len() < MAX_COOKIES {
            return;
        }
        self.cookies.retain(|cookie| !cookie.has_ended(now));
        let mut of_this = (self.cookies.iter().enumerate()).filter(|(_, cookie)| of_domain(cookie));
        let (first, count) = (of_this.next().map(|(at, _)| at), 1 + of_this.count());
        if let Some(at) = first.filter(|_| count >= MAX_OF_DOMAIN) {
            self.cookies.remove(at);
        } else if self.cookies.len() >= MAX_COOKIES {
            self.cookies.remove(0);
        }
    }
}

/// The cookie that is kept; `None` where it is refused (RFC 6265bis section 5.7).
fn accept(url: &Url, received: &ReceivedCookie<'_>) -> Option<StoredCookie> {
    let host = host_of(url)?;
    let domain = (received.domain)
        .map(str::to_ascii_lowercase)
        .filter(|domain| !(is_public(domain) && *domain == host));
    if let Some(domain) = &domain
        && (is_public(domain) || !matches(&host, domain))
    {
        return None;
    }
    if received.secure && !is_secure(url) {
        return None;
    }
    let path = received
        .path
        .map_or_else(|| default_path(url), str::to_owned);
    let prefixed = |prefix: &str| {
        let start = received.name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let host_prefix = prefixed("__Host-");
    if (host_prefix || prefixed("__Secure-")) && !received.secure {
        return None;
    }
    if host_prefix && (received.domain.is_some() || received.path != Some("/")) {
        return None;
    }
    Some(StoredCookie {
        name: received.name.to_owned(),
        value: received.value.to_owned(),
        host_only: domain.is_none(),
        domain: domain.unwrap_or(host),
        path,
        secure: received.secure,
        http_only: received.http_only,
        expires: None,
    })
}

/// `Max-Age` counts before `Expires`.
fn expiry(received: &ReceivedCookie<'_>, now: SystemTime) -> Option<SystemTime> {
    match received.max_age {
        Some(life) => Some(now + life.min(MAX_LIFE)),
        None => received.expires.map(|expires| expires.min(now + MAX_LIFE)),
    }
}

/// The directory of the address.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory.to_owned(),
        _ => "/".to_owned(),
    }
}

fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
}

impl StoredCookie {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.domain == other.domain
            && self.host_only == other.host_only
            && self.path == other.path
    }

    fn has_ended(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn is_for(&self, host: &str, url: &Url) -> bool {
        let fits_host = match self.host_only {
            true => host == self.domain,
            false => matches(host, &self.domain),
        };
        fits_host && (!self.secure || is_secure(url)) && path_matches(url.path(), &self.path)
    }
}

#[cfg(test)]
mod tests {
    use squall_http::wire::set_cookie;

    use super::*;

    /// The `Cookie` field for `to` after the answers of `from` set the cookies.
    fn sent(from: &str, cookies: &[&str], to: &str) -> String {
        let (mut store, now) = (Store::default(), SystemTime::now());
        for cookie in cookies {
            if let Some(cookie) = set_cookie::parse(cookie.as_bytes()) {
                store.set(&Url::parse(from).unwrap(), &cookie, now);
            }
        }
        store
            .header(&Url::parse(to).unwrap(), now)
            .unwrap_or_default()
    }

    #[test]
    fn cookies_are_sent_where_they_belong() {
        for (from, cookie, to, expected) in [
            ("http://a.test/x/y", "k=v", "http://a.test/x/z", "k=v"),
            ("http://a.test/x/y", "k=v", "http://a.test/x", "k=v"),
            ("http://a.test/x/y", "k=v", "http://a.test/xy", ""),
            ("http://a.test/", "k=v; Path=/x", "http://a.test/x/", "k=v"),
            ("http://a.test/", "k=v; Path=x", "http://a.test/y", "k=v"),
            ("http://a.test/", "k=v", "http://A.TEST:8080/", "k=v"),
            ("http://a.test/", "k=v", "http://a.test./", "k=v"),
            ("http://a.test/", "k=v", "http://x.a.test/", ""),
            (
                "http://x.a.test/",
                "k=v; Domain=A.test",
                "http://y.a.test/",
                "k=v",
            ),
            ("http://a.test/", "k=v; Domain=", "http://x.a.test/", ""),
            (
                "http://a.test/",
                "k=v; Domain=x.a.test",
                "http://x.a.test/",
                "",
            ),
            ("http://test/", "k=v; Domain=test", "http://test/", "k=v"),
            ("http://test/", "k=v; Domain=test", "http://a.test/", ""),
            (
                "http://127.0.0.1/",
                "k=v; Domain=0.0.1",
                "http://127.0.0.1/",
                "",
            ),
            ("https://a.test/", "k=v; Secure", "https://a.test/", "k=v"),
            ("http://a.test/", "k=v; Secure", "https://a.test/", ""),
            ("https://a.test/", "__Secure-k=v", "https://a.test/", ""),
            (
                "https://a.test/",
                "__Secure-k=v; Secure",
                "https://a.test/",
                "__Secure-k=v",
            ),
            (
                "https://a.test/",
                "__host-k=v; Secure",
                "https://a.test/",
                "",
            ),
            (
                "https://a.test/",
                "__Host-k=v; Secure; Path=/",
                "https://a.test/x",
                "__Host-k=v",
            ),
            ("http://a.test/", "k=v; Max-Age=0", "http://a.test/", ""),
            (
                "http://a.test/",
                "k=v; Expires=Thu, 01-Jan-70 00:00:01",
                "http://a.test/",
                "",
            ),
            ("http://a.test/", "k=\"v w\"", "http://a.test/", "k=\"v w\""),
        ] {
            assert_eq!(sent(from, &[cookie], to), expected, "{from} {cookie} {to}");
        }
    }

    #[test]
    fn a_later_cookie_replaces_and_deletes() {
        let at = "http://a.test/";
        assert_eq!(sent(at, &["a=1", "b=2", "a=3"], at), "a=3; b=2");
        assert_eq!(sent(at, &["a=1", "b=2", "a=; Max-Age=0"], at), "b=2");
        assert_eq!(
            sent(at, &["a=1", "a=2; Path=/x", "b=3"], "http://a.test/x"),
            "a=2; a=1; b=3"
        );
    }

    #[test]
    fn what_https_has_set_is_safe_from_http() {
        let (mut store, now) = (Store::default(), SystemTime::now());
        let mut set = |url: &str, cookie: &str| {
            let cookie = set_cookie::parse(cookie.as_bytes()).unwrap();
            store.set(&Url::parse(url).unwrap(), &cookie, now)
        };
        assert!(set("https://a.test/", "k=v; Secure; Path=/x"));
        assert!(!set("http://a.test/", "k=evil; Path=/x/y"));
        assert!(!set("http://x.a.test/", "k=evil; Domain=a.test; Path=/x"));
        assert!(set("http://a.test/", "k=v; Path=/"));
        assert!(set("https://a.test/", "k=w; Secure; Path=/x"));
    }

    #[test]
    fn a_secure_cookie_that_has_ended_is_in_nobodys_way() {
        let (mut store, now) = (Store::default(), SystemTime::now());
        let mut set = |url: &str, cookie: &str, now| {
            let cookie = set_cookie::parse(cookie.as_bytes()).unwrap();
            store.set(&Url::parse(url).unwrap(), &cookie, now)
        };
        assert!(set("https://a.test/", "k=v; Secure; Max-Age=60", now));
        assert!(!set("http://a.test/", "k=w", now));
        let later = now + Duration::from_secs(61);
        assert!(set("http://a.test/", "k=w", later));
        let sent = store.header(&Url::parse("https://a.test/").unwrap(), later);
        assert_eq!(sent.as_deref(), Some("k=w"));
    }

    #[test]
    fn no_server_fills_the_jar() {
        let (mut store, now) = (Store::default(), SystemTime::now());
        let mut set = |host: usize, name: usize| {
            let url = Url::parse(&format!("http://h{host}.test/")).unwrap();
            let text = format!("k{name}=v");
            let cookie = set_cookie::parse(text.as_bytes()).unwrap();
            store.set(&url, &cookie, now);
        };
        for name in 0..1000 {
            set(0, name);
        }
        for host in 1..4000 {
            set(host, 0);
        }
        assert_eq!(store.cookies.len(), MAX_COOKIES);
        let (mut store, url) = (Store::default(), Url::parse("http://h.test/").unwrap());
        for name in 0..MAX_OF_DOMAIN + 10 {
            let text = format!("k{name}=v");
            store.set(&url, &set_cookie::parse(text.as_bytes()).unwrap(), now);
        }
        assert_eq!(store.cookies.len(), MAX_OF_DOMAIN);
        assert!(store.header(&url, now).unwrap().starts_with("k10=v; k11=v"));
    }
}
