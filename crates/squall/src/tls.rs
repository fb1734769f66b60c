//! TLS of the server: certificates, whom to ask for one, and what a handshake settled.
//!
//! ```no_run
//! use squall::tls::{ClientAuth, Pem, Tls};
//! use squall::{Application, Exchange, Result};
//!
//! async fn who(exchange: Exchange) -> String {
//!     let shown = exchange.tls().map_or(0, |tls| tls.peer_certificates.len());
//!     format!("a chain of {shown}")
//! }
//!
//! fn main() -> Result<()> {
//!     let tls = Tls::builder()
//!         .certificate(Pem::file("cert.pem"), Pem::file("key.pem"))
//!         .client_auth(ClientAuth::Optional, Pem::file("clients-ca.pem"))
//!         .build()?;
//!     Application::new().route("/", who).listen_tls("0.0.0.0:443", tls)?.run()
//! }
//! ```

pub use squall_http::tls::{
    CertificateDer, ClientAuth, Pem, Tls, TlsBuilder, TlsConfigError, TlsInfo,
};
