//! The shared response cases: what the client makes of each answer on the wire.
//!
//! They lie beside the repository, or where `SQUALL_CASES` says, with the server that
//! plays them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use serde_json::Value;
use squall::client::{AsyncHttpClient, FetchError, HttpRequest};
use squall_tests::{PATIENCE, on_two_lanes};

use super::program;
use super::servers::{free_port, until_listening};

/// For the cases in which the server falls silent for good.
const SILENCE: Duration = Duration::from_millis(200);

fn cases() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/cases");
    let folder = std::env::var("SQUALL_CASES").unwrap_or_else(|_| beside.to_owned());
    let folder = Path::new(&folder).to_owned();
    if folder.join("responses.jsonl").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: no response cases at {}", folder.display());
    None
}

/// The server of the cases, until it is dropped.
struct Upstream {
    process: Child,
    address: String,
}

impl Upstream {
    fn start(folder: &Path) -> Option<Self> {
        let mut python = program("python3", &["--version"])?;
        let port = free_port();
        python
            .arg(folder.join("serve_responses.py"))
            .arg(port.to_string());
        let process = python.spawn().expect("a process");
        let address = format!("127.0.0.1:{port}");
        until_listening(&address);
        Some(Self { process, address })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What came of a case.
type Outcome = Result<(u16, Vec<u8>), FetchError>;

async fn fetch(client: &AsyncHttpClient, address: &str, case: &Value) -> Outcome {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let method = text("request_method").parse().expect("a method");
    let silent = text("then") == "hold";
    let mut request = HttpRequest::new(format!("http://{address}/{}", text("id")))
        .method(method)
        .request_timeout(if silent { SILENCE } else { PATIENCE })
        .max_body_size(64 << 20);
    if let Some(length) = case["request"]["body_len"].as_u64() {
        request = request.body(vec![b'x'; length as usize]);
    }
    let mut response = client.fetch(request).await?;
    let body = response.bytes().await?;
    Ok((response.code(), body.to_vec()))
}

/// Says how an outcome differs from what a case allows.
fn difference(case: &Value, outcome: &Outcome) -> Option<String> {
    let expect = case["expect"].as_str().unwrap_or_default();
    let allowed = case["allow"].as_array().cloned().unwrap_or_default();
    let may = |what: &str| {
        expect == what || expect == "any" || allowed.iter().any(|allowed| allowed == what)
    };
    match outcome {
        Err(_) if may("error") => None,
        Err(error) => Some(format!("failed: {error}")),
        Ok((code, _)) if !may("ok") => Some(format!("was taken for an answer: {code}")),
        Ok((code, body)) => {
            let status = case["status"].as_u64().map(|status| status as u16);
            if status.is_some_and(|status| status != *code) {
                return Some(format!("status {code}, not {status:?}"));
            }
            let expected: Option<Vec<u8>> =
                (case["body"].as_str()).map(|text| text.chars().map(|char| char as u8).collect());
            (expected.is_some_and(|expected| expected != *body))
                .then(|| format!("another body: {:?}", String::from_utf8_lossy(body)))
        }
    }
}

#[test]
fn every_response_case_has_its_outcome() {
    let Some(folder) = cases() else { return };
    let Some(upstream) = Upstream::start(&folder) else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("responses.jsonl")).expect("the cases");
    let cases: Vec<Value> = (text.lines())
        .map(|line| serde_json::from_str(line).expect("a case"))
        // Redirects are scenarios, played by the tests of redirects.
        .filter(|case: &Value| case["group"] != "redirect" && !is_scenario(case))
        .collect();
    let address = upstream.address.clone();
    let wrong = on_two_lanes(async move {
        let mut wrong = Vec::new();
        for case in &cases {
            let client = AsyncHttpClient::new();
            // The second shows whether the first one's connection was used again.
            let outcomes = [
                fetch(&client, &address, case).await,
                fetch(&client, &address, case).await,
            ];
            let name = format!("{} {}", case["id"], case["name"]);
            wrong.extend(
                (outcomes.iter())
                    .filter_map(|outcome| difference(case, outcome))
                    .map(|difference| format!("{name}: {difference}")),
            );
        }
        let url = format!("http://{address}/_conns");
        let mut counted = AsyncHttpClient::new().fetch(url).await.expect("the counts");
        let connections: HashMap<String, u64> = counted.json().await.expect("the counts");
        for case in &cases {
            let id = case["id"].as_str().unwrap_or_default();
            let used = connections.get(id).copied().unwrap_or_default();
            let expected = case["reuse"]
                .as_bool()
                .map(|reuse| if reuse { 1 } else { 2 });
            if expected.is_some_and(|expected| expected != used) {
                wrong.push(format!("{id} {}: {used} connections", case["name"]));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether it describes what is done and not what is sent.
fn is_scenario(case: &Value) -> bool {
    let scenario = &case["scenario"];
    !scenario.is_null() && scenario["content_encoding"].is_null()
}
