//! TLS: a certificate that is reloaded without dropping anybody, and http sent to https.
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
//!     -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
//! cargo run --release --example tls -- cert.pem key.pem
//! curl --cacert cert.pem https://localhost:8443/
//! curl --cacert cert.pem --location http://localhost:8080/
//! kill -HUP $(pgrep -x tls)      # after the files have changed
//! ```

use squall::signal::{SignalKind, signal};
use squall::tls::Tls;
use squall::{Application, Error, Exchange, IoLoop, Result};

async fn hello(exchange: Exchange) -> String {
    match exchange.tls() {
        Some(tls) => format!("hello over {}\n", tls.version),
        None => "hello\n".to_owned(),
    }
}

/// Each SIGHUP reads the files anew. A certificate that is broken changes nothing.
async fn reload_on_hangup(tls: Tls) -> Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    loop {
        hangups.recv().await;
        match tls.reload() {
            Ok(()) => tracing::info!("the certificate was read anew"),
            Err(error) => tracing::error!(%error, "the old certificate stays"),
        }
    }
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let mut arguments = std::env::args().skip(1);
    let (Some(cert), Some(key)) = (arguments.next(), arguments.next()) else {
        return Err(Error::bad_request(
            "usage: tls CERT KEY [HTTPS-ADDR [HTTP-ADDR]]",
        ));
    };
    let https = arguments.next().unwrap_or("127.0.0.1:8443".to_owned());
    let http = arguments.next().unwrap_or("127.0.0.1:8080".to_owned());

    let tls = Tls::from_pem_files(cert, key)?;
    let application = Application::new()
        .route("/", hello)
        .listen_tls(https.as_str(), tls.clone())?;
    let port = application.local_addr()?.port();
    let application = application.redirect_to_https(http.as_str(), port)?;

    let io_loop = IoLoop::builder().build()?;
    drop(io_loop.spawn(reload_on_hangup(tls)));
    application.io_loop(io_loop).run()
}
