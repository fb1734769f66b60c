//! `Tls`: a server's certificates, whom it asks for one, and reading both anew.
//!
//! ```no_run
//! use squall_http::tls::{ClientAuth, Pem, Tls};
//!
//! let tls = Tls::builder()
//!     .certificate(Pem::file("cert.pem"), Pem::file("key.pem"))
//!     .certificate(Pem::file("other.pem"), Pem::file("other-key.pem"))
//!     .client_auth(ClientAuth::Optional, Pem::file("clients-ca.pem"))
//!     .build()?;
//! // … later, when the files have changed:
//! tls.reload()?;
//! # Ok::<(), squall_http::tls::TlsConfigError>(())
//! ```

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::by_name::ByName;
use super::{ALPN, TlsConfigError, certificates, provider};

/// What a listener needs for TLS. Cloning gives another handle to the same.
///
/// TLS 1.2 and 1.3. Nothing a client sends before the handshake's end is taken for a
/// request (no 0-RTT).
#[derive(Debug, Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// None: it was made from a configuration.
    sources: Option<TlsBuilder>,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// One that is not complete yet.
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    /// With one certificate: the files of its chain, which starts with the server's own,
    /// and of its private key, both in PEM.
    ///
    /// # Errors
    /// [`TlsConfigError`] names the file that is missing, malformed or does not fit.
    pub fn from_pem_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsConfigError> {
        (Self::builder().certificate(Pem::file(chain), Pem::file(key))).build()
    }

    /// With one certificate, whose chain and private key are at hand as PEM.
    ///
    /// # Errors
    /// As [`from_pem_files`](Self::from_pem_files).
    pub fn from_pem(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, TlsConfigError> {
        (Self::builder().certificate(Pem::text(chain), Pem::text(key))).build()
    }

    /// Reads all files anew. New connections get what is there now; those that are open
    /// go on with what they began with. Sessions of before are not resumed.
    ///
    /// # Errors
    /// [`TlsConfigError`] as from [`TlsBuilder::build`]; then nothing changes. Also when
    /// it was made from a configuration, which has no files.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let Some(sources) = &self.inner.sources else {
            let why = "it was made from a configuration: give it another with replace";
            return Err(TlsConfigError::new("reload", why));
        };
        self.replace(sources.config()?);
        Ok(())
    }

    /// Gives new connections another configuration.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.inner.current.write() = config;
    }

    /// What a new connection gets.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.inner.current.read().clone()
    }
}

/// For what this type does not offer. The protocols (ALPN) are the configuration's.
impl From<Arc<ServerConfig>> for Tls {
    fn from(config: Arc<ServerConfig>) -> Self {
        let inner = Inner {
            sources: None,
            current: RwLock::new(config),
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}

/// Text in PEM, or the file that holds it.
#[derive(Debug, Clone)]
pub struct Pem(Source);

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Text(Secret),
}

/// Text that may hold a key, and is not shown.
#[derive(Clone)]
struct Secret(Arc<[u8]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl Pem {
    /// A file, read when the [`Tls`] is built and at each [`Tls::reload`].
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self(Source::File(path.as_ref().to_owned()))
    }

    /// The text itself.
    pub fn text(pem: impl AsRef<[u8]>) -> Self {
        Self(Source::Text(Secret(pem.as_ref().into())))
    }

    /// The text, and what an error calls it.
    fn read(&self, role: &'static str) -> Result<(Cow<'_, [u8]>, String), TlsConfigError> {
        match &self.0 {
            Source::Text(text) => Ok((Cow::Borrowed(&text.0), role.to_owned())),
            Source::File(path) => {
                let what = format!("{role} in {}", path.display());
                match std::fs::read(path) {
                    Ok(text) => Ok((text.into(), what)),
                    Err(error) => Err(TlsConfigError::new(what, error)),
                }
            }
        }
    }
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are asked for one. Whoever shows none is let in; one that is not valid ends
    /// the handshake.
    Optional,
    /// Without a valid one the handshake fails.
    Required,
}

/// Collects what a [`Tls`] is made of.
#[derive(Debug, Clone)]
pub struct TlsBuilder {
    certificates: Vec<(Pem, Pem)>,
    clients: Option<(ClientAuth, Pem)>,
    alpn: Vec<Vec<u8>>,
    only_tls13: bool,
}

impl Default for TlsBuilder {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            clients: None,
            alpn: vec![ALPN.to_vec()],
            only_tls13: false,
        }
    }
}

impl TlsBuilder {
    /// Adds a certificate: its chain, which starts with the server's own, and its private
    /// key. At least one is needed.
    ///
    /// A client gets the one whose names fit the name that it asks for, also by
    /// `*.example.com`; of several that fit, the first whose kind of key it knows. When
    /// none fits, or it asks for none, it gets the first of all.
    #[doc(alias = "ssl_options")]
    pub fn certificate(mut self, chain: Pem, key: Pem) -> Self {
        self.certificates.push((chain, key));
        self
    }

