//! What every client is given to check the far end's certificate by: rustls with `ring`,
//! and one certificate that is trusted.

use std::fs;

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
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(Some(config.with_no_client_auth()))
}

/// Makes `ring` what the peers encrypt with.
pub(crate) fn choose_ring() {
    // Fails only if somebody has chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The same for Squall, which makes its own.
pub(crate) fn pem(load: &Load) -> Result<Option<Vec<u8>>, String> {
    let read = |ca: &String| fs::read(ca).map_err(|error| format!("{ca}: {error}"));
    load.ca.as_ref().map(read).transpose()
}
