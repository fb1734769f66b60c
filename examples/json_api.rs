//! A JSON API with shared state: create, list, show, change and delete notes.
//!
//! ```text
//! cargo run --release --example json_api
//! curl -d '{"text":"buy milk"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8080/notes?contains=milk
//! curl -d '{"txt":1}' -H 'Content-Type: application/json' http://127.0.0.1:8080/notes
//! ```
//!
//! The last one is refused with a problem+json that names the field.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use squall::{Application, Error, Json, Path, Query, Result, State, StatusCode, get};

#[derive(Clone, Serialize)]
struct Note {
    id: u64,
    text: String,
    done: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    text: String,
    #[serde(default)]
    done: bool,
}

#[derive(Deserialize)]
struct Filter {
    contains: Option<String>,
    done: Option<bool>,
}

/// What the handlers share. A lock is held for a moment only, never across an `.await`.
#[derive(Default)]
struct Notes(Mutex<BTreeMap<u64, Note>>);

impl Notes {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: u64) -> Error {
    Error::not_found(format!("there is no note {id}"))
}

async fn list(State(notes): State<Notes>, Query(filter): Query<Filter>) -> Json<Vec<Note>> {
    let wanted = |note: &&Note| {
        let text = filter.contains.as_deref();
        text.is_none_or(|text| note.text.contains(text))
            && filter.done.is_none_or(|done| note.done == done)
    };
    Json(notes.open().values().filter(wanted).cloned().collect())
}

async fn create(
    State(notes): State<Notes>,
    Json(draft): Json<Draft>,
) -> (StatusCode, [(&'static str, String); 1], Json<Note>) {
    let mut notes = notes.open();
    let id = notes.last_key_value().map_or(1, |(last, _)| last + 1);
    let note = Note {
        id,
        text: draft.text,
        done: draft.done,
    };
    notes.insert(id, note.clone());
    let location = [("Location", format!("/notes/{id}"))];
    (StatusCode::CREATED, location, Json(note))
}

async fn show(State(notes): State<Notes>, Path(id): Path<u64>) -> Result<Json<Note>> {
    let note = notes.open().get(&id).cloned();
    note.map(Json).ok_or_else(|| unknown(id))
}

async fn change(
    State(notes): State<Notes>,
    Path(id): Path<u64>,
    Json(draft): Json<Draft>,
) -> Result<Json<Note>> {
    let mut notes = notes.open();
    let note = notes.get_mut(&id).ok_or_else(|| unknown(id))?;
    (note.text, note.done) = (draft.text, draft.done);
    Ok(Json(note.clone()))
}

async fn remove(State(notes): State<Notes>, Path(id): Path<u64>) -> Result<StatusCode> {
    let gone = notes.open().remove(&id);
    gone.map(|_| StatusCode::NO_CONTENT)
        .ok_or_else(|| unknown(id))
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    Application::new()
        .state(Notes::default())
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(show).put(change).delete(remove))
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))?
        .run()
}
