//! Proxies: which one a request goes through, and how it gets there.
//!
//! ```text
//! http://  through an HTTP proxy:   the request itself, with the whole address as target
//! https:// through an HTTP proxy:   CONNECT, then TLS through the tunnel
//! any      through a SOCKS5 proxy:  a tunnel by RFC 1928
//! ```

mod connect;
mod no_proxy;
mod socks;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use squall_loop::net::TcpStream;
use url::{Host, Url};

use super::address::Address;

pub(super) use connect::ProxyFailure;
use no_proxy::NoProxy;

/// A proxy that requests go through, given to [`ClientBuilder::proxy`] or to
/// [`HttpRequest::proxy`].
///
/// ```
/// use squall::client::{AsyncHttpClient, Proxy};
///
/// let proxy = Proxy::new("http://user:secret@proxy.test:3128")?.no_proxy("localhost,.inside.test");
/// let client = AsyncHttpClient::builder().proxy(proxy).build();
/// # Ok::<(), squall::client::ProxyError>(())
/// ```
///
/// | address | kind |
/// |---|---|
/// | `http://HOST:PORT` | an HTTP proxy; port 80 unless said otherwise |
/// | `socks5://HOST:PORT` | SOCKS5, names are resolved here; port 1080 |
/// | `socks5h://HOST:PORT` | SOCKS5, the proxy resolves names; port 1080 |
///
/// [`ClientBuilder::proxy`]: super::ClientBuilder::proxy
/// [`HttpRequest::proxy`]: super::HttpRequest::proxy
#[derive(Clone)]
pub struct Proxy {
    rules: Arc<Rules>,
}

#[derive(Clone, Default)]
struct Rules {
    http: Option<Arc<Via>>,
    https: Option<Arc<Via>>,
    except: NoProxy,
}

/// One proxy.
#[derive(PartialEq, Eq)]
pub(super) struct Via {
    /// Its address without credentials: what its connections are known by.
    name: String,
    kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    user: String,
    password: String,
    authorization: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Socks { resolves: bool },
}

impl Proxy {
    /// A proxy for all requests.
    ///
    /// # Errors
    /// [`ProxyError`] when the address is none of the table above.
    pub fn new(address: &str) -> Result<Self, ProxyError> {
        let via = Arc::new(Via::parse(address)?);
        Ok(Self::from(Rules {
            http: Some(via.clone()),
            https: Some(via),
            except: NoProxy::default(),
        }))
    }

    /// What the environment says: `http_proxy`, `https_proxy`, `all_proxy` and
    /// `no_proxy`, each also in capitals, the small ones first. Nothing there is no
    /// proxy. Never for the machine itself, unless asked by another name.
    ///
    /// `HTTP_PROXY` in capitals is not read where `REQUEST_METHOD` is set: in a CGI
    /// program the client writes it.
    ///
    /// # Errors
    /// [`ProxyError`] names the variable whose address is none.
    pub fn from_env() -> Result<Self, ProxyError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let is_cgi = get("REQUEST_METHOD").is_some();
        let read = |name: &str| {
            let capitals = name.to_ascii_uppercase();
            let trusted = !(is_cgi && name == "http_proxy");
            let value = get(name).or_else(|| get(&capitals).filter(|_| trusted));
            value.filter(|value| !value.trim().is_empty())
        };
        let via = |name: &str| match read(name)
            .map(|value| (name, value))
            .or_else(|| read("all_proxy").map(|value| ("all_proxy", value)))
        {
            Some((name, value)) => {
                // Many write no scheme.
                let address = match value.contains("://") {
                    true => value,
                    false => format!("http://{value}"),
                };
                let via = Via::parse(&address)
                    .map_err(|ProxyError(why)| ProxyError(format!("{name}: {why}")))?;
                Ok::<_, ProxyError>(Some(Arc::new(via)))
            }
            None => Ok(None),
        };
        Ok(Self::from(Rules {
            http: via("http_proxy")?,
            https: via("https_proxy")?,
            except: NoProxy::parse(&read("no_proxy").unwrap_or_default()).with_loopback(),
        }))
    }

    /// Hosts that are asked without the proxy, separated by commas: names with all hosts
    /// below them (`inside.test`, `.inside.test`), addresses, networks (`10.0.0.0/8`),
    /// each with a port if it is for that one only, or `*`.
    #[must_use]
    pub fn no_proxy(mut self, hosts: &str) -> Self {
        Arc::make_mut(&mut self.rules).except = NoProxy::parse(hosts);
        self
    }

    /// No proxy at all, for a request of a client that has one.
    pub fn none() -> Self {
        Self::from(Rules::default())
    }

    /// Each of its proxies.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Via>> {
        [&self.rules.http, &self.rules.https].into_iter().flatten()
    }

    /// The proxy for an address; `None`: it is asked directly.
    pub(super) fn via(&self, url: &Url) -> Option<&Arc<Via>> {
        let via = match url.scheme() {
            "https" => self.rules.https.as_ref(),
            _ => self.rules.http.as_ref(),
        }?;
        (!self.rules.except.names(url)).then_some(via)
    }
}

