//! Cookies at the wire: plain, signed and encrypted, in functions and in types.

use squall::testing::{TestResponse, TestServer};
use squall::tls::Tls;
use squall::web::cookies::SameSite;
use squall::{
    Application, AsyncHttpClient, Context, Cookies, EncryptedCookies, HttpRequest, IntoResponse,
    Keys, Request, RequestHandler, Result, SetCookie, SignedCookies, StatusCode, post,
};
use squall_tests::on_two_lanes;

fn keys() -> Keys {
    Keys::new("a secret for the tests").expect("it is long enough")
}

async fn plain(mut cookies: Cookies, request: Request) -> Result<impl IntoResponse> {
    let seen = cookies.get("a").unwrap_or("none").to_owned();
    match request.query() {
        Some("remove") => {
            cookies.remove("a")?;
            cookies.remove("__Host-a")?;
        }
        Some("twice") => {
            cookies.set(SetCookie::new("a", "1").same_site(SameSite::Strict))?;
            cookies.set(SetCookie::new("a", "2"))?;
            cookies.set(SetCookie::new("a", "3").path("/other"))?;
        }
        Some("bad") => cookies.set(SetCookie::new("a", "1; Domain=evil.test"))?,
        Some("prefix") => cookies.set(SetCookie::new("__Host-a", "1").domain("a.test"))?,
        Some("anyone") => cookies.set(SetCookie::new("a", "1").same_site(SameSite::None))?,
        _ => cookies.set(SetCookie::new("a", "1"))?,
    }
    Ok((StatusCode::ACCEPTED, cookies, seen))
}

async fn signed(mut cookies: SignedCookies, body: String) -> Result<impl IntoResponse> {
    let seen = cookies.get("a").unwrap_or_else(|| "none".to_owned());
    if !body.is_empty() {
        cookies.set(SetCookie::new("a", body))?;
    }
    Ok((cookies, seen))
}

async fn encrypted(mut cookies: EncryptedCookies, body: String) -> Result<impl IntoResponse> {
    let seen = cookies.get("a").unwrap_or_else(|| "none".to_owned());
    if !body.is_empty() {
        cookies.set(SetCookie::new("a", body))?;
    }
    Ok((cookies, seen))
}

#[derive(Clone)]
struct Typed;

impl RequestHandler for Typed {
    async fn get(&mut self, context: &mut Context) -> Result<()> {
        let seen = context.signed_cookie("s")?.unwrap_or_default();
        let more = context.encrypted_cookie("e")?.unwrap_or_default();
        let plain = context.cookie("p").unwrap_or_default().to_owned();
        context.write(format!("{seen},{more},{plain}"));
        context.set_cookie(SetCookie::new("p", "1"))?;
        context.set_cookie(SetCookie::new("p", "plain"))?;
        context.set_signed_cookie(SetCookie::new("s", "signed"))?;
        context.set_encrypted_cookie(SetCookie::new("e", "encrypted"))?;
        context.clear_cookie("old")
    }
}

fn application() -> Application {
    Application::new()
        .keys(keys())
        .route("/plain", plain)
        .route("/signed", post(signed))
        .route("/encrypted", post(encrypted))
        .route("/typed", Typed)
}

fn set_cookies(answer: &TestResponse) -> Vec<&str> {
    (answer.headers.iter())
        .filter(|(name, _)| name == "Set-Cookie")
        .map(|(_, value)| value.as_str())
        .collect()
}

/// What a browser sends back.
fn sent_back(answer: &TestResponse) -> String {
    let pairs = set_cookies(answer);
    let pairs: Vec<_> = pairs
        .iter()
        .filter_map(|line| line.split("; ").next())
        .collect();
    pairs.join("; ")
}

#[test]
fn a_cookie_is_set_safely_by_default() {
    let server = TestServer::start(application());
    let answer = server.send("GET", "/plain", &[("Cookie", "b=2; a=\"sent\"; a=3")], b"");
    assert_eq!((answer.status, answer.text().as_str()), (202, "sent"));
    assert_eq!(
        set_cookies(&answer),
        ["a=1; Path=/; HttpOnly; SameSite=Lax"]
    );
    assert_eq!(
        set_cookies(&server.get("/plain?twice")),
        [
            "a=2; Path=/; HttpOnly; SameSite=Lax",
            "a=3; Path=/other; HttpOnly; SameSite=Lax"
        ]
    );
    let gone = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(
        set_cookies(&server.get("/plain?remove")),
        [
            format!("a=; Path=/; {gone}; HttpOnly; SameSite=Lax"),
            format!("__Host-a=; Path=/; {gone}; Secure; HttpOnly; SameSite=Lax"),
        ]
    );
}

