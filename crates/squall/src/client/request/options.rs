//! How a request is fetched: trust, redirects, decoding, repeats.

#[cfg(unix)]
use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use squall_http::Headers;
use squall_http::client::Head;

use super::super::proxy::Proxy;
use super::super::retry::Retry;
use super::HttpRequest;

impl HttpRequest {
    /// The `User-Agent` instead of the client's. Empty: none is sent.
    pub fn user_agent(mut self, name: &str) -> Self {
        self.headers.remove("user-agent");
        self.user_agent = false;
        if !name.is_empty() {
            self.put_header("User-Agent", name.as_bytes());
        }
        self
    }

    /// Whether the server's certificate has to be valid: default true.
    ///
    /// Without it anybody on the way can read and change everything. Said once per host
    /// in the log.
    pub fn validate_cert(mut self, validate: bool) -> Self {
        self.detour().validate_cert = Some(validate);
        self
    }

    /// Certificates in PEM to trust instead of the public authorities.
    ///
    /// Authorities, or the server's own self-signed certificate. Text without a certificate
    /// is an error of [`Phase::Request`](crate::client::Phase::Request).
    pub fn ca_certs(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.detour().ca_certs = Some(pem.as_ref().into());
        self
    }

    /// The client's own certificate chain and its private key, both in PEM, for a server
    /// that asks for one. Left behind when a redirect leads to another origin.
    #[doc(alias = "client_key")]
    #[doc(alias = "identity")]
    pub fn client_cert(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.detour().identity = Some((chain.as_ref().into(), key.as_ref().into()));
        self
    }

    /// The name that TLS asks for and that the certificate has to be for (SNI), instead
    /// of the host.
    #[doc(alias = "sni")]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.detour().server_name = Some(name.into());
        self
    }

    /// Connects to this Unix socket, whatever the host; that only names it. Left behind
    /// when a redirect leads to another origin.
    ///
    /// ```
    /// # use squall::client::HttpRequest;
    /// let request = HttpRequest::new("http://docker/version").unix_socket("/run/docker.sock");
    /// ```
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.detour().unix_socket = Some(path.into());
        self
    }

    /// Goes through this proxy instead of the client's; [`Proxy::none`] goes through none.
    ///
    /// Redirects keep it. Of no effect where a Unix socket is connected to.
    #[doc(alias = "proxy_host")]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.detour().proxy = Some(proxy);
        self
    }

    /// Connects from this address of the machine, to addresses of the same family.
    #[doc(alias = "network_interface")]
    #[cfg(unix)]
    pub fn source_address(mut self, address: IpAddr) -> Self {
        self.detour().source = Some(address);
        self
    }

    /// Whether a status of 400 and more is an error: default false, unlike Tornado's.
    ///
    /// [`HttpResponse::rethrow`](crate::client::HttpResponse::rethrow) does the same later.
    pub fn raise_error(mut self, raise: bool) -> Self {
        self.raise_error = Some(raise);
        self
    }

    /// Whether the answer may come compressed, and is decoded: default true.
    ///
    /// `Accept-Encoding` says so, unless the request has one, or a `Range`. gzip, deflate,
    /// br and zstd are taken off, at most two of them, and, beyond 1 MiB, at most a thousand
    /// times what came; what was taken off is then in `X-Consumed-Content-Encoding`. Needs the feature
    /// `compression`, which is on by default.
    #[doc(alias = "decompress_response")]
    #[doc(alias = "use_gzip")]
    pub fn decompress(mut self, decompress: bool) -> Self {
        self.decompress = Some(decompress);
        self
    }

    /// Is told of each 1xx answer, such as 103 with its `Link` fields: at most 10.
    pub fn on_informational(
        mut self,
        tell: impl Fn(StatusCode, &Headers) + Send + Sync + 'static,
    ) -> Self {
        self.rare().on_informational = Some(Arc::new(tell));
        self
    }

    /// Is told of every head as it goes over the wire: those of the requests, also of
    /// redirects and repeats, and those of their answers. For logs and for debugging; a
    /// request's head has its credentials in it.
    pub fn on_head(mut self, tell: impl Fn(Head<'_>) + Send + Sync + 'static) -> Self {
        self.rare().on_head = Some(Arc::new(tell));
        self
    }

    /// Asks to switch to another protocol, such as `websocket`.
    ///
    /// The answer is 101 only if the server has agreed to that very protocol; then
    /// [`HttpResponse::into_upgraded`](crate::client::HttpResponse::into_upgraded) has the stream.
    pub fn upgrade(mut self, protocol: &str) -> Self {
        if protocol.is_empty() || Headers::new().append("Upgrade", protocol).is_err() {
            self.fail(format!("{protocol:?} is no protocol"));
        }
        self.rare().upgrade = Some(protocol.to_owned());
        self
    }

    /// When the fetch is repeated: default the client's, which is never.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.rare().retry = Some(retry);
        self
    }

    /// Whether a fetch inside of a handler ends with the handler's deadline: default true.
    ///
    /// It gives up a little before it (a tenth of what is left, at most 100 ms), so that
    /// the handler can still answer; the error says that the deadline ruled. What runs
    /// in a task of its own, such as [`fetch_with`](crate::client::AsyncHttpClient::fetch_with)
    /// or inside of `spawn`, has no deadline to inherit.
    pub fn inherit_deadline(mut self, inherit: bool) -> Self {
        self.inherit_deadline = inherit;
        self
    }

    /// Whether redirects are followed: default true.
    ///
    /// Credentials are left behind when a redirect leads to another origin; one from
    /// `https` to `http` is an error, unless it is [allowed](Self::allow_downgrade).
    pub fn follow_redirects(mut self, follow: bool) -> Self {
        self.follow_redirects = follow;
        self
    }

    /// Whether a redirect from `https` to `http` is followed: default false, an error.
    ///
    /// Without credentials then, as to any other origin.
    pub fn allow_downgrade(mut self, allow: bool) -> Self {
        self.rare().allow_downgrade = allow;
        self
    }

    /// Whether an address that is not `https` is an error: default the client's, which is
    /// false.
    pub fn https_only(mut self, https_only: bool) -> Self {
        self.rare().https_only = Some(https_only);
        self
    }

    /// How many redirects are followed: default the client's, which is 10. One more is an
    /// error, so that with zero any is; [`follow_redirects(false)`](Self::follow_redirects)
    /// gives the redirect as the answer.
    pub fn max_redirects(mut self, redirects: usize) -> Self {
        self.rare().max_redirects = Some(redirects);
        self
    }

    /// Whether the server is asked before the body is sent: default false.
    ///
    /// Without an answer the body is sent after 1 s; a refusal costs no body.
    #[doc(alias = "expect_100_continue")]
    pub fn expect_continue(mut self, expect: bool) -> Self {
        self.expect_continue = expect;
        self
    }

    /// How large an answer may be that is read as a whole: default the client's, which is
    /// 100 MiB.
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.rare().max_body_size = Some(bytes);
        self
    }
}
