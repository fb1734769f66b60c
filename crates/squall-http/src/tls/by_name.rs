//! Certificates by the names that they are for.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::TlsConfigError;

/// Finds the certificate for the name that a client asks for (SNI, RFC 6066 section 3).
#[derive(Debug, Default)]
pub(super) struct ByName {
    /// In lower case; `*.` stands for one label at the front (RFC 9525 section 6.3).
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// In the order in which they were added.
    all: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a certificate under each of its names.
    pub(super) fn add(&mut self, certified: Arc<CertifiedKey>) -> Result<(), TlsConfigError> {
        let unreadable = |error| TlsConfigError::new("the server's certificate", error);
        let der = certified
            .end_entity_cert()
            .map_err(|error| unreadable(error.to_string()))?;
        let parsed =
            webpki::EndEntityCert::try_from(der).map_err(|error| unreadable(error.to_string()))?;
        for name in parsed.valid_dns_names() {
            let named = self.names.entry(name.to_ascii_lowercase()).or_default();
            named.push(certified.clone());
        }
        self.all.push(certified);
        Ok(())
    }

    /// What is there for a name; everything when nothing fits.
    fn named(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            return &self.all;
        };
        let name = name.trim_end_matches('.');
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.names.get(&format!("*.{parent}"))
        };
        self.names.get(name).or_else(wildcard).unwrap_or(&self.all)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = self.named(hello.server_name());
        let known = |certified: &&Arc<CertifiedKey>| {
            let schemes = hello.signature_schemes();
            certified.key.choose_scheme(schemes).is_some()
        };
        named.iter().find(known).or_else(|| named.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Pem, Tls};

    fn by_name(certificates: &[&[&str]]) -> ByName {
        let provider = rustls::crypto::ring::default_provider();
        let mut by_name = ByName::default();
        for names in certificates {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            let key = made.signing_key.serialize_der();
            let certified = CertifiedKey::from_der(
                vec![made.cert.der().clone()],
                key.try_into().unwrap(),
                &provider,
            );
            by_name.add(Arc::new(certified.unwrap())).unwrap();
        }
        by_name
    }

    #[test]
    fn the_exact_name_then_the_wildcard_then_the_first() {
        let by_name = by_name(&[
            &["first.test"],
            &["*.example.com", "example.com"],
            &["Api.Example.com"],
        ]);
        for (name, which) in [
            (Some("first.test"), 0),
            (Some("example.com"), 1),
            (Some("www.example.com"), 1),
            (Some("WWW.example.com."), 1),
            (Some("api.example.com"), 2),
            (Some("a.b.example.com"), 0),
            (Some("other.test"), 0),
            (Some("com"), 0),
            (Some(""), 0),
            (None, 0),
        ] {
            let found = by_name.named(name).first().expect("a certificate");
            assert!(Arc::ptr_eq(found, &by_name.all[which]), "{name:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_none_is_named() {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = (Tls::builder().certificate(Pem::text(broken), Pem::text(key)))
            .build()
            .unwrap_err();
        assert!(
            error.to_string().contains("the certificate chain"),
            "{error}"
        );
    }
}
