//! TLS for both sides: configurations from PEM, with errors that say what was wrong.
//!
//! `rustls` with its `ring` provider, named explicitly: a process-wide default that
//! another crate may have set is never asked. Only HTTP/1.1 is offered (ALPN). The bytes
//! themselves go through [`Stream`](crate::Stream), which hides whether they are
//! encrypted.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, KeyLogFile, RootCertStore,
    SignatureScheme,
};

mod by_name;
mod named;
mod server;
mod session;

use named::{NamedCertificates, is_ca_used_as_end_entity};
pub use rustls::pki_types::CertificateDer;
pub use server::{ClientAuth, Pem, Tls, TlsBuilder};
pub use session::TlsInfo;
pub(crate) use session::TlsStream;

const ALPN: &[u8] = b"http/1.1";

/// Whom a client trusts, and who it says it is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// Whether the server's certificate has to be valid. Default true.
    ///
    /// Without it anybody between the two ends can read and change everything.
    pub validate_cert: bool,
    /// Certificates in PEM that are trusted **instead of** the public ones. Default none.
    ///
    /// Authorities, and servers' own self-signed certificates.
    pub ca_certs: Option<Arc<[u8]>>,
    /// For servers that ask for a certificate. Default none.
    pub identity: Option<ClientIdentity>,
    /// Whether the secrets of its connections are appended to the file that `SSLKEYLOGFILE`
    /// names, if that names one. Default false.
    ///
    /// Whoever has them can read what was sent.
    pub key_log: bool,
}

/// Who a client says it is: its certificate chain and its private key, both in PEM.
pub type ClientIdentity = (Arc<[u8]>, Arc<[u8]>);

/// Says what is there, and shows no key.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("validate_cert", &self.validate_cert)
            .field("ca_certs", &self.ca_certs.is_some())
            .field("identity", &self.identity.is_some())
            .field("key_log", &self.key_log)
            .finish()
    }
}

impl Default for ClientTls {
    fn default() -> Self {
        Self {
            validate_cert: true,
            ca_certs: None,
            identity: None,
            key_log: false,
        }
    }
}

/// Makes a client's configuration. Default roots: Mozilla's, as compiled in.
///
/// # Errors
/// [`TlsConfigError`] when `ca_certs` is there and holds no usable certificate, also when
/// nothing is checked against it, and when `identity` cannot be used.
pub fn client_config(tls: &ClientTls) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsConfigError::new("the protocol versions", error))?;
    let named = match tls.ca_certs.as_deref() {
        Some(pem) => Some(named(pem, &provider)?),
        None => None,
    };
    let builder = match named {
        _ if !tls.validate_cert => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider })),
        Some(named) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(named)),
        None => builder.with_root_certificates(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        }),
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(chain, "client_cert")?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| TlsConfigError::new("the key of client_cert", error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsConfigError::new("client_cert", error))?
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    if tls.key_log {
        config.key_log = Arc::new(KeyLogFile::new());
    }
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Trusts the certificates in `pem` and no others.
fn named(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<NamedCertificates, TlsConfigError> {
    let named = certificates(pem, "ca_certs")?;
    let mut roots = RootCertStore::empty();
    for certificate in &named {
        roots
            .add(certificate.clone())
            .map_err(|error| TlsConfigError::new("a certificate in ca_certs", error))?;
    }
    let webpki = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .map_err(|error| TlsConfigError::new("ca_certs", error))?;
    Ok(NamedCertificates::new(webpki, named))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsConfigError::new(what.to_owned(), error))?;
    if found.is_empty() {
        let why = "no CERTIFICATE section in the PEM";
        return Err(TlsConfigError::new(what.to_owned(), why));
    }
    Ok(found)
}

/// A TLS configuration that cannot be used.
#[derive(Debug)]
pub struct TlsConfigError {
    what: Cow<'static, str>,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl TlsConfigError {
    fn new(
        what: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS: {} cannot be used: {}", self.what, self.source)
    }
}

impl std::error::Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// Says in words why a handshake failed, and what to do about it.
///
/// `None` when the error is not one of TLS.
pub fn explain(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(reason) = error else {
        return Some(error.to_string());
    };
    let words = match reason {
        CertificateError::UnknownIssuer => {
            "it is self-signed, or signed by an authority that is not trusted; \
             name that authority's certificate with ca_certs(pem), \
             or switch the check off with validate_cert(false)"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host name"
        }
        CertificateError::Revoked => "it was revoked",
        reason if is_ca_used_as_end_entity(reason) => {
            "it is self-signed, an authority's certificate used as a server's; \
             name that very certificate with ca_certs(pem), \
             or switch the check off with validate_cert(false)"
        }
        other => return Some(format!("the server's certificate is not valid: {other}")),
    };
    Some(format!(
        "the server's certificate is not valid: {words} ({error})"
    ))
}

/// Says in a few words why a handshake failed, fit for strangers: without any name or
/// address, and without advice.
///
/// `None` when the error is not one of TLS.
pub fn explain_briefly(error: &io::Error) -> Option<Cow<'static, str>> {
    let reason = match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(reason) => reason,
        rustls::Error::AlertReceived(alert) => {
            return Some(format!("it was refused with the alert {alert:?}").into());
        }
        rustls::Error::InvalidMessage(_) => return Some("the answer is not TLS".into()),
        _ => return Some("it failed".into()),
    };
    let words = match reason {
        CertificateError::UnknownIssuer => {
            "the certificate is self-signed, or signed by an authority that is not trusted"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host name"
        }
        CertificateError::Revoked => "the certificate was revoked",
        reason if is_ca_used_as_end_entity(reason) => "the certificate is self-signed",
        _ => "the certificate is not valid",
    };
    Some(words.into())
}

/// Accepts any certificate; the peer still has to own the key that belongs to it.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
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
    fn configurations_are_made_from_pem() {
        let (cert, _) = certificate();
        let trusting = ClientTls {
            ca_certs: Some(cert.into_bytes().into()),
            ..ClientTls::default()
        };
        assert!(client_config(&trusting).is_ok());
        assert!(client_config(&ClientTls::default()).is_ok());
    }

    #[test]
    fn errors_name_the_part() {
        let (_, key) = certificate();
        for pem in ["", "no PEM", &*key] {
            for validate_cert in [true, false] {
                let nothing = ClientTls {
                    ca_certs: Some(pem.as_bytes().into()),
                    validate_cert,
                    ..ClientTls::default()
                };
                let error = client_config(&nothing).unwrap_err().to_string();
                assert!(
                    error.contains("ca_certs cannot be used: no CERT"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn errors_name_the_part_of_the_clients_own_certificate() {
        let (cert, key) = certificate();
        let (_, other) = certificate();
        for (chain, key, part) in [
            (&*key, &*key, "client_cert"),
            (&*cert, &*cert, "the key of client_cert"),
            (&*cert, &*other, "client_cert"),
        ] {
            let tls = ClientTls {
                identity: Some((chain.as_bytes().into(), key.as_bytes().into())),
                ..ClientTls::default()
            };
            let error = client_config(&tls).unwrap_err().to_string();
            let named = format!("TLS: {part} cannot be used: ");
            assert!(error.starts_with(&named), "{error}");
        }
    }
}
