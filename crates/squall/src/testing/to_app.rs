//! A client whose every connection leads to an application in the same process.

use std::io;

use parking_lot::Mutex;
use squall_http::Socket;
use squall_loop::net::UnixStream;

use crate::client::{AsyncHttpClient, ClientBuilder, Dial};
use crate::web::{Application, Running};

impl AsyncHttpClient {
    /// A client of this application, with the default settings; see
    /// [`ClientBuilder::to_app`].
    pub fn to_app(application: Application) -> Self {
        Self::builder().to_app(application).build()
    }
}

impl ClientBuilder {
    /// Every request goes to this application, which runs on the client's loop: nothing
    /// listens and no name is asked for. For tests of code that fetches, with a stand-in
    /// for what it fetches from.
    ///
    /// The rest is as it always is, from the pool to the bytes, which go through a pair of
    /// sockets that lead nowhere else. The host is the address's; `https` is accepted and
    /// not encrypted; proxies are not asked. An application that is not complete fails the
    /// first fetch.
    ///
    /// ```
    /// use squall::client::{AsyncHttpClient, HttpClient};
    /// use squall::{Application, Path};
    ///
    /// let price = async |Path(name): Path<String>| format!("{name}: 3.50");
    /// let stand_in = Application::new().route("/price/{name}", price);
    /// let client = HttpClient::with(AsyncHttpClient::builder().to_app(stand_in))?;
    /// let answer = client.fetch("https://prices.example.com/price/tea")?;
    /// assert_eq!(answer.body(), Some(&b"tea: 3.50"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_app(self, application: Application) -> Self {
        self.dial_with(ToApp(Mutex::new(State::Waiting(Box::new(application)))))
    }
}

/// The application, from the first connection on with its server.
struct ToApp(Mutex<State>);

enum State {
    Waiting(Box<Application>),
    Running(Running),
    Failed(String),
}

impl Dial for ToApp {
    fn dial(&self) -> io::Result<Socket> {
        let mut state = self.0.lock();
        let unknown = State::Failed("starting it has panicked".to_owned());
        *state = match std::mem::replace(&mut *state, unknown) {
            State::Waiting(application) => match application.start_unbound() {
                Ok(running) => State::Running(running),
                Err(error) => State::Failed(error.to_string()),
            },
            started => started,
        };
        match &*state {
            State::Running(running) => {
                let (ours, theirs) = UnixStream::pair()?;
                running.adopt(theirs);
                Ok(ours.into())
            }
            State::Failed(why) => Err(io::Error::other(why.clone())),
            State::Waiting(_) => Err(io::Error::other("it has not started")),
        }
    }
}
