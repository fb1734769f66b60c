//! The attacks of the past, row by row, and the test that stands against each. A row
//! without a test says why none is needed.
//!
//! # Tornado's own history
//!
//! | fixed in | what | test |
//! |---|---|---|
//! | 1.0.1, 3.2.1 | a signed cookie's timestamp or name moved into its value | `web_cookies::what_the_client_changes_is_not_read` |
//! | 1.1.1 | a header that exempts from the cross-site check | `security_sessions::pages_of_other_sites_cannot_act` |
//! | 2.1, 2.2 | a distrusted authority, SSLv2 | rustls and webpki-roots have neither |
//! | CVE-2012-2374 | line ends in a header's value | `security_input::nothing_a_handler_passes_on_becomes_a_header`, `security_engine::an_answer_cannot_be_split` |
//! | CVE-2014-9720 | a constant token in a compressed page | there is no token: `security_sessions::pages_of_other_sites_cannot_act` |
//! | 4.0, 5.1, 6.6.0, CVE-2026-49854 | WebSockets: origins, size limits, masks, pings | there are none yet |
//! | 4.2.1 | a sibling directory that shares the prefix | `security_files::no_path_leads_out_of_the_directory` |
//! | 4.4.2 | cookies read otherwise than browsers write them | `wire_cases::cookies_are_read_as_browsers_mean_them` |
//! | CVE-2023-28370 | a directory's redirect to another site | `security_files::a_directory_never_redirects_to_another_site` |
//! | GHSA-qppv, GHSA-753j | lengths with signs, `chunked` twice or in a list | `engine_wire::lengths_that_two_parsers_could_read_differently`, `engine_wire::malformed_chunks` |
//! | GHSA-w235 | line ends in what a client sends | `client_wire::invalid_requests_are_not_sent` |
//! | CVE-2024-52804 | quadratic unquoting of a cookie | `security_input::cookies_are_counted_and_read_once` |
//! | CVE-2025-47287 | a log line for each bad part | [`a_flood_of_bad_parts_is_one_line_in_the_log`], `security_input::the_first_malformed_part_ends_the_upload` |
//! | CVE-2025-67724 | a reason phrase that injects, in the head and in the page | `security_engine::an_answer_cannot_be_split`, `security_input::error_pages_show_text_only` |
//! | CVE-2025-67725 | repeated fields that are joined in quadratic time | `security_engine::a_head_costs_what_its_bytes_cost` |
//! | CVE-2025-67726, GHSA-8423 | quadratic parameters and boundaries of a form | `security_input::uploads_are_searched_once` |
//! | CVE-2026-31958 | parts without number | `security_input::uploads_are_counted` |
//! | CVE-2026-35536, GHSA-wwv5, GHSA-c6v4 | attributes injected into a cookie | `web_cookies::a_cookie_that_breaks_a_rule_is_an_error_and_sets_nothing`; the lifetime is a number |
//! | 6.5.5 | a bare CR in a part's header | [`a_part_s_header_has_no_bare_cr`], `wire_cases::uploads_are_read_alike_however_they_are_cut` |
//! | CVE-2026-49853 | credentials that follow a redirect elsewhere | `client_redirects::credentials_stay_with_their_origin_and_never_come_back` |
//! | CVE-2026-49855 | a bomb behind a limit on compressed bytes | `coding::a_bomb_is_refused_and_the_setting_named`, `compress::requests_are_decompressed_within_limits` |
//! | 6.5.6 | an OpenID answer that is parsed loosely | there is no OpenID |
//! | GHSA-pw6j | a handle that keeps one request's credentials for the next | `client_requests::a_netrc_file_is_asked_where_that_is_wanted_and_for_the_first_origin_only` |
//! | 6.5.8, 6.5.9, CVE-2026-82397 | arguments without number, in a form or a query | `security_input::arguments_are_counted` |
//! | 6.5.9 | links out of a directory | `security_files::links_are_followed_only_inside_of_the_directory` |
//! | 6.5.9 | an answer without end, and ten 1xx before one | `client_wire::errors_tell_the_phase_and_every_limit_its_name`, `client_responses::informational_answers_are_shown_and_counted` |
//! | 6.5.9 | an answer that is cut and looks whole | `client_wire::a_body_that_is_cut_off_is_never_a_clean_end`, `security_engine::an_answer_that_only_its_connection_ends_is_never_cut_to_look_whole` |
//! | 6.6.0, 6.6.1 | redirects to `//` and `/\` | `security_input::redirects_stay_on_this_site`, `web_routers::no_redirect_leads_to_another_host` |
//! | 6.6.0 | the hash of a file outside of the directory | `static_files::what_is_asked_for_by_its_hash_may_be_kept` |
//! | 6.6.0 | tiny chunks that starve everybody else | [`a_flood_of_tiny_chunks_starves_nobody`] |
//! | 6.6.0 | folded lines | `engine_wire::malformed_heads` |
//! | 6.6.1 | a redirect to another scheme that hangs the client | `client_redirects::some_places_are_not_gone_to` |
//! | 6.6.1 | streams of NTFS in a path | `security_files::no_path_leads_out_of_the_directory` |
//! | 6.6.1 | percent-decoding in quadratic time | [`percent_coding_costs_what_its_bytes_cost`] |
//!
//! # Other servers
//!
//! | class, seen in | test |
//! |---|---|
//! | two lengths, odd lengths, odd codings: hyper, actix, Go, HAProxy, pingora | `engine_wire::lengths_that_two_parsers_could_read_differently` |
//! | `Host` missing, twice, with a path: everywhere | `engine_wire::targets_and_hosts` |
//! | chunk framing, extensions, trailers: hyper, Go | `engine_wire::malformed_chunks`, `engine_limits::each_size_has_a_name_and_an_answer` |
//! | a malformed body that ends the process: robyn | `security_engine::malformed_bodies_end_their_connection_and_nothing_else`, `security_input::a_broken_body_is_a_400_for_every_extractor` |
//! | an unread body taken for a request: async-h1, pingora | `engine_limits::a_body_that_nobody_reads_is_drained_or_the_connection_closed` |
//! | bytes behind an upgrade that did not happen: pingora | `engine_wire::requests` |
//! | a refused `Expect` and the body behind it: Go | `engine_limits::who_waits_for_leave_is_let_in_or_told_otherwise` |
//! | heads and targets without end: Go, nginx | `engine_limits::each_size_has_a_name_and_an_answer` |
//! | slow heads, bodies, readers | `engine_timeouts::a_head_has_one_limit_however_it_drips`, `engine_timeouts::a_body_may_pause_and_may_not_drip`, `engine_timeouts::a_client_that_takes_nothing_of_its_answer_is_cut` |
//! | silence before a protocol is known: Go | `proxies::a_proxy_header_that_does_not_come_is_not_waited_for`, `server_tls::a_handshake_that_does_not_end_is_closed` |
//! | connections and descriptors without end: axum | `engine_limits::one_address_has_so_many_connections`, `server_tls::of_too_many_handshakes_the_oldest_is_given_up` |
//! | pipelining without end: aiohttp | `security_engine::a_pipelining_client_is_read_no_further_than_it_is_answered` |
//! | a half-closed peer that costs a core: hyper | `security_engine::a_half_closed_connection_costs_no_cpu` |
//! | extractors without a limit: axum | `security_input::no_extractor_collects_without_end` |
//! | names that are paths, devices, drives: werkzeug, warp, Go | `security_input::a_name_never_becomes_a_path`, `security_files::no_path_leads_out_of_the_directory` |
//! | temporary files of aborted uploads: multer | `web_uploads::a_client_that_goes_away_leaves_no_file_behind` |
//! | nameless cookies, cookies without number: werkzeug, Go | `security_input::cookies_cannot_forge_a_prefix`, `security_input::cookies_are_counted_and_read_once` |
//! | session fixation | `security_sessions::an_id_from_before_the_log_in_is_worth_nothing_after_it` |
//! | requests of other sites' pages, wide exemptions: Go | `security_sessions::pages_of_other_sites_cannot_act` |
//! | a client's own word on who it is | `proxies::nobody_says_who_he_is_unless_he_is_trusted`, `proxies::a_proxy_header_of_anybody_else_is_refused` |
//! | control bytes in the log: tracing-subscriber, Go | [`nothing_in_the_log_ends_its_line`] |
//! | a ClientHello in pieces, an alert in its place: rustls | `server_tls::a_handshake_in_pieces_is_one`, `server_tls::an_alert_in_place_of_a_handshake_ends_it` |
//! | a body in TLS that a handler does not read: tokio-rustls | `server_tls::a_body_that_no_handler_reads_is_not_taken_in` |
//! | a ticket of one host for another that asks for certificates: nginx | each address with TLS has sessions of its own, and asks all its clients alike |
//! | secrets in error pages | `security_input::a_failure_shows_nothing_of_the_program` |

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use squall::testing::{ExpectLog, TestResponse, TestServer};
use squall::{Application, IoLoop, Request, Result, Upload, post};
use squall_tests::in_order;

