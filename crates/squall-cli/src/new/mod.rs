//! `squall new`: a project that builds, runs and tests at once.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use squall::{Error, Result};

use crate::program::say;

const MAIN: &str = include_str!("template.rs");
/// Stands for the project's name in the template.
const NAME: &str = "PROJECT";
/// Longer names than this are refused by most registries.
const MAX_NAME: usize = 64;

/// Make a project in a directory of its name: an application, its test, and what builds them
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The project's name, and its directory's
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,

    /// Where Squall's sources are; otherwise those that this program was built from, or its
    /// repository where they are gone
    #[arg(long, value_name = "DIR", value_parser = sources)]
    path: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { name, path } = options;
    let here = env::current_dir()?;
    let project = Path::new(name);
    fs::create_dir(project).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => shown(&format!("there is a {name} already")),
        _ => shown(&format!("{name} cannot be made: {error}")),
    })?;
    let built_from = || sources(concat!(env!("CARGO_MANIFEST_DIR"), "/../squall")).ok();
    let path = path.clone().or_else(built_from);
    for (file, content) in [
        (
            "Cargo.toml",
            manifest(name, path.as_deref(), in_package(&here)),
        ),
        (".gitignore", "/target\n".to_owned()),
        ("src/main.rs", MAIN.replace(NAME, name)),
    ] {
        let file = project.join(file);
        fs::create_dir_all(file.parent().unwrap_or(project))?;
        fs::write(file, content)?;
    }
    say(&format!(
        "{name} is there:\n  cd {name}\n  cargo run    # then http://127.0.0.1:5000\n  cargo test\n"
    ))?;
    Ok(())
}

fn shown(what: &str) -> Error {
    Error::internal(what.to_owned()).show(what.to_owned())
}

fn manifest(name: &str, path: Option<&Path>, in_package: bool) -> String {
    let source = match path {
        // The two ways to write a string are the same for what paths are made of.
        Some(path) => format!("path = {:?}", path.to_string_lossy()),
        None => format!("git = {:?}", env!("CARGO_PKG_REPOSITORY")),
    };
    let apart = match in_package {
        true => "\n[workspace] # the package around this one is another one\n",
        false => "",
    };
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{apart}\n\
         [dependencies]\nsquall = {{ {source} }}\n"
    )
}

/// Whether Cargo would take a project here for a part of another one.
fn in_package(here: &Path) -> bool {
    let mut around = here.ancestors();
    around.any(|around| around.join("Cargo.toml").is_file())
}

/// The crate `squall`, given its own directory or that of the repository.
fn sources(text: &str) -> Result<PathBuf, String> {
    let given = Path::new(text);
    [given.join("crates/squall"), given.to_owned()]
        .into_iter()
        .find(|dir| {
            let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
            manifest.contains("\nname = \"squall\"\n")
        })
        .and_then(|dir| dir.canonicalize().ok())
        .ok_or_else(|| "Squall's sources are not there".to_owned())
}

/// A name that Cargo takes for a package and Rust for a crate.
fn name(text: &str) -> Result<String, &'static str> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let of_a_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    if !begins || !text.chars().all(of_a_name) {
        return Err("a name has letters, digits, - and _, and begins with a letter");
    }
    if text.len() > MAX_NAME {
        return Err("a name has at most 64 characters");
    }
    if KEYWORDS.contains(&text) {
        return Err("it is a word of the language");
    }
    if TAKEN.contains(&text) {
        return Err("Cargo and Rust use this name themselves");
    }
    Ok(text.to_owned())
}

/// Words of Rust, those included that it keeps for later.
const KEYWORDS: [&str; 52] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Crates that are always there, directories that Cargo builds in, and the dependency.
const TAKEN: [&str; 11] = [
    "_",
    "alloc",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "proc_macro",
    "squall",
    "std",
    "test",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_takes() {
        for good in ["hello", "my-service", "a_b2", "_x", "asynchronous"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        let long = "x".repeat(65);
        for bad in [
            "", "2fast", "-x", "a.b", "a/b", "../x", "grüße", "a b", "fn", "async", "test",
            "squall", "_", "build", &long,
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
