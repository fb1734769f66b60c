//! A stack as a person reads it, and which of its frames is the person's own.

use std::fmt;
use std::path::Path;

use crate::sys::{self, Symbol};

/// The most frames that are kept, innermost first.
const FRAMES: usize = 64;
/// Where each task is polled from: what is outside of it is the loop.
const ENTRY: &str = "squall_loop::carrier::";
const ENTRY_FILE: &str = "/src/carrier.rs";
/// This package's directory. The engine's and the framework's are beside it.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The calls that a thread was in, from the innermost to the task's outermost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The calls, innermost first; inlined ones too. At most 64.
    pub frames: Vec<Frame>,
    /// Which of them is the innermost of the program's own: not the standard
    /// library's, not Squall's, and not a dependency's if it can be told.
    pub own: Option<usize>,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The function's name, as far as the debug information has it.
    pub function: String,
    /// The source file: relative to the working directory if it is below it.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
}

impl Stack {
    /// The innermost frame of the program's own.
    pub fn own(&self) -> Option<&Frame> {
        self.frames.get(self.own?)
    }

    /// Looks up what is at these addresses. Slow.
    pub(super) fn resolve(addresses: &[usize]) -> Self {
        let mut symbols = Vec::new();
        for &address in addresses {
            symbols.extend(sys::symbols(address));
            if let Some(entry) = symbols.iter().position(is_entry) {
                symbols.truncate(entry);
                break;
            }
            if symbols.len() >= FRAMES {
                break;
            }
        }
        symbols.truncate(FRAMES);
        let here = std::env::current_dir().ok();
        Self::build(&symbols, here.as_deref())
    }

    fn build(symbols: &[Symbol], here: Option<&Path>) -> Self {
        let origins: Vec<_> = symbols.iter().map(Origin::of).collect();
        // The loop polls its tasks through some calls of its own.
        let inner = (origins.iter())
            .rposition(|origin| !matches!(origin, Origin::Loop | Origin::System))
            .map_or(0, |last| last + 1);
        let own = (origins[..inner].iter().enumerate())
            .filter_map(|(place, origin)| Some((origin.rank()?, place)))
            .min()
            .map(|(_, place)| place);
        Self {
            frames: (0..inner)
                .map(|place| Frame {
                    function: readable(&symbols[place].function, &symbols[place + 1..]),
                    file: symbols[place].file.as_deref().map(|file| shown(file, here)),
                    line: symbols[place].line,
                })
                .collect(),
            own,
        }
    }
}

/// One line per frame, innermost first; the own frame is marked with `>`.
impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, frame) in self.frames.iter().enumerate() {
            let mark = if self.own == Some(place) { '>' } else { ' ' };
            write!(f, "\n{mark} {frame}")?;
        }
        Ok(())
    }
}

impl Frame {
    /// File and line: `src/main.rs:12`.
    pub fn at(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(match self.line {
            Some(line) => format!("{file}:{line}"),
            None => file.clone(),
        })
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match self.at() {
            Some(at) => write!(f, " at {at}"),
            None => Ok(()),
        }
    }
}

/// Whose code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Own,
    /// A dependency from a git repository, or a program that was built in one.
    Repository,
    /// A dependency from a registry, or a program that was installed from one.
    Registry,
    /// The engine or the framework.
    Framework,
    /// The event loop, and what it polls its tasks with.
    Loop,
    /// The standard library, and code that is not Rust.
    System,
}

impl Origin {
    fn of(symbol: &Symbol) -> Self {
        let krate = first_name(&symbol.function);
        match krate {
            "std" | "core" | "alloc" => return Self::System,
            "squall_loop" | "async_task" => return Self::Loop,
            "squall_http" => return Self::Framework,
            _ => {}
        }
        let Some(file) = symbol.file.as_deref() else {
            // A name without a path is not Rust's, or says nothing.
            return match symbol.function.contains("::") {
                true if krate == "squall" => Self::Framework,
                true => Self::Own,
                false => Self::System,
            };
        };
        if !file.ends_with(".rs") || file.starts_with("/rustc/") || file.contains("/rustlib/") {
            return Self::System;
        }
        match package(file) {
            Some("squall-loop" | "async-task") => Self::Loop,
            Some("squall-http" | "squall") => Self::Framework,
            _ if file.contains("/git/checkouts/") => Self::Repository,
            _ if file.contains("/registry/src/") || file.contains("/vendor/") => Self::Registry,
            _ => Self::Own,
        }
    }

