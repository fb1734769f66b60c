//! `squall new` from outside. That what it makes compiles and passes its own test is a
//! test of this program's: the template is one of its modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[expect(dead_code, clippy::print_stdout, reason = "it is a program of its own")]
#[path = "../src/new/template.rs"]
mod template;

/// An empty directory of a test's own.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let name = format!("squall-new-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    fn squall_new(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        let command = command.arg("new").args(args).current_dir(&self.0);
        command.output().expect("the program starts")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What Cargo reads in a project's manifest.
fn metadata(project: &Path) -> serde_json::Value {
    let cargo = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(project)
        .output()
        .expect("cargo starts");
    let errors = String::from_utf8_lossy(&cargo.stderr).into_owned();
    serde_json::from_slice(&cargo.stdout).unwrap_or_else(|_| panic!("{errors}"))
}

#[test]
fn a_project_that_cargo_understands() {
    let dir = Dir::new("plain");
    let made = dir.squall_new(&["my-service"]);
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert_eq!(made.status.code(), Some(0), "{said}");
    assert!(said.contains("cd my-service\n"), "{said}");
    let project = dir.0.join("my-service");
    let package = &metadata(&project)["packages"][0];
    assert_eq!(package["name"], "my-service");
    let dependency = &package["dependencies"][0];
    assert_eq!(dependency["name"], "squall");
    // This program was built from a checkout, which is still there.
    let path = Path::new(dependency["path"].as_str().expect("a path"));
    assert!(path.join("src/lib.rs").is_file(), "{path:?}");
    let main = fs::read_to_string(project.join("src/main.rs")).expect("a file");
    assert!(
        main.contains("\"my-service listening on http://{}\""),
        "{main}"
    );
    assert!(!main.contains("PROJECT"), "{main}");

    // What is there is left alone.
    let again = dir.squall_new(&["my-service"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert_eq!(said, "squall: there is a my-service already\n");
}

#[test]
fn a_project_inside_of_another_is_one_of_its_own() {
    let dir = Dir::new("inside");
    let outer = "[workspace]\nmembers = []\nresolver = \"3\"\n";
    fs::write(dir.0.join("Cargo.toml"), outer).expect("written");
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let made = dir.squall_new(&["inner", "--path", repository]);
    assert_eq!(made.status.code(), Some(0));
    let root = metadata(&dir.0.join("inner"));
    let root = root["workspace_root"].as_str().expect("a path").to_owned();
    assert!(root.ends_with("inner"), "{root}");
}

#[test]
fn wrong_usage() {
    let dir = Dir::new("wrong");
    for args in [
        &[][..],
        &["2fast"],
        &["../up"],
        &["fn"],
        &["squall"],
        &["x", "--path", "/nowhere"],
    ] {
        assert_eq!(dir.squall_new(args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(fs::read_dir(&dir.0).expect("a directory").count(), 0);
}