    /// Asks clients for a certificate that one of these authorities has signed.
    ///
    /// Handlers find it in [`Exchange::tls`](crate::server::Exchange::tls).
    pub fn client_auth(mut self, auth: ClientAuth, authorities: Pem) -> Self {
        self.clients = Some((auth, authorities));
        self
    }

    /// The protocols that are offered (ALPN, RFC 7301), the preferred one first: default
    /// `http/1.1` alone.
    pub fn alpn<'a>(mut self, protocols: impl IntoIterator<Item = &'a str>) -> Self {
        self.alpn = (protocols.into_iter().map(Into::into)).collect();
        self
    }

    /// Refuses TLS 1.2. Default false.
    pub fn only_tls13(mut self, only: bool) -> Self {
        self.only_tls13 = only;
        self
    }

    /// Reads everything.
    ///
    /// # Errors
    /// [`TlsConfigError`] names the part that is missing, malformed or does not fit.
    pub fn build(self) -> Result<Tls, TlsConfigError> {
        let config = self.config()?;
        let inner = Inner {
            sources: Some(self),
            current: RwLock::new(config),
        };
        Ok(Tls {
            inner: Arc::new(inner),
        })
    }

    fn config(&self) -> Result<Arc<ServerConfig>, TlsConfigError> {
        let provider = provider();
        let mut by_name = ByName::default();
        for (chain, key) in &self.certificates {
            by_name.add(certified(chain, key, &provider)?)?;
        }
        if by_name.is_empty() {
            let why = "there is none: add one with certificate";
            return Err(TlsConfigError::new("the certificate", why));
        }
        let versions = if self.only_tls13 {
            &[&TLS13][..]
        } else {
            &[&TLS13, &TLS12]
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| TlsConfigError::new("the protocol versions", error))?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some((auth, authorities)) => {
                let (pem, what) = authorities.read("the clients' authorities")?;
                let mut roots = RootCertStore::empty();
                for certificate in certificates(&pem, &what)? {
                    roots
                        .add(certificate)
                        .map_err(|error| TlsConfigError::new(what.clone(), error))?;
                }
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match auth {
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                    ClientAuth::Required => verifier,
                };
                let verifier = verifier
                    .build()
                    .map_err(|error| TlsConfigError::new(what, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(by_name));
        config.alpn_protocols = self.alpn.clone();
        Ok(Arc::new(config))
    }
}

/// A certificate and its key, when they belong to each other.
fn certified(
    chain: &Pem,
    key: &Pem,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsConfigError> {
    let (pem, what_chain) = chain.read("the certificate chain")?;
    let chain: Vec<CertificateDer<'static>> = certificates(&pem, &what_chain)?;
    let (pem, what_key) = key.read("the private key")?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| TlsConfigError::new(what_key.clone(), error))?;
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(certified) => Ok(Arc::new(certified)),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let why = format!("it does not belong to {what_chain}");
            Err(TlsConfigError::new(what_key, why))
        }
        // The key was read first, but only then is the certificate looked into.
        Err(error @ Error::InvalidCertificate(_)) => Err(TlsConfigError::new(what_chain, error)),
        Err(error) => Err(TlsConfigError::new(what_key, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn errors_name_the_part() {
        let (cert, key) = certificate();
        let (_, other_key) = certificate();
        for (chain, key, words) in [
            (&*key, &*key, "the certificate chain cannot be used"),
            (&cert, "", "the private key cannot be used"),
            (
                &cert,
                &other_key,
                "does not belong to the certificate chain",
            ),
        ] {
            let error = Tls::from_pem(chain, key).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = Tls::from_pem_files("no/such.pem", "key.pem").unwrap_err();
        let words = "the certificate chain in no/such.pem cannot be used: No such file";
        assert!(error.to_string().contains(words), "{error}");
        let error = Tls::builder().build().unwrap_err().to_string();
        assert!(error.contains("add one with certificate"), "{error}");
        let error = (Tls::builder().certificate(Pem::text(&cert), Pem::text(&key)))
            .client_auth(ClientAuth::Required, Pem::text("nothing"))
            .build()
            .unwrap_err();
        assert!(
            error.to_string().contains("the clients' authorities"),
            "{error}"
        );
    }

    #[test]
    fn a_key_is_not_shown() {
        let (cert, key) = certificate();
        let tls = Tls::from_pem(&cert, &key).unwrap();
        assert!(!format!("{tls:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_configuration_of_ones_own_is_replaced_not_reloaded() {
        let (cert, key) = certificate();
        let config = Tls::from_pem(&cert, &key).unwrap().config();
        let tls = Tls::from(config.clone());
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains("replace"), "{error}");
        assert!(Arc::ptr_eq(&tls.config(), &config));
        let other = Tls::from_pem(&cert, &key).unwrap().config();
        tls.replace(other.clone());
        assert!(Arc::ptr_eq(&tls.config(), &other));
    }
}