    /// How likely it is that the frame is what the reader looks for: lowest first.
    fn rank(self) -> Option<u8> {
        match self {
            Self::Own => Some(0),
            Self::Repository => Some(1),
            Self::Registry => Some(2),
            Self::Framework | Self::Loop | Self::System => None,
        }
    }
}

/// The package of a source file, if it is one of Squall's or came from a registry.
fn package(file: &str) -> Option<&str> {
    let beside = Path::new(PACKAGE).parent()?.to_str()?;
    let inside = match file
        .strip_prefix(beside)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        Some(inside) => inside,
        // .../registry/src/INDEX/NAME-VERSION/...
        None => file.split_once("/registry/src/")?.1.split_once('/')?.1,
    };
    let (name, source) = inside.split_once('/')?;
    let version = (name.match_indices('-'))
        .map(|(dash, _)| dash)
        .find(|dash| name[dash + 1..].starts_with(|c: char| c.is_ascii_digit()));
    (source.starts_with("src/")).then(|| &name[..version.unwrap_or(name.len())])
}

/// The crate at the beginning of a function's path: `a` of `<&a::B as c::D>::e`.
fn first_name(function: &str) -> &str {
    let start =
        function.trim_start_matches(|c: char| !(c.is_alphanumeric() || c == '_' || c == '{'));
    let start = start.strip_prefix("mut ").unwrap_or(start);
    let start = start.strip_prefix("dyn ").unwrap_or(start);
    match start.split_once("::") {
        Some((name, _)) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => name,
        _ => "",
    }
}

fn is_entry(symbol: &Symbol) -> bool {
    let file = symbol.file.as_deref().unwrap_or("");
    symbol.function.starts_with(ENTRY)
        || file.ends_with(ENTRY_FILE) && package(file) == Some("squall-loop")
}

/// A path as the standard library shows it: relative to the working directory.
fn shown(file: &str, here: Option<&Path>) -> String {
    let short = here.and_then(|here| Path::new(file).strip_prefix(here).ok());
    short.map_or_else(|| file.to_owned(), |short| short.display().to_string())
}

