//! What every client is given to check the far end's certificate by: rustls with `ring`,
//! and one certificate that is trusted.

use std::fs;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::load::Load;

/// The configuration of the peers; `None` for plain HTTP.
pub(crate) fn config(load: &Load) -> Result<Option<ClientConfig>, String> {
    let Some(ca) = &load.ca else {
        return Ok(None);
    };
    let failed = |error: &dyn std::fmt::Display| format!("{ca}: {error}");
    let certificate = CertificateDer::from_pem_file(ca).map_err(|error| failed(&error))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| failed(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Some(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// The same for Squall, which makes its own.
pub(crate) fn pem(load: &Load) -> Result<Option<Vec<u8>>, String> {
    let read = |ca: &String| fs::read(ca).map_err(|error| format!("{ca}: {error}"));
    load.ca.as_ref().map(read).transpose()
}
