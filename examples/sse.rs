//! Server-sent events: a chat that every open page sees, without a script of ours but one.
//!
//! ```text
//! cargo run --release --example sse
//! curl -N http://127.0.0.1:8080/events &
//! curl -d 'hello' http://127.0.0.1:8080/say
//! ```
//!
//! Or open <http://127.0.0.1:8080/> twice. A page that lost its connection gets what it
//! missed: the browser says which event it saw last.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use squall::{
    Application, Error, Event, EventSender, Header, Html, LastEventId, Result, Sse, State,
    StatusCode, post,
};

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>Chat</title>
<form><input name="text" autofocus><button>Say</button></form><pre></pre>
<script>
  const line = text => document.querySelector("pre").append(text + "\n");
  new EventSource("/events").onmessage = event => line(event.data);
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    fetch("/say", { method: "POST", body: event.target.text.value });
    event.target.reset();
  };
</script>
"#;

/// How much of the chat is kept for those who come later, and how many may listen.
const KEPT: usize = 100;
const LISTENERS: usize = 1000;

#[derive(Default)]
struct Chat(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    last: u64,
    said: VecDeque<(u64, String)>,
    listeners: Vec<EventSender>,
}

impl Chat {
    fn open(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event(id: u64, text: &str) -> Event {
    Event::data(text).id(&id.to_string())
}

async fn events(State(chat): State<Chat>, last: Option<Header<LastEventId>>) -> Result<Sse> {
    let seen = last.and_then(|last| last.0.0.parse().ok()).unwrap_or(0);
    let (sender, events) = Sse::channel(KEPT + 1);
    let mut chat = chat.open();
    if chat.listeners.len() >= LISTENERS {
        return Err(Error::service_unavailable("the room is full"));
    }
    for (id, text) in chat.said.iter().filter(|(id, _)| *id > seen) {
        sender.try_send(event(*id, text))?;
    }
    chat.listeners.push(sender);
    Ok(events)
}

async fn say(State(chat): State<Chat>, text: String) -> StatusCode {
    let mut chat = chat.open();
    chat.last += 1;
    let id = chat.last;
    let said = event(id, &text);
    // Who is gone is forgotten; who is too slow connects again and gets what it missed.
    chat.listeners
        .retain(|listener| listener.try_send(said.clone()).is_ok());
    if chat.said.len() == KEPT {
        chat.said.pop_front();
    }
    chat.said.push_back((id, text));
    StatusCode::NO_CONTENT
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let address = std::env::args().nth(1);
    Application::new()
        .state(Chat::default())
        .route("/", async || Html(PAGE))
        .route("/events", events)
        .route("/say", post(say))
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))?
        .run()
}