/// The files of this folder that have tables such as the one above.
const TABLES: [&str; 5] = [
    "security",
    "security_client",
    "security_engine",
    "security_forward",
    "security_input",
];

#[test]
fn every_row_names_tests_that_are_there() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in [tests.join("integration"), tests.join("../crates")] {
        add_code(&folder, &mut code);
    }
    let mut rows = 0;
    for table in TABLES {
        let own = tests.join("integration").join(table).with_extension("rs");
        let own = fs::read_to_string(own).expect("a file of tests");
        for line in own.lines().filter(|line| line.starts_with("//! | ")) {
            let words = line.split('`').skip(1).step_by(2);
            let names = words.map(|word| word.rsplit("::").next().unwrap_or_default());
            // Tests are called by sentences; what is shorter is a file or a setting.
            for name in names.filter(|name| name.matches('_').count() > 1) {
                assert!(code.contains(&format!("fn {name}()")), "{table}: {name}");
                rows += 1;
            }
        }
    }
    assert!(rows > 120, "{rows}");
}

/// Appends every file of Rust in a folder.
fn add_code(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            add_code(&path, code);
        } else if path.extension().is_some_and(|end| end == "rs") {
            code.push_str(&fs::read_to_string(path).expect("text"));
        }
    }
}

async fn sink(mut request: Request) -> Result<String> {
    let mut length = 0;
    while let Some(piece) = request.body_mut().chunk().await {
        length += piece?.len();
    }
    Ok(length.to_string())
}

