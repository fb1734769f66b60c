//! `Identity`: a certificate and its key, as tests need them.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A certificate with its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate in PEM.
    pub cert: String,
    /// The private key in PEM.
    pub key: String,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Identity {
    /// A certificate for these names that vouches for itself.
    ///
    /// # Panics
    /// When a name is none.
    #[track_caller]
    pub fn of(names: &[&str]) -> Self {
        let key = KeyPair::generate().expect("a key");
        let cert = params(names).self_signed(&key).expect("a certificate");
        Self::new(&cert, &key)
    }

    fn new(cert: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            cert: cert.pem(),
            key: key.serialize_pem(),
            der: cert.der().to_vec(),
        }
    }
}

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[allow(clippy::new_without_default)] // An authority is made on purpose.
    #[track_caller]
    pub fn new() -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its certificate in PEM.
    pub fn cert(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names that it vouches for.
    ///
    /// # Panics
    /// When a name is none.
    #[track_caller]
    pub fn sign(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let cert = (params(names).signed_by(&key, &self.0)).expect("a certificate");
        Identity::new(&cert, &key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let common = names
        .first()
        .map_or("an authority", String::as_str)
        .to_owned();
    let mut params = CertificateParams::new(names).expect("names");
    // An issuer of the same name would be taken for the certificate itself.
    params.distinguished_name.push(DnType::CommonName, common);
    params
}
