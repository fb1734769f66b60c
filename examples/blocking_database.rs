//! A synchronous database in plain handlers, without care.
//!
//! ```text
//! cargo run --release --example blocking_database
//! curl -d 'water the plants' http://127.0.0.1:5000/notes
//! curl http://127.0.0.1:5000/notes
//! curl http://127.0.0.1:5000/slow &      # a query of some seconds
//! curl http://127.0.0.1:5000/health      # is answered at once
//! ```
//!
//! `rusqlite` blocks its thread while SQLite works. In other async frameworks each query
//! belongs into `spawn_blocking`; here the loop goes on without the thread, and a route
//! that keeps blocking moves to the executor by itself.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use squall::{Application, Error, Json, Result, State, StatusCode, get};

/// One connection: SQLite writes one at a time anyway.
struct Notes {
    connection: Mutex<Connection>,
}

impl Notes {
    fn open() -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection
            .execute_batch("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Waiting for the lock blocks as well, and as harmlessly.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = (self.connection.lock()).unwrap_or_else(PoisonError::into_inner);
        Ok(work(&connection)?)
    }
}

async fn list(State(notes): State<Notes>) -> Result<Json<Vec<String>>> {
    let texts = notes.with(|connection| {
        let mut query = connection.prepare("SELECT text FROM notes ORDER BY id")?;
        let texts = query.query_map([], |row| row.get(0))?;
        texts.collect()
    })?;
    Ok(Json(texts))
}

async fn add(State(notes): State<Notes>, text: String) -> Result<StatusCode> {
    if text.trim().is_empty() {
        return Err(Error::bad_request("a note needs a text"));
    }
    notes.with(|connection| connection.execute("INSERT INTO notes (text) VALUES (?1)", [text]))?;
    Ok(StatusCode::CREATED)
}

/// Counts to twenty million in SQL, on a connection of its own.
async fn slow() -> Result<String> {
    let count: i64 = Connection::open_in_memory()?.query_row(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000000) \
         SELECT count(*) FROM n",
        [],
        |row| row.get(0),
    )?;
    Ok(format!("counted to {count}\n"))
}

fn application() -> Result<Application> {
    Ok(Application::new()
        .state(Notes::open()?)
        .route("/notes", get(list).post(add))
        .route("/slow", slow)
        .route("/health", get(async || "fine\n").never_shed()))
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    application()?
        .listen(address.as_deref().unwrap_or("127.0.0.1:5000"))?
        .run()
}
