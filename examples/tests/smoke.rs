//! Each example starts, answers, and ends well.

use super::program::Program;

#[test]
fn hello() {
    let program = Program::start("hello", &["127.0.0.1:0"]);
    assert_eq!(program.get("/").text(), "hello\n");
    program.terminate();
}

#[test]
fn middleware() {
    let program = Program::start("middleware", &["127.0.0.1:0"]);
    let answer = program.get("/");
    let id = answer.header("x-request-id").unwrap_or_default();
    assert_eq!(answer.text(), format!("hello, this is request {id}\n"));
    assert!(answer.header("server-timing").is_some());
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let counted = "squall_requests_total{route=\"/\",method=\"GET\",status=\"200\"} 1\n";
    assert!(program.get("/metrics").text().contains(counted));
    program.terminate();
}

#[test]
fn sessions_login() {
    let program = Program::start("sessions_login", &["127.0.0.1:0"]);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let wrong = program.ask("POST", "/login", form, "name=ada&password=byron");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    assert_eq!(program.get("/secret").status, 401);
    let right = program.ask("POST", "/login", form, "name=ada&password=lovelace");
    assert_eq!((right.status, right.header("location")), (303, Some("/")));
    let cookie = right
        .header("set-cookie")
        .and_then(|line| line.split("; ").next());
    let cookie = format!("Cookie: {}\r\n", cookie.expect("a cookie"));
    let ask = |method: &str, target: &str| program.ask(method, target, &cookie, "");
    assert_eq!(ask("GET", "/secret").text(), "ada, the answer is 42\n");
    assert!(ask("GET", "/").text().contains("Hello ada, visit 1."));
    assert_eq!(ask("POST", "/logout").status, 303);
    assert_eq!(ask("GET", "/secret").status, 401);
    program.terminate();
}

#[test]
fn blocking_database() {
    let program = Program::start("blocking_database", &["127.0.0.1:0"]);
    assert_eq!(program.ask("POST", "/notes", "", "first").status, 201);
    assert_eq!(
        program
            .ask("POST", "/notes", "", "'); DROP TABLE notes; --")
            .status,
        201
    );
    assert_eq!(program.ask("POST", "/notes", "", " ").status, 400);
    let notes = program.get("/notes").json();
    assert_eq!(
        notes,
        serde_json::json!(["first", "'); DROP TABLE notes; --"])
    );
    assert_eq!(program.get("/health").text(), "fine\n");
    program.terminate();
}