impl From<Rules> for Proxy {
    fn from(rules: Rules) -> Self {
        Self {
            rules: Arc::new(rules),
        }
    }
}

/// What should be a proxy's address, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyError(String);

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProxyError {}

impl Via {
    fn parse(address: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(address)
            .map_err(|error| ProxyError(format!("the proxy is no address: {error}")))?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "socks5" => (Kind::Socks { resolves: false }, 1080),
            "socks5h" => (Kind::Socks { resolves: true }, 1080),
            other => {
                let why = format!("a proxy is http://, socks5:// or socks5h://, not {other}://");
                return Err(ProxyError(why));
            }
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let no_host = || ProxyError("the proxy has no host".to_owned());
        let host = host.ok_or_else(no_host)?.to_owned();
        let port = url.port().unwrap_or(port);
        let decode = |text| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded
                .map(String::from)
                .map_err(|_| ProxyError("the proxy's credentials are not UTF-8".to_owned()))
        };
        let user = decode(url.username())?;
        let password = decode(url.password().unwrap_or_default())?;
        let known = !(user.is_empty() && password.is_empty());
        let token = STANDARD.encode(format!("{user}:{password}"));
        Ok(Self {
            name: format!("{}://{host}:{port}", url.scheme()),
            kind,
            host,
            port,
            authorization: known.then(|| format!("Basic {token}")),
            user,
            password,
        })
    }

    /// Scheme, host and port.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether plain requests are sent to it as they are, instead of through a tunnel.
    pub(super) fn relays(&self, url: &Address) -> bool {
        self.kind == Kind::Http && !url.is_https()
    }

    /// Whether it is told the name, and not an address.
    pub(super) fn resolves(&self) -> bool {
        !matches!(self.kind, Kind::Socks { resolves: false })
    }

    /// `Proxy-Authorization`, where there are credentials.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Opens a tunnel to a host through a connection to the proxy.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub(super) async fn tunnel(
        &self,
        tcp: &TcpStream,
        host: Host<&str>,
        port: u16,
    ) -> Result<(), ProxyFailure> {
        match self.kind {
            Kind::Http => connect::open(tcp, &host, port, self.authorization()).await,
            Kind::Socks { .. } => socks::open(tcp, &host, port, &self.user, &self.password).await,
        }
    }
}

/// Without the password.
impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("http", &self.rules.http)
            .field("https", &self.rules.https)
            .field("no_proxy", &self.rules.except)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(proxy: &Proxy, url: &str) -> String {
        (proxy.via(&Url::parse(url).unwrap())).map_or_else(String::new, |via| format!("{via:?}"))
    }

    fn env(variables: &[(&str, &str)]) -> Result<Proxy, ProxyError> {
        Proxy::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_as_curl_reads_it() {
        let proxy = env(&[
            ("http_proxy", "p.test:3128"),
            ("HTTP_PROXY", "http://other.test"),
            ("ALL_PROXY", "socks5h://s.test"),
            ("no_proxy", "inside.test"),
        ]);
        let proxy = proxy.unwrap();
        assert_eq!(via(&proxy, "http://a.test/"), "http://p.test:3128");
        assert_eq!(via(&proxy, "https://a.test/"), "socks5h://s.test:1080");
        assert_eq!(via(&proxy, "http://x.inside.test/"), "");
        assert_eq!(via(&proxy, "http://localhost:8080/"), "");
        assert_eq!(via(&proxy, "http://127.0.0.1/"), "");
        assert_eq!(via(&env(&[]).unwrap(), "http://a.test/"), "");
    }

    #[test]
    fn a_cgi_program_is_not_told_its_proxy_by_the_client() {
        let httpoxy = [
            ("REQUEST_METHOD", "GET"),
            ("HTTP_PROXY", "http://evil.test"),
        ];
        assert_eq!(via(&env(&httpoxy).unwrap(), "http://a.test/"), "");
        assert_eq!(
            via(&env(&httpoxy[1..]).unwrap(), "http://a.test/"),
            "http://evil.test:80"
        );
    }

    #[test]
    fn addresses_that_are_no_proxy() {
        for address in ["ftp://p.test", "p.test", "http://", "socks4://p.test", ""] {
            assert!(Proxy::new(address).is_err(), "{address}");
        }
        let error = env(&[("https_proxy", "quic://p.test")]).unwrap_err();
        // As an error like any other, for `?`.
        let error = crate::Error::from(error).to_string();
        assert!(error.contains("https_proxy: "), "{error}");
    }

    #[test]
    fn passwords_are_not_shown() {
        let proxy = Proxy::new("http://user:p%40ss@p.test").unwrap();
        assert!(!format!("{proxy:?}").contains("ss@"));
        let via = proxy.via(&Url::parse("http://a.test").unwrap()).unwrap();
        assert_eq!(via.authorization(), Some("Basic dXNlcjpwQHNz"));
    }
}
