//! The client's cookie jar at the wire, and the sample of cases that browsers agree on.

use std::sync::mpsc;

use squall::Headers;
use squall::client::{AsyncHttpClient, CookieJar, HttpRequest};
use squall_tests::{TempDir, on_one_lane};
use url::Url;

use super::client_script::script;
use super::wire_cases::{each_of_others, latin1};

#[test]
fn what_a_login_sets_goes_along_from_then_on() {
    let (seen, sees) = mpsc::channel();
    let server = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let cookie = head.lines().find_map(|line| line.strip_prefix("Cookie: "));
            seen.send(cookie.unwrap_or_default().to_owned())
                .expect("waited for");
            peer.write(match head.starts_with("POST /login ") {
                true => "HTTP/1.1 303 Go\r\nSet-Cookie: session=s3cret; HttpOnly\r\nLocation: /home\r\nContent-Length: 0\r\n\r\n",
                false => "HTTP/1.1 200 OK\r\nSet-Cookie: seen=1; Path=/x\r\nContent-Length: 0\r\n\r\n",
            });
        }
    });
    let jar = CookieJar::new();
    let (client_jar, base) = (jar.clone(), server.url(""));
    on_one_lane(async move {
        let client = AsyncHttpClient::builder().cookie_jar(client_jar).build();
        let login = HttpRequest::post(format!("{base}/login")).body("user=me");
        client.fetch(login).await.expect("an answer");
        client
            .fetch(format!("{base}/x/y"))
            .await
            .expect("an answer");
        let own = HttpRequest::get(format!("{base}/x/y")).header("Cookie", "mine=1");
        client.fetch(own).await.expect("an answer");
    });
    let sent: Vec<_> = sees.try_iter().collect();
    assert_eq!(
        sent,
        ["", "session=s3cret", "seen=1; session=s3cret", "mine=1"]
    );
    assert_eq!(jar.len(), 2);
}

#[test]
fn cookies_do_not_follow_a_redirect_to_another_host() {
    let (seen, sees) = mpsc::channel();
    let other = script(move |_, mut peer| {
        while let Some(head) = peer.head() {
            seen.send(head.contains("Cookie:")).expect("waited for");
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let port = other.address().port();
    let server = script(move |_, mut peer| {
        while peer.head().is_some() {
            peer.write(format!(
                "HTTP/1.1 302 Go\r\nSet-Cookie: a=1\r\nLocation: http://localhost:{port}/\r\nContent-Length: 0\r\n\r\n"
            ));
        }
    });
    let url = server.url("/");
    on_one_lane(async move {
        let jar = CookieJar::new();
        let client = AsyncHttpClient::builder().cookie_jar(jar).build();
        for _ in 0..2 {
            client.fetch(&url).await.expect("an answer");
        }
    });
    assert_eq!(sees.try_iter().collect::<Vec<_>>(), [false, false]);
}

#[test]
fn a_jar_survives_its_process() {
    let dir = TempDir::create();
    let file = dir.path().join("cookies.json");
    let url = Url::parse("https://a.test/x").expect("an address");
    let jar = CookieJar::load(&file).expect("an empty jar");
    assert!(jar.is_empty());
    assert!(jar.set(&url, "lasting=1; Max-Age=1000; Secure"));
    assert!(jar.set(&url, "session=1"));
    jar.save(&file).expect("saved");
    let again = CookieJar::load(&file).expect("a jar");
    assert_eq!(again.header(&url).as_deref(), Some("lasting=1"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(&file, "[1]").expect("written");
    let error = CookieJar::load(&file).expect_err("no jar");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn a_jar_is_saved_by_many_at_once() {
    let dir = TempDir::create();
    let file = dir.path().join("cookies.json");
    let url = Url::parse("https://a.test/x").expect("an address");
    let jar = CookieJar::new();
    assert!(jar.set(&url, "lasting=1; Max-Age=1000"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    jar.save(&file).expect("saved");
                    assert_eq!(CookieJar::load(&file).expect("a jar").len(), 1);
                }
            });
        }
    });
    // No draft is left.
    assert_eq!(dir.path().read_dir().expect("a directory").count(), 1);
}

/// Whoever can make files in the directory could know the name beforehand.
#[cfg(unix)]
#[test]
fn a_jar_is_not_written_through_what_lies_beside_it() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = TempDir::create();
    let (file, other) = (dir.path().join("cookies.json"), dir.path().join("other"));
    std::fs::write(&other, "mine").expect("written");
    let beside = dir
        .path()
        .join(format!("cookies.json.{}", std::process::id()));
    symlink(&other, beside).expect("a link");
    let jar = CookieJar::new();
    jar.save(&file).expect("saved");
    assert_eq!(std::fs::read_to_string(&other).expect("a file"), "mine");
    let meta = file.symlink_metadata().expect("a file");
    assert!(meta.is_file());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
}

#[test]
fn cookies_are_kept_as_browsers_keep_them() {
    each_of_others("setcookies.jsonl", |case| {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let url = |name: &str| Url::parse(text(name)).expect("an address");
        let mut headers = Headers::new();
        for cookie in case["set_cookie"].as_array().expect("fields") {
            // What no header can hold never gets to a jar.
            let _ = headers.append("Set-Cookie", latin1(cookie.as_str().expect("text")));
        }
        let jar = CookieJar::new();
        jar.store(&url("response_url"), &headers);
        let sent = jar.header(&url("request_url")).unwrap_or_default();
        let may_be_refused = text("note").contains("refusing") && sent.is_empty();
        assert!(
            sent == text("expect_cookie") || may_be_refused,
            "{case}: {sent}"
        );
    });
}
