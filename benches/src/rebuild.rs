//! Subject `rebuild`: how long a change to one handler takes to build.
//!
//! An application of fifty routes of ten kinds, written for Squall and for axum with the
//! same handlers, is built as a debug build. Then a text in one handler is changed and
//! the application built again, in turns. axum is there twice: as a router alone, and
//! with what a Squall application has without asking: TLS, time limits, a log line per
//! request, caught panics, compression.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Reason;
use crate::bounded::output;
use crate::options::Options;
use crate::servers::{cargo, scratch};
use crate::spread::Spread;
use crate::table::Table;

const MODULES: usize = 5;
/// Handlers of a module, one of each kind.
const KINDS: usize = 10;
const FIRST_BUILD: Duration = Duration::from_secs(30 * 60);
const BUILD: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framework {
    Squall,
    AxumAlone,
    Axum,
}

use Framework::{Axum, AxumAlone, Squall};

impl Framework {
    fn name(self) -> &'static str {
        match self {
            Squall => "squall",
            AxumAlone => "axum, a router alone",
            Axum => "axum, tower-http, TLS",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Squall => "fifty_squall",
            AxumAlone => "fifty_axum_alone",
            Axum => "fifty_axum",
        }
    }

    fn dependencies(self) -> String {
        let squall = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/squall");
        match self {
            Squall => format!("squall = {{ path = {squall:?} }}\n"),
            AxumAlone => "\
                axum = { version = \"0.8\", features = [\"multipart\"] }\n\
                tokio = { version = \"1\", features = [\"net\", \"rt-multi-thread\", \"macros\"] }\n"
                .into(),
            Axum => "\
                axum = { version = \"0.8\", features = [\"multipart\"] }\n\
                axum-server = { version = \"0.8\", features = [\"tls-rustls-no-provider\"] }\n\
                rustls = { version = \"0.23\", default-features = false, features = [\"ring\", \"std\", \"tls12\"] }\n\
                tokio = { version = \"1\", features = [\"net\", \"rt-multi-thread\", \"macros\"] }\n\
                tower-http = { version = \"0.6\", features = [\"catch-panic\", \"compression-full\", \"timeout\", \"trace\"] }\n"
                .into(),
        }
    }

    fn imports(self) -> &'static str {
        match self {
            Squall => "use squall::{Error, Form, Json, Multipart, Path, Query, Result, State};\n",
            AxumAlone | Axum => {
                "use axum::extract::{Form, Json, Multipart, Path, Query, State};\n\
                 use axum::http::StatusCode;\n"
            }
        }
    }

    /// A handler's answer of type `of` that may be an error instead.
    fn fallible(self, of: &str) -> String {
        match self {
            Squall => format!("Result<{of}>"),
            AxumAlone | Axum => format!("Result<{of}, StatusCode>"),
        }
    }

    fn not_found(self) -> &'static str {
        match self {
            Squall => "Error::not_found(\"none\")",
            AxumAlone | Axum => "StatusCode::NOT_FOUND",
        }
    }

    /// The loop over an upload's parts that adds up their `size`.
    fn parts(self) -> &'static str {
        match self {
            Squall => {
                "while let Some(mut part) = form.next_part().await? {\n\
                 while let Some(chunk) = part.chunk().await? { size += chunk.len(); }\n}"
            }
            AxumAlone | Axum => {
                "while let Some(mut part) = form.next_field().await.map_err(|e| e.status())? {\n\
                 while let Some(chunk) = part.chunk().await.map_err(|e| e.status())? { size += chunk.len(); }\n}"
            }
        }
    }

    /// What starts the application, around its routes.
    fn main(self) -> [&'static str; 2] {
        match self {
            Squall => [
                "use squall::{Application, Result, get, post};\n\
                 fn main() -> Result<()> {\n    Application::new()\n        .state(Db::default())\n",
                "        .listen(\"127.0.0.1:5000\")?\n        .run()\n}\n",
            ],
            AxumAlone => [
                "use axum::{Router, routing::{get, post}};\n\
                 #[tokio::main]\nasync fn main() -> std::io::Result<()> {\n    let app = Router::new()\n",
                "        .with_state(Db::default());\n\
                 \x20   let listener = tokio::net::TcpListener::bind(\"127.0.0.1:5000\").await?;\n\
                 \x20   axum::serve(listener, app).await\n}\n",
            ],
            Axum => [
                "use std::time::Duration;\n\
                 use axum::{Router, http::StatusCode, routing::{get, post}};\n\
                 use axum_server::tls_rustls::RustlsConfig;\n\
                 use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};\n\
                 use tower_http::{timeout::TimeoutLayer, trace::TraceLayer};\n\
                 #[tokio::main]\nasync fn main() -> std::io::Result<()> {\n    let app = Router::new()\n",
                "        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60)))\n\
                 \x20       .layer(CompressionLayer::new())\n\
                 \x20       .layer(CatchPanicLayer::new())\n\
                 \x20       .layer(TraceLayer::new_for_http())\n\
                 \x20       .with_state(Db::default())\n\
                 \x20       .into_make_service();\n\
                 \x20   let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5000));\n\
                 \x20   match std::env::args().nth(1) {\n\
                 \x20       None => axum_server::bind(address).serve(app).await,\n\
                 \x20       Some(pem) => {\n\
                 \x20           let tls = RustlsConfig::from_pem_file(&pem, &pem).await?;\n\
                 \x20           axum_server::bind_rustls(address, tls).serve(app).await\n\
                 \x20       }\n    }\n}\n",
            ],
        }
    }
}

