//! What servers, proxies and redirects may do to a client. One test a row; the rest of the
//! answers' framing is the conformance test `responses`. What concerns a forwarder alone is
//! in `security_forward`.
//!
//! | attack | known from | test |
//! |---|---|---|
//! | an answer that two parsers end at different bytes | CVE-2022-1705, RUSTSEC-2021-0078, RUSTSEC-2021-0079, RUSTSEC-2020-0031, CVE-2019-16276 | [`an_answer_that_can_be_read_in_two_ways_is_none`], `client_answers`, which has every form of it |
//! | line feeds and spaces in chunk framing | CVE-2025-22871 | the same |
//! | chunk extensions without end | CVE-2023-39326 | [`framing_has_an_end`] |
//! | heads, fields and trailers without end | CVE-2025-61724, RUSTSEC-2023-0065 | the same, `wire::head`: `a_dripping_head_is_scanned_once` |
//! | 1xx answers without end | Tornado 6.5.9 | the same, `client_responses::informational_answers_are_shown_and_counted` |
//! | a body skipped after a refused `Expect`, its connection used again | CVE-2024-24791 | [`a_refused_upload_leaves_nothing_on_the_connection`] |
//! | bytes behind an answer, taken for the next one | | `client_pool::what_cannot_be_used_again_is_closed`, `client_answers::what_follows_an_answer_is_never_the_next_one` |
//! | a body of a 204, taken for the next answer | | `client_answers::bodyless::some_answers_have_no_body_whatever_they_say`, `client_answers::bodyless::an_answer_without_a_body_that_frames_one_in_two_ways_is_the_last_one` |
//! | an unchecked connection for whoever wants a checked one | requests CVE-2024-35195, curl CVE-2022-27782 | [`who_checks_nothing_opens_no_way_for_others`] |
//! | somebody's client certificate for everybody | Tornado 6.5.7, curl CVE-2022-22576 | [`a_client_certificate_speaks_for_its_requests_only`] |
//! | one tunnel for two hosts | Traefik CVE-2026-71324 | [`a_tunnel_leads_to_one_host`] |
//! | bytes before a tunnel or an upgrade is agreed to | RUSTSEC-2026-0033, RFC 9931 | `client_proxy::https_goes_through_a_tunnel_and_the_proxy_gets_no_byte_before_it_agrees`, `client_responses::a_connection_switches_to_the_protocol_that_was_asked_for_and_no_other` |
//! | a proxy's credentials for an origin | requests CVE-2023-32681, undici CVE-2024-24758, Go CVE-2025-4673 | [`a_proxys_credentials_stay_with_the_proxy`] |
//! | credentials and cookies for another origin, and back again | Tornado CVE-2026-49853, Go CVE-2023-45289 and CVE-2024-45336, requests CVE-2018-18074, undici CVE-2023-45143 and CVE-2024-30260, curl CVE-2022-27774 and CVE-2022-27776 | `client_redirects::credentials_stay_with_their_origin_and_never_come_back`, `client_cookies::cookies_do_not_follow_a_redirect_to_another_host` |
//! | an API key for another origin | aiohttp 13180 | `client_redirects::credentials_stay_with_their_origin_and_never_come_back` |
//! | a policy of https only, forgotten for a name with a dot behind | curl CVE-2022-30115 | no such policy is learned from servers; `client_wire::a_client_that_wants_https_is_asked_for_nothing_else` |
//! | a netrc's password for another host | requests CVE-2024-47081, curl CVE-2024-11053 | `client_requests::a_netrc_file_is_asked_where_that_is_wanted_and_for_the_first_origin_only`, [`a_netrc_looks_at_the_host_alone`] |
//! | redirects to files, scripts and data | Tornado 6.6.1 | `client_redirects::some_places_are_not_gone_to` |
//! | redirects, names and proxies that lead inside | SSRF | `client_guard` |
//! | a redirect's body that is decoded, or has no end | urllib3 CVE-2025-66471, CVE-2026-21441 and CVE-2026-44432 | [`a_redirects_body_costs_nothing`] |
//! | decompression bombs | Tornado CVE-2026-49855 | `coding::a_bomb_is_refused_and_the_setting_named` |
//! | chains of codings | urllib3 CVE-2025-66418, curl CVE-2023-23916 | [`codings_are_counted`] |
//! | cookies for public suffixes, in any case, with a dot behind | curl CVE-2023-46218 and CVE-2022-27779 | `client::cookie_jar::domain`, `client_cookies::cookies_are_kept_as_browsers_keep_them` |
//! | cookies without number | Go CVE-2025-58186 | `client::cookie_jar::store`: `no_server_fills_the_jar` |
//! | a zone in an address that is taken for a name | Go CVE-2025-22870 | [`a_zone_is_no_name`] |
//! | line ends in hosts, methods and fields | Go CVE-2023-29406 | `client_wire::invalid_requests_are_not_sent` |
//! | a form whose boundary can be guessed | undici CVE-2025-22150 | [`no_boundary_can_be_guessed`] |
//! | a handshake that is closed in the middle | rustls RUSTSEC-2024-0336 | [`a_handshake_that_is_closed_ends`] |
//! | a proxy from a CGI program's client | httpoxy, CVE-2016-5385 | `client::proxy`: `a_cgi_program_is_not_told_its_proxy_by_the_client` |
//! | certificates that cost too much, or break their reader | RUSTSEC-2023-0053, RUSTSEC-2026-0104 | `rustls-webpki`'s own |
//! | anything of HTTP/2 | RUSTSEC-2024-0003, RUSTSEC-2024-0332, RUSTSEC-2026-0258, CVE-2026-33814 | there is no HTTP/2 yet |