/// A name without the compiler's own marks.
///
/// An async function's body is a closure in it, `a::b::{{closure}}` or, where it was
/// inlined, just `{async_fn#0}`. Then one of the calls around it, which are given,
/// tells whose: it is generic over `a::b::{async_fn_env#0}`.
fn readable(function: &str, around: &[Symbol]) -> String {
    let mut name = function.replace("{{vtable.shim}}", "");
    if name.ends_with('>') && !name.starts_with('<') {
        name.truncate(name.find('<').unwrap_or(name.len()));
    }
    if let Some((kind, number)) = name.strip_prefix('{').and_then(|it| it.split_once('#')) {
        let environment = format!("::{{{kind}_env#{number}");
        let whose = around.iter().find_map(|call| {
            let end = call.function.find(&environment)?;
            let path = &call.function[..end];
            let start = path.rfind(|c: char| !(c.is_alphanumeric() || "_:{}#".contains(c)));
            Some(path[start.map_or(0, |start| start + 1)..].to_owned())
        });
        name = whose.unwrap_or_else(|| kind.replace('_', " "));
    }
    // `{{closure}}`, `{closure#0}`, `{impl#3}`: parts that have no name.
    let parts: Vec<_> = name
        .split("::")
        .filter(|part| !part.starts_with('{'))
        .collect();
    match parts.join("::") {
        name if name.is_empty() => "unknown".to_owned(),
        name => name,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn symbol(function: &str, file: &str) -> Symbol {
        Symbol {
            function: function.to_owned(),
            file: (!file.is_empty()).then(|| file.to_owned()),
            line: Some(7),
        }
    }

    /// A path in a package beside this one.
    fn beside(inside: &str) -> String {
        let beside = Path::new(PACKAGE).parent().expect("a directory");
        format!("{}/{inside}", beside.display())
    }

    #[test]
    fn the_own_frame_is_neither_a_librarys_nor_the_frameworks() {
        let stack = Stack::build(
            &[
                symbol("nanosleep", "./time/nanosleep.c"),
                symbol("std::thread::sleep", "/rustc/59/library/std/src/thread.rs"),
                symbol(
                    "wait<()>",
                    "/home/me/.cargo/registry/src/index-1/db-1.2.3/src/lib.rs",
                ),
                symbol("app::query::{{closure}}", "/home/me/app/src/query.rs"),
                symbol("app::page::{{closure}}", "/home/me/app/src/main.rs"),
                symbol("poll", &beside("squall/src/web/execute.rs")),
                symbol(
                    "squall_loop::task::contain",
                    &beside("squall-loop/src/task.rs"),
                ),
                symbol(
                    "std::panicking::catch_unwind",
                    "/rustc/59/library/std/src/panic.rs",
                ),
                symbol(
                    "run<()>",
                    "/x/registry/src/index-1/async-task-4.7.1/src/raw.rs",
                ),
            ],
            Some(Path::new("/home/me/app")),
        );
        assert_eq!(stack.frames.len(), 6, "{stack}");
        let own = stack.own().expect("a frame");
        assert_eq!(own.to_string(), "app::query at src/query.rs:7");
        assert_eq!(own.at().as_deref(), Some("src/query.rs:7"));
        assert_eq!(stack.frames[2].function, "wait");
    }

    #[test]
    fn a_program_that_was_installed_from_a_registry_has_frames_of_its_own() {
        let stack = Stack::build(
            &[
                symbol(
                    "wait",
                    "/x/registry/src/index-1/squall-http-0.1.0/src/body.rs",
                ),
                symbol("app::page", "/x/registry/src/index-1/app-0.3.0/src/main.rs"),
                symbol(
                    "poll",
                    "/x/registry/src/index-1/squall-0.1.0/src/web/app.rs",
                ),
            ],
            None,
        );
        assert_eq!(stack.own, Some(1));
    }

    #[test]
    fn without_debug_information_the_names_decide() {
        let stack = Stack::build(
            &[
                symbol("nanosleep", ""),
                symbol("std::thread::sleep", ""),
                symbol("<app::Page as core::future::Future>::poll", ""),
                symbol("squall_loop::task::contain", ""),
            ],
            None,
        );
        assert_eq!(stack.own, Some(2));
        assert_eq!(stack.frames.len(), 3);
    }

    #[test]
    fn a_stack_without_own_code_has_no_own_frame() {
        let stack = Stack::build(
            &[symbol("syscall", ""), symbol("core::hint::spin_loop", "")],
            None,
        );
        assert_eq!(stack.own, None);
        assert_eq!(stack.frames, []);
    }

    #[test]
    fn names_are_as_in_the_source() {
        let around = [
            symbol(
                "{closure#0}<squall_loop::task::contain::{closure_env#0}>",
                "",
            ),
            symbol(
                "poll<&mut app::pages::{impl#2}::show::{async_fn_env#0}<u8>>",
                "",
            ),
        ];
        for (name, expected) in [
            ("app::page::{{closure}}", "app::page"),
            ("app::page::{closure#1}::{closure#0}", "app::page"),
            (
                "<app::Page as squall::Handler>::get::{{closure}}",
                "<app::Page as squall::Handler>::get",
            ),
            (
                "std::sync::mpsc::Receiver<T>::recv",
                "std::sync::mpsc::Receiver<T>::recv",
            ),
            ("try_with<core::cell::Cell<u8>, ()>", "try_with"),
            (
                "core::ops::FnOnce::call_once{{vtable.shim}}",
                "core::ops::FnOnce::call_once",
            ),
            ("{async_fn#0}", "app::pages::show"),
            ("{async_fn#0}<u8>", "app::pages::show"),
            ("{async_block#0}", "async block"),
            ("", "unknown"),
        ] {
            assert_eq!(readable(name, &around), expected, "{name}");
        }
    }
}
