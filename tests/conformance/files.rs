//! curl, gzip and zstd read what is sent: codings, ranges, resumed downloads.

use std::fs;

use squall::coding::{Coding, Level, encode};
use squall::testing::TestServer;
use squall::{Application, Compression, StaticFiles};
use squall_tests::{TempDir, on_two_lanes};

use super::{noise, output, program, stream, streamed};

/// A server with a file of noise, and text that is compressed on request.
fn server(dir: &TempDir) -> TestServer {
    fs::write(dir.path().join("noise"), noise(300_000)).expect("a file");
    fs::write(dir.path().join("text.txt"), words()).expect("a file");
    TestServer::start(
        Application::new()
            .middleware(Compression::default().codings(&Coding::ALL))
            .static_files(StaticFiles::new(dir.path()))
            .route("/stream", async || stream().with_content_type("text/plain")),
    )
}

fn words() -> String {
    "the same words over and over, ".repeat(10_000)
}

#[test]
fn curl_takes_each_coding_off() {
    let dir = TempDir::create();
    let server = server(&dir);
    for coding in Coding::ALL {
        for (target, plain) in [
            ("/static/text.txt", words().into_bytes()),
            ("/stream", streamed()),
        ] {
            let Some(mut curl) = program("curl", &["--version"]) else {
                return;
            };
            curl.args(["-sSf", "--compressed", "-H"])
                .arg(format!("Accept-Encoding: {coding}"))
                .arg(format!("http://{}{target}", server.address()));
            assert!(output(curl, b"") == plain, "{coding} {target}");
        }
    }
}

#[test]
fn curl_resumes_a_download() {
    let dir = TempDir::create();
    let server = server(&dir);
    let Some(mut curl) = program("curl", &["--version"]) else {
        return;
    };
    let part = dir.path().join("part");
    fs::write(&part, &noise(300_000)[..123_456]).expect("a file");
    curl.args(["-sSf", "-C", "-", "-o"])
        .arg(&part)
        .arg(format!("http://{}/static/noise", server.address()));
    output(curl, b"");
    assert!(fs::read(&part).expect("a file") == noise(300_000));
}

#[test]
fn the_formats_own_programs_read_them() {
    for (coding, name) in [(Coding::Gzip, "gzip"), (Coding::Zstd, "zstd")] {
        let Some(mut command) = program(name, &["--version"]) else {
            continue;
        };
        let coded = on_two_lanes(async move {
            let mut coded = encode(words().into(), coding, Level::Default);
            coded.collect(u64::MAX).await.expect("encoded")
        });
        command.arg("-dc");
        assert!(output(command, &coded) == words().into_bytes(), "{name}");
    }
}