#[test]
fn a_flood_of_tiny_chunks_starves_nobody() {
    let application = Application::new()
        .route("/", async || "fine")
        .route("/sink", post(sink));
    let one_lane = IoLoop::builder().lanes(1).build().expect("a loop");
    let server = TestServer::start_on(one_lane, application);
    let over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let (mut tcp, over) = (server.connect(), over.clone());
            std::thread::spawn(move || {
                let head = b"POST /sink HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
                tcp.write_all(head).expect("sent");
                let chunks = b"1\r\na\r\n".repeat(10_000);
                while !over.load(Ordering::Relaxed) {
                    tcp.write_all(&chunks).expect("the server reads on");
                }
            })
        })
        .collect();
    for _ in 0..20 {
        server.get("/").assert_text("fine");
    }
    over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().expect("no panic");
    }
}

#[test]
fn percent_coding_costs_what_its_bytes_cost() {
    // Were it quadratic, each would take hours and the answer would not come.
    let server = TestServer::start(Application::new().route(
        "/",
        post(async |form: squall::Form<Vec<(String, String)>>| form.0.len().to_string()),
    ));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for (unit, status) in [
        ("%41", 200),
        ("%C3%A9", 200),
        ("%", 200),
        ("+", 200),
        ("%ff", 400),
    ] {
        let body = format!("a={}", unit.repeat(1_900_000 / unit.len()));
        let answer = server.send("POST", "/", &[form], body.as_bytes());
        assert_eq!(answer.status, status, "{unit}");
    }
}

async fn fields(form: Upload) -> String {
    form.files().len().to_string()
}

fn upload(server: &TestServer, body: &[u8]) -> TestResponse {
    let kind = ("Content-Type", "multipart/form-data; boundary=b");
    server.send("POST", "/", &[kind], body)
}

#[test]
fn a_flood_of_bad_parts_is_one_line_in_the_log() {
    let io_loop = in_order().build().expect("a loop");
    let server = TestServer::start_on(io_loop, Application::new().route("/", post(fields)));
    let log = ExpectLog::on(&server);
    let answer = upload(
        &server,
        "--b\r\nnonsense\r\n\r\n\r\n".repeat(1000).as_bytes(),
    );
    assert_eq!(answer.status, 400);
    log.expect("squall::access", "status=400");
    let said = log.events().len();
    assert!(said <= 2, "{said} lines: {:?}", log.events());
}

#[test]
fn a_part_s_header_has_no_bare_cr() {
    let server = TestServer::start(Application::new().route("/", post(fields)));
    for header in [
        "X: a\rb",
        "X: a\rContent-Type: text/html",
        "X\r: a",
        "X: a\r",
    ] {
        let part = "Content-Disposition: form-data; name=f; filename=x";
        let body = format!("--b\r\n{part}\r\n{header}\r\n\r\n1\r\n--b--\r\n");
        assert_eq!(upload(&server, body.as_bytes()).status, 400, "{header:?}");
    }
}

#[test]
fn nothing_in_the_log_ends_its_line() {
    let server = TestServer::start(Application::new().route("/", async || "fine"));
    let log = ExpectLog::on(&server);
    for target in ["/a\x1b[31m", "/a\r\nINFO", "/a\0", "/\u{202e}a", "/a\x7f"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n");
        let answer = TestResponse::parse(&server.raw(request.as_bytes()));
        assert_eq!(answer.status, 400, "{target:?}");
        log.expect("squall::access", "status=400");
    }
    for event in log.events() {
        let text = format!("{}{:?}", event.message, event.fields);
        let odd = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!text.contains(odd), "{text:?}");
    }
}