/// The handler number `n`, of kind `n % KINDS`, and its route.
fn handler(framework: Framework, n: usize) -> (String, String) {
    let json = format!("Json<Out{n}>");
    let (fallible, none) = (framework.fallible(&json), framework.not_found());
    let (signature, body, path, verb) = match n % KINDS {
        0 => (
            format!("(Path(id): Path<u64>) -> {json}"),
            format!("Json(Out{n} {{ id, name: \"n{n}\".into(), ok: true }})"),
            "/{id}",
            "get",
        ),
        1 => (
            format!("(mut form: Multipart) -> {}", framework.fallible("String")),
            format!(
                "let mut size = 0;\n{}\nOk(format!(\"{{size}} bytes for {n}\"))",
                framework.parts()
            ),
            "",
            "post",
        ),
        2 | 3 => (
            format!("(State(db): State<Db>, Json(new): Json<In{n}>) -> {json}"),
            format!(
                "Json(Out{n} {{ id: db.next(), name: format!(\"{{}}-{n}\", new.name), ok: new.count > {n} }})"
            ),
            "",
            "post",
        ),
        4 | 5 => (
            format!("(Query(query): Query<In{n}>) -> String"),
            format!("format!(\"{{}} {{}} {{:?}} {n}\", query.name, query.count, query.tags)"),
            "",
            "get",
        ),
        6 => (
            format!("(State(db): State<Db>, Form(form): Form<In{n}>) -> {fallible}"),
            format!(
                "if form.count == {n} {{ return Err({none}); }}\n\
                 Ok(Json(Out{n} {{ id: db.next(), name: form.name, ok: true }}))"
            ),
            "",
            "post",
        ),
        7 => (
            format!("(Path((a, b)): Path<(u64, String)>, State(db): State<Db>) -> {fallible}"),
            format!(
                "if a == {n} {{ return Err({none}); }}\n\
                 Ok(Json(Out{n} {{ id: a + db.next(), name: b, ok: false }}))"
            ),
            "/{a}/{b}",
            "get",
        ),
        8 => (
            format!(
                "(Path(id): Path<u64>, Query(query): Query<In{n}>, Json(new): Json<In{n}>) -> {json}"
            ),
            format!("Json(Out{n} {{ id, name: query.name + &new.name, ok: true }})"),
            "/{id}",
            "post",
        ),
        _ => ("() -> &'static str".into(), text(n, 0), "", "get"),
    };
    let source = format!(
        "\n#[derive(Debug, Clone, Serialize, Deserialize)]\n\
         pub struct In{n} {{ pub name: String, pub count: u32, pub tags: Option<String> }}\n\
         #[derive(Debug, Clone, Serialize)]\n\
         pub struct Out{n} {{ pub id: u64, pub name: String, pub ok: bool }}\n\
         pub async fn h{n}{signature} {{\n{body}\n}}\n"
    );
    let module = n / KINDS;
    let route = format!("        .route(\"/r{n}{path}\", {verb}(m{module}::h{n}))\n");
    (source, route)
}

/// The body of the text handler, which is what is changed.
fn text(n: usize, edition: usize) -> String {
    format!("\"text {n}, edition {edition}\"")
}

/// An application in a folder of its own.
struct Project {
    framework: Framework,
    folder: PathBuf,
    edition: usize,
}

