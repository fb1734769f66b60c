//! What the compiler says to the mistakes people make with handlers.
//!
//! Each file in `cases` makes one of them. A line `//~ text` in it is something that the
//! errors have to say; the rest of the compiler's output is its own business, and may
//! change with it. A case without such a line has to compile. To read what is said:
//!
//! ```text
//! cargo test --package squall-tests --test it ui -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
#[allow(clippy::print_stdout)] // It is what one reads to write a case.
fn every_mistake_is_named() {
    let cases = cases();
    assert!(cases.len() > 15, "the cases are gone");
    let said = check(&cases);
    let mut wrong = Vec::new();
    for (name, path) in &cases {
        let text = fs::read_to_string(path).expect("a readable case");
        let said = said.get(name).map_or("", String::as_str);
        println!("=== {name}\n{said}");
        let expected: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("//~ "))
            .collect();
        if expected.is_empty() != said.is_empty() {
            wrong.push(format!("{name}: compiles: {}", said.is_empty()));
        }
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in expected {
            if !words(said).contains(&words(text)) {
                wrong.push(format!("{name}: not said: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

fn cases() -> BTreeMap<String, PathBuf> {
    let folder = fs::read_dir(root().join("tests/ui/cases")).expect("the cases");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    paths
        .map(|path| {
            (
                path.file_stem()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                path,
            )
        })
        .collect()
}

/// The errors of each case, as the compiler shows them: all are programs of one package,
/// which is made in the target folder with the workspace's lock file and profile.
fn check(cases: &BTreeMap<String, PathBuf>) -> BTreeMap<String, String> {
    let root = root();
    let package = root.join("target/ui");
    fs::create_dir_all(&package).expect("a folder");
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).expect("the lock file");
    let workspace = fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
    let profile = workspace.find("[profile.dev]").expect("the profile");
    let release = workspace
        .find("[profile.dev.package.libsqlite3-sys]")
        .expect("its end");
    let squall = root.join("crates/squall");
    let mut manifest = format!(
        "[package]\nname = \"squall-ui\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\nsquall = {{ path = {squall:?} }}\n{}",
        &workspace[profile..release],
    );
    for (name, path) in cases {
        manifest += &format!("[[bin]]\nname = {name:?}\npath = {path:?}\n");
    }
    fs::write(package.join("Cargo.toml"), manifest).expect("a manifest");
    let output = Command::new(env!("CARGO"))
        .args([
            "check",
            "--offline",
            "--bins",
            "--keep-going",
            "--message-format=json",
        ])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .output()
        .expect("cargo");
    let mut said = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line).expect("JSON of cargo");
        if message["message"]["level"] != "error" {
            continue;
        }
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let text = message["message"]["rendered"].as_str().unwrap_or_default();
        *said.entry(name.to_owned()).or_insert_with(String::new) += text;
    }
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!said.is_empty(), "nothing was compiled: {told}");
    said
}