use std::sync::mpsc;
use std::time::Duration;

use squall::client::{AsyncHttpClient, FetchError, HttpRequest, Multipart, Proxy};
use squall::testing::{MockReply, MockServer, TestServer};
use squall::tls::{ClientAuth, Pem, Tls};
use squall::{Application, Exchange};
use squall_tests::{Authority, Identity, TempDir, on_two_lanes};

/// What a GET ends with, and how many connections are kept then.
fn fetch(request: HttpRequest) -> (Result<Vec<u8>, FetchError>, usize) {
    on_two_lanes(async move {
        let client = AsyncHttpClient::new();
        let body = match client.fetch(request).await {
            Ok(mut response) => response.bytes().await.map(Vec::from),
            Err(error) => Err(error),
        };
        (body, client.stats().open)
    })
}

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_none() {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
    for answer in [
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: 0x5\r\n\r\nhello",
        "Content-Length: 5_\r\n\r\nhello",
        "Content-Length: -1\r\n\r\nhello",
        "Content-Length: 5, 6\r\n\r\nhello",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: 18446744073709551621\r\n\r\nhello",
        "Content-Length : 5\r\n\r\nhello",
        "Content-Length: 5\nX: y\r\n\r\nhello",
        "Transfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: \x0bchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        &format!("{CHUNKED}+5\r\nhello\r\n0\r\n\r\n"),
        &format!("{CHUNKED}0x5\r\nhello\r\n0\r\n\r\n"),
        &format!("{CHUNKED} 5\r\nhello\r\n0\r\n\r\n"),
        &format!("{CHUNKED}5\nhello\r\n0\r\n\r\n"),
        &format!("{CHUNKED}5;a\nb\r\nhello\r\n0\r\n\r\n"),
        &format!("{CHUNKED}5\r\nhello\n0\r\n\r\n"),
        &format!("{CHUNKED}5\r\nhelloo\r\n0\r\n\r\n"),
        &format!("{CHUNKED}10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ] {
        let server = MockServer::answering(format!("HTTP/1.1 200 OK\r\n{answer}"));
        let (got, kept) = fetch(HttpRequest::get(server.url("/")));
        assert!(got.is_err(), "{answer:?}: {got:?}");
        assert_eq!(kept, 0, "{answer:?}");
    }
}

#[test]
fn framing_has_an_end() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let many = |line: &str, times: usize| line.repeat(times);
    for (what, answer) in [
        (
            "extensions",
            format!(
                "{chunked}{}",
                many("1;a=bbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\nx\r\n", 20_000)
            ),
        ),
        (
            "one extension",
            format!("{chunked}1;{}", many("a", 1 << 20)),
        ),
        (
            "trailers",
            format!("{chunked}0\r\n{}", many("A: b\r\n", 100_000)),
        ),
        (
            "fields",
            format!("HTTP/1.1 200 OK\r\n{}", many("A: b\r\n", 1000)),
        ),
        (
            "a field",
            format!("HTTP/1.1 200 OK\r\nA: {}", many("b", 1 << 20)),
        ),
        ("a reason", format!("HTTP/1.1 200 {}", many("b", 1 << 20))),
        ("1xx", many("HTTP/1.1 103 Early Hints\r\n\r\n", 1000)),
    ] {
        // It would go on: what ends the fetch is the client.
        let server = MockServer::answering(MockReply::bytes(&answer).hold_after(usize::MAX));
        let (got, kept) = fetch(HttpRequest::get(server.url("/")));
        let error = got.expect_err(what);
        assert!(!error.is_timeout(), "{what}: {error}");
        assert_eq!(kept, 0, "{what}");
    }
}