impl Project {
    fn write(framework: Framework, folder: &Path) -> std::io::Result<Self> {
        let folder = folder.join(framework.package());
        let source = folder.join("src");
        fs::create_dir_all(&source)?;
        let mut main = String::from("#![allow(dead_code)]\n");
        let mut routes = String::new();
        for module in 0..MODULES {
            let mut text = format!(
                "{}use serde::{{Deserialize, Serialize}};\nuse crate::Db;\n",
                framework.imports()
            );
            for n in module * KINDS..(module + 1) * KINDS {
                let (handler, route) = handler(framework, n);
                text += &handler;
                routes += &route;
            }
            fs::write(source.join(format!("m{module}.rs")), text)?;
            main += &format!("mod m{module};\n");
        }
        let [before, after] = framework.main();
        main += "use std::sync::{Arc, atomic::{AtomicU64, Ordering}};\n\
                 #[derive(Clone, Default)]\npub struct Db(Arc<AtomicU64>);\n\
                 impl Db { pub fn next(&self) -> u64 { self.0.fetch_add(1, Ordering::Relaxed) } }\n";
        main += &format!("{before}{routes}{after}");
        fs::write(source.join("main.rs"), main)?;
        let manifest = format!(
            "[package]\nname = \"{}\"\nedition = \"2024\"\n\n[dependencies]\n{}\
             serde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
             [profile.dev]\ndebug = \"line-tables-only\"\n\n[workspace]\n",
            framework.package(),
            framework.dependencies()
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        // The same versions as the peers' where both need a crate.
        let locked = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        fs::copy(locked, folder.join("Cargo.lock"))?;
        Ok(Self {
            framework,
            folder,
            edition: 0,
        })
    }

    fn cargo(&self) -> Command {
        let mut command = cargo();
        command
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"));
        command
    }

    fn build(&self, limit: Duration) -> Result<Duration, Reason> {
        let begun = Instant::now();
        output(self.cargo().args(["build", "--quiet"]), limit)?;
        Ok(begun.elapsed())
    }

    /// How many packages a build takes, its own not counted.
    fn crates(&self) -> Result<usize, Reason> {
        let tree = [
            "tree",
            "--quiet",
            "--prefix",
            "none",
            "--no-dedupe",
            "--edges",
            "normal,build",
            "--format",
            "{p}",
        ];
        let listed = output(self.cargo().args(tree), BUILD)?;
        let mut names: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.split(" (").next())
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names.len().saturating_sub(1))
    }

    fn touch(&mut self) -> Result<(), Reason> {
        let changed = self.folder.join("src/m0.rs");
        let failed = |e: std::io::Error| format!("{}: {e}", changed.display());
        let source = fs::read_to_string(&changed).map_err(failed)?;
        let at = KINDS - 1;
        let after = source.replace(&text(at, self.edition), &text(at, self.edition + 1));
        self.edition += 1;
        fs::write(&changed, after).map_err(failed)
    }
}

pub(crate) fn run(options: &Options) -> Result<Value, Reason> {
    let folder = scratch()?.join("rebuild");
    let frameworks = [Squall, AxumAlone, Axum];
    let mut projects = Vec::new();
    for framework in frameworks {
        let project =
            Project::write(framework, &folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        eprintln!("building {}", framework.package());
        project.build(FIRST_BUILD)?;
        projects.push(project);
    }
    let rounds = options.rounds(5, 15);
    let mut seconds: Vec<Vec<Option<f64>>> = vec![Vec::new(); projects.len()];
    for _ in 0..rounds {
        for (project, seconds) in projects.iter_mut().zip(&mut seconds) {
            project.touch()?;
            seconds.push(Some(project.build(BUILD)?.as_secs_f64()));
        }
    }
    let mut table = Table::new(&[
        "application",
        "s to build again (min-max)",
        "squall's x",
        "crates",
    ]);
    let mut report = serde_json::Map::new();
    for (project, theirs) in projects.iter().zip(&seconds) {
        let figures: Vec<f64> = theirs.iter().copied().flatten().collect();
        let spread = Spread::of(&figures).ok_or("no rounds")?;
        let ratio = Spread::paired_ratio(&seconds[0], theirs);
        let crates = project.crates()?;
        table.row(vec![
            project.framework.name().into(),
            spread.to_string(),
            crate::spread::cell(ratio),
            crates.to_string(),
        ]);
        let figures =
            json!({ "seconds": spread.to_json(), "squalls_ratio": ratio, "crates": crates });
        report.insert(project.framework.package().into(), figures);
    }
    println!(
        "\n## rebuild: fifty routes, one handler changed, debug build, {rounds} rounds\n\n{table}"
    );
    Ok(json!({ "rounds": rounds, "applications": report }))
}
