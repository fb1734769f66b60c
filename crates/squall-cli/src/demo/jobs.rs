//! The background jobs: what `/async`, `/future` and `/client/async` left behind.
//!
//! ```text
//! waiting --begin--> running --end--> done | failed        (dropped on the way: lost)
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};
use squall::{Error, Result};

/// Jobs that may wait or run at a time; more are a 503.
const MAX_PENDING: usize = 10_000;
/// Jobs that are over and still shown.
const MAX_SHOWN: usize = 100;

/// The list of background jobs, oldest first. It is bounded.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    entries: VecDeque<Entry>,
    last_id: u64,
    over: usize,
}

/// One job. Times are in milliseconds since 1970.
#[derive(Debug, Clone, Serialize)]
struct Entry {
    id: u64,
    route: &'static str,
    state: State,
    start: Option<u64>,
    end: Option<u64>,
    result: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
    Lost,
}

impl State {
    fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

impl Jobs {
    /// Enters a job that a route leaves behind.
    ///
    /// # Errors
    /// 503 when too many wait already.
    pub(super) fn enter(self: &Arc<Self>, route: &'static str) -> Result<Ticket> {
        let mut list = self.lock();
        if list.entries.len() - list.over >= MAX_PENDING {
            let full = format!("{MAX_PENDING} jobs are waiting already");
            return Err(Error::service_unavailable(full).retry_after(Duration::from_secs(1)));
        }
        list.last_id += 1;
        let id = list.last_id;
        list.entries.push_back(Entry {
            id,
            route,
            state: State::Waiting,
            start: None,
            end: None,
            result: None,
        });
        Ok(Ticket {
            jobs: self.clone(),
            id,
        })
    }

    /// The list as JSON.
    pub(super) fn json(&self) -> Value {
        json!(self.lock().entries)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        let index = self.entries.binary_search_by_key(&id, |entry| entry.id);
        self.entries.get_mut(index.ok()?)
    }

    fn end(&mut self, id: u64, state: State, result: Option<Value>) {
        let Some(entry) = self.entry(id).filter(|entry| !entry.state.is_over()) else {
            return;
        };
        entry.state = state;
        entry.end = Some(now());
        entry.result = result;
        self.over += 1;
        while self.over > MAX_SHOWN {
            let oldest = self.entries.iter().position(|entry| entry.state.is_over());
            oldest.and_then(|oldest| self.entries.remove(oldest));
            self.over -= 1;
        }
    }
}

/// Whoever runs a job reports with this how it goes.
#[derive(Debug)]
pub(super) struct Ticket {
    jobs: Arc<Jobs>,
    id: u64,
}

impl Ticket {
    /// The job runs from now on.
    pub(super) fn begin(&self) {
        if let Some(entry) = self.jobs.lock().entry(self.id) {
            entry.state = State::Running;
            entry.start = Some(now());
        }
    }

    /// The job is over.
    pub(super) fn end(self, result: Result<impl Serialize>) {
        let (state, result) = match result {
            Ok(result) => (State::Done, json!(result)),
            Err(error) => (State::Failed, error.to_string().into()),
        };
        self.jobs.lock().end(self.id, state, Some(result));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.jobs.lock().end(self.id, State::Lost, None);
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Jobs, MAX_PENDING, MAX_SHOWN};

    #[test]
    fn the_list_is_bounded() {
        let jobs = Arc::new(Jobs::default());
        let pending: Vec<_> = (0..MAX_PENDING)
            .map(|_| jobs.enter("GET /async").unwrap())
            .collect();
        assert_eq!(jobs.enter("GET /async").unwrap_err().status_code(), 503);
        for ticket in pending {
            ticket.begin();
            ticket.end(Ok("fine"));
        }
        assert_eq!(jobs.json().as_array().unwrap().len(), MAX_SHOWN);
        assert!(jobs.enter("GET /async").is_ok());
    }

    #[test]
    fn a_job_tells_how_it_went() {
        let jobs = Arc::new(Jobs::default());
        let state = |index: usize| jobs.json()[index]["state"].clone();
        let ticket = jobs.enter("GET /future").unwrap();
        assert_eq!(state(0), "waiting");
        ticket.begin();
        assert_eq!(state(0), "running");
        ticket.end(Ok(7));
        assert_eq!(
            (state(0), jobs.json()[0]["result"].clone()),
            ("done".into(), 7.into())
        );
        drop(jobs.enter("GET /future").unwrap());
        assert_eq!(state(1), "lost");
    }
}