#[test]
fn a_refused_upload_leaves_nothing_on_the_connection() {
    let server = MockServer::serve(|_, mut peer| {
        while let Some(head) = peer.head() {
            let refused = head.contains("100-continue");
            let status = if refused { "413 No" } else { "200 OK" };
            peer.write(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nhm"));
        }
    });
    let url = server.url("/");
    let reused = on_two_lanes(async move {
        let client = AsyncHttpClient::new();
        let upload = HttpRequest::post(&url).body("GET /admin HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut refused = client
            .fetch(upload.expect_continue(true))
            .await
            .expect("an answer");
        assert_eq!(
            (refused.code(), refused.text().await.expect("text")),
            (413, "hm".into())
        );
        client.fetch(&url).await.expect("an answer").reused()
    });
    assert!(!reused);
    assert_eq!(server.accepted(), 2);
}

/// A server with TLS whose only route tells how many certificates its client has shown.
fn tls_server(tls: Tls) -> (TestServer, String) {
    let shown = async |exchange: Exchange| {
        let tls = exchange.tls().expect("an encrypted connection");
        tls.peer_certificates.len().to_string()
    };
    let application = Application::new()
        .route("/", shown)
        .listen_tls("127.0.0.1:0", tls);
    let application = application.expect("a port");
    let address = application.local_addr().expect("an address");
    (
        TestServer::start(application),
        format!("https://{address}/"),
    )
}

#[test]
fn who_checks_nothing_opens_no_way_for_others() {
    let identity = Identity::of(&["127.0.0.1"]);
    let tls = Tls::from_pem(&identity.cert, &identity.key).expect("a certificate");
    let (_server, url) = tls_server(tls);
    on_two_lanes(async move {
        let client = AsyncHttpClient::new();
        let mut unchecked = client
            .fetch(HttpRequest::get(&url).validate_cert(false))
            .await
            .expect("an answer");
        unchecked.bytes().await.expect("a body");
        assert_eq!(client.stats().idle, 1);
        let error = client.fetch(&url).await.expect_err("nobody vouches for it");
        assert!(error.is_tls(), "{error}");
        let trusted = HttpRequest::get(&url).ca_certs(&identity.cert);
        assert!(!client.fetch(trusted).await.expect("an answer").reused());
        // Who has checked it vouches for nobody else.
        let error = client.fetch(&url).await.expect_err("nobody vouches for it");
        assert!(error.is_tls(), "{error}");
    });
}

#[test]
fn a_client_certificate_speaks_for_its_requests_only() {
    let authority = Authority::new();
    let (server, known) = (authority.sign(&["127.0.0.1"]), authority.sign(&["me"]));
    let tls = Tls::builder()
        .certificate(Pem::text(&server.cert), Pem::text(&server.key))
        .client_auth(ClientAuth::Optional, Pem::text(authority.cert()));
    let (_server, url) = tls_server(tls.build().expect("a configuration"));
    on_two_lanes(async move {
        let client = AsyncHttpClient::builder()
            .ca_certs(authority.cert())
            .build();
        for _ in 0..2 {
            let shown = HttpRequest::get(&url).client_cert(&known.cert, &known.key);
            for (request, count) in [(shown, "1"), (HttpRequest::get(&url), "0")] {
                let mut response = client.fetch(request).await.expect("an answer");
                assert_eq!(response.text().await.expect("text"), count);
            }
        }
        assert_eq!(client.stats().idle, 2);
    });
}

#[test]
fn a_tunnel_leads_to_one_host() {
    let (told, tells) = mpsc::channel();
    let proxy = MockServer::serve(move |number, mut peer| {
        // SOCKS5 without credentials, asked for names of six letters.
        peer.read(3);
        peer.write([5, 0]);
        let asked = peer.read(5 + 6 + 2);
        peer.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        while let Some(request) = peer.request() {
            let name = String::from_utf8_lossy(&asked[5..11]).into_owned();
            let host = request.header("host").unwrap_or_default().to_owned();
            told.send((number, name, host)).expect("waited for");
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let via = Proxy::new(&format!("socks5h://{}", proxy.address())).expect("a proxy");
    on_two_lanes(async move {
        let client = AsyncHttpClient::builder().proxy(via).build();
        for host in ["a.test", "b.test", "a.test", "b.test"] {
            let mut response = client
                .fetch(format!("http://{host}/"))
                .await
                .expect("an answer");
            response.bytes().await.expect("a body");
        }
    });
    let seen: Vec<_> = tells.try_iter().collect();
    assert_eq!((seen.len(), proxy.accepted()), (4, 2));
    assert!(seen.iter().all(|(_, name, host)| name == host), "{seen:?}");
}

#[test]
fn a_proxys_credentials_stay_with_the_proxy() {
    let origin = MockServer::answering(MockReply::ok(""));
    let proxy = MockServer::answering(MockReply::redirect(&origin.url("/")));
    let via = Proxy::new(&format!("http://me:secret@{}", proxy.address())).expect("a proxy");
    let via = via.no_proxy("127.0.0.1");
    on_two_lanes(async move {
        let client = AsyncHttpClient::builder().proxy(via).build();
        let response = client.fetch("http://a.test/").await.expect("an answer");
        assert_eq!(response.history().len(), 1);
    });
    let to_proxy = &proxy.requests()[0];
    assert!(to_proxy.header("proxy-authorization").is_some());
    let to_origin = &origin.requests()[0];
    assert_eq!(
        to_origin.header("proxy-authorization"),
        None,
        "{}",
        to_origin.head
    );
}

#[test]
fn a_netrc_looks_at_the_host_alone() {
    let server = MockServer::answering(MockReply::ok(""));
    let dir = TempDir::create();
    let file = dir.path().join("netrc");
    std::fs::write(&file, "machine trusted.test login me password secret\n").expect("written");
    // What looks like the host is a user's name, and gets nobody's password.
    let address = server.address();
    let url = format!("http://trusted.test:80@{address}/");
    let (got, _) = fetch(HttpRequest::get(&url).netrc(Some(&file)));
    got.expect("an answer");
    let url = format!("http://{address}/@trusted.test");
    let (got, _) = fetch(HttpRequest::get(&url).netrc(Some(&file)));
    got.expect("an answer");
    let credentials: Vec<_> = (server.requests().iter())
        .map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    // The user and the password that the address itself says.
    assert_eq!(
        credentials,
        [Some("Basic dHJ1c3RlZC50ZXN0Ojgw".to_owned()), None]
    );
}

#[test]
fn a_redirects_body_costs_nothing() {
    let server = MockServer::serve(|number, mut peer| {
        let Some(_) = peer.head() else { return };
        if number > 0 {
            return peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        // A coding that cannot be taken off, and 100 MB of it.
        peer.write("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Encoding: gzip\r\n");
        peer.write("Transfer-Encoding: chunked\r\n\r\n");
        let chunk = [&b"10000\r\n"[..], &[b'x'; 65536], b"\r\n"].concat();
        for _ in 0..1600 {
            peer.write(&chunk);
        }
    });
    let (got, _) = fetch(HttpRequest::get(server.url("/moved")));
    assert_eq!(got.expect("an answer"), b"ok");
    assert_eq!(server.accepted(), 2, "a connection of its own");
}

#[test]
fn codings_are_counted() {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, gzip\r\nContent-Length: 5\r\n\r\n";
    let server = MockServer::answering(format!("{head}hello"));
    let (got, _) = fetch(HttpRequest::get(server.url("/")));
    let error = got.expect_err("three codings");
    assert!(error.is_body(), "{error}");
}

#[test]
fn a_zone_is_no_name() {
    let proxy = MockServer::answering(MockReply::ok(""));
    let via = Proxy::new(&proxy.url(""))
        .expect("a proxy")
        .no_proxy("*.example.com,.example.com");
    let error = on_two_lanes(async move {
        let client = AsyncHttpClient::builder().proxy(via).build();
        let fetched = client.fetch("http://[::1%25.example.com]:9/").await;
        fetched.expect_err("an address with a zone")
    });
    assert!(error.is_request(), "{error}");
}

#[test]
fn no_boundary_can_be_guessed() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let kind = Multipart::new().content_type();
        let (_, boundary) = kind.split_once("boundary=").expect("a boundary");
        // 128 bits in hexadecimal digits, or more of another alphabet.
        assert!(boundary.len() >= 22, "{boundary}");
        assert!(seen.insert(boundary.to_owned()), "{boundary} came twice");
    }
}

#[test]
fn a_handshake_that_is_closed_ends() {
    // An alert: close_notify, in the open, while keys are still to be agreed on.
    let closing = |stays: bool| {
        MockServer::serve(move |_, mut peer| {
            peer.read(5);
            peer.write([21, 3, 3, 0, 2, 1, 0]);
            match stays {
                true => peer.hold(),
                false => peer.shut_down(),
            }
        })
    };
    for stays in [false, true] {
        let server = closing(stays);
        let url = format!("https://{}/", server.address());
        let limit = Duration::from_millis(if stays { 100 } else { 20_000 });
        let (got, kept) = fetch(HttpRequest::get(url).tls_timeout(limit));
        let error = got.expect_err("no handshake");
        assert_eq!(
            (error.is_tls(), error.is_timeout()),
            (true, stays),
            "{error}"
        );
        assert_eq!(kept, 0);
    }
}
