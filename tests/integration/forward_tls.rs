//! Upstreams that are asked by TLS: for which name, and who is believed.

use squall::client::AsyncHttpClient;
use squall::forward::{Forward, Upstreams};
use squall::testing::TestServer;
use squall::tls::Tls;
use squall::{Application, Exchange, Result, any};
use squall_tests::{Authority, Identity};

use super::forward::proxy;

/// The name that the handshake has asked for.
async fn name(exchange: Exchange) -> Result<String> {
    let tls = exchange.tls().expect("an encrypted connection");
    Ok(tls.server_name.unwrap_or_default())
}

/// An upstream by TLS, and its port.
fn upstream(identity: &Identity) -> (TestServer, u16) {
    let tls = Tls::from_pem(&identity.cert, &identity.key).expect("a certificate");
    let application = Application::new()
        .route("/f/{*path}", any(name))
        .listen_tls("127.0.0.1:0", tls)
        .expect("a port");
    let address = application.local_addr().expect("an address");
    (TestServer::start(application), address.port())
}

/// A client that believes the authority, and knows where the upstream is.
fn client(authority: &Authority) -> AsyncHttpClient {
    AsyncHttpClient::builder()
        .ca_certs(authority.cert())
        .host("backend.test", [[127, 0, 0, 1].into()])
        .build()
}

/// One upstream by its address, and all those of its name.
fn both(port: u16) -> [Upstreams; 2] {
    let address = format!("https://backend.test:{port}");
    [Upstreams::of([&address]), Upstreams::of_name(&address)]
}

#[test]
fn an_upstream_is_asked_for_the_certificate_of_its_name() {
    let authority = Authority::new();
    let (_upstream, port) = upstream(&authority.sign(&["backend.test"]));
    let client = client(&authority);
    for upstreams in both(port) {
        let answer = proxy(Forward::to(upstreams).client(&client)).get("/f/x");
        answer.assert_status(200).assert_text("backend.test");
    }
}

#[test]
fn an_upstream_with_the_certificate_of_another_name_is_sent_nothing() {
    let authority = Authority::new();
    // Not even if it is for the address that the name has.
    let (upstream, port) = upstream(&authority.sign(&["other.test", "127.0.0.1"]));
    let client = client(&authority);
    for upstreams in both(port) {
        let answer = proxy(Forward::to(upstreams).client(&client)).get("/f/x");
        assert!(
            answer.assert_status(502).text().contains("TLS handshake"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(upstream.app().stats().requests, 0);
}