#[test]
fn a_cookie_that_breaks_a_rule_is_an_error_and_sets_nothing() {
    let server = TestServer::start(application().debug(true));
    for (query, why) in [
        ("bad", "the value of a cookie must be visible ASCII"),
        (
            "prefix",
            "a __Host- cookie needs Secure, Path=/ and no Domain",
        ),
        ("anyone", "SameSite=None needs Secure"),
    ] {
        let answer = server.get(&format!("/plain?{query}"));
        assert_eq!(answer.status, 500, "{query}");
        assert!(set_cookies(&answer).is_empty());
        assert!(answer.text().contains(why), "{}", answer.text());
    }
}

#[test]
fn over_tls_every_cookie_is_secure() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = Tls::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let application = application()
        .listen_tls("127.0.0.1:0", tls.expect("a configuration"))
        .expect("a free port");
    let address = application.local_addr().expect("an address");
    let _server = TestServer::start(application);
    for (target, expected) in [
        ("/plain", "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
        (
            "/plain?anyone",
            "a=1; Path=/; Secure; HttpOnly; SameSite=None",
        ),
    ] {
        let url = format!("https://{address}{target}");
        let answer = on_two_lanes(async move {
            let request = HttpRequest::get(url).validate_cert(false);
            AsyncHttpClient::new()
                .fetch(request)
                .await
                .expect("an answer")
        });
        assert_eq!(answer.headers().get("set-cookie"), Some(expected));
    }
}

#[test]
fn what_the_client_changes_is_not_read() {
    let server = TestServer::start(application());
    for (target, readable) in [("/signed", true), ("/encrypted", false)] {
        let answer = server.send("POST", target, &[], "grüße; all".as_bytes());
        assert_eq!(answer.text(), "none");
        let cookie = sent_back(&answer);
        let again = server.send("POST", target, &[("Cookie", &cookie)], b"");
        assert_eq!(again.text(), "grüße; all", "{target}");
        assert!(set_cookies(&again).is_empty());
        assert_eq!(cookie.contains("2|1:0|10:"), readable, "{cookie}");
        for changed in [
            cookie.replacen("a=", "b=", 1),
            format!("{cookie}0"),
            cookie[..cookie.len() - 1].to_owned(),
            "a=".to_owned(),
            "a=grüße; all".to_owned(),
            "a=2|1:0|".to_owned(),
        ] {
            let answer = server.send("POST", target, &[("Cookie", &changed)], b"");
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "none"),
                "{changed}"
            );
        }
    }
    // What was signed does not decrypt, and the other way about.
    let cookie = sent_back(&server.send("POST", "/signed", &[], b"x"));
    let answer = server.send("POST", "/encrypted", &[("Cookie", &cookie)], b"");
    assert_eq!(answer.text(), "none");
}

#[test]
fn another_secret_reads_nothing_and_an_accepted_one_does() {
    let cookie = |target: &str| {
        let server = TestServer::start(application());
        sent_back(&server.send("POST", target, &[], b"kept"))
    };
    let new = || Keys::new("the secret that comes after").expect("it is long enough");
    let rotated = new()
        .accept("a secret for the tests")
        .expect("it is long enough");
    for (keys, seen) in [(new(), "none"), (rotated, "kept")] {
        let application = Application::new().keys(keys);
        let server = TestServer::start(
            application
                .route("/signed", post(signed))
                .route("/encrypted", post(encrypted)),
        );
        for target in ["/signed", "/encrypted"] {
            let sent = [("Cookie", cookie(target))];
            let sent = sent.each_ref().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(server.send("POST", target, &sent, b"").text(), seen);
        }
    }
}

#[test]
fn a_type_has_them_by_tornados_names() {
    let server = TestServer::start(application());
    let answer = server.get("/typed");
    assert_eq!(answer.text(), ",,");
    let names: Vec<_> = (set_cookies(&answer).iter())
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(names, ["p", "s", "e", "old"]);
    let cookie = sent_back(&answer);
    let answer = server.send("GET", "/typed", &[("Cookie", &cookie)], b"");
    assert_eq!(answer.text(), "signed,encrypted,plain");
}

#[test]
fn keys_that_are_missing_are_reported_at_the_start() {
    let application = Application::new().route("/signed", post(signed));
    let error = application
        .listen("127.0.0.1:0")
        .expect_err("no keys")
        .to_string();
    assert!(
        error.contains("the route \"POST /signed\" needs keys: give them with Application::keys"),
        "{error}"
    );
    let server = TestServer::start(Application::new().route("/typed", Typed).debug(true));
    let answer = server.get("/typed");
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("Application::keys"),
        "{}",
        answer.text()
    );
}
