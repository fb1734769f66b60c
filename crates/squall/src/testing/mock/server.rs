//! `MockServer`: a server that says what the test tells it to, byte for byte.

use std::collections::HashMap;
use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{MockPeer, MockReply, MockRequest};

/// Longer than anything takes that goes well.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port that answers as a test wants it, until it is dropped.
///
/// For tests of what calls other services: their answers, valid or not, and every fault a
/// network has. [`answering`](Self::answering) and [`replying`](Self::replying) read whole
/// requests, keep them, and send [`MockReply`]s. [`serve`](Self::serve) leaves every byte
/// to a function.
///
/// ```
/// use squall::client::HttpClient;
/// use squall::testing::{MockReply, MockServer};
///
/// let server = MockServer::replying([
///     MockReply::ok("hello"),
///     MockReply::ok("hello").reset_after(20), // in the middle of the head
/// ]);
/// let client = HttpClient::new()?;
/// let answer = client.fetch(server.url("/a?b"))?;
/// assert_eq!(answer.body(), Some(&b"hello"[..]));
/// assert_eq!(server.requests()[0].target(), "/a?b");
/// assert!(client.fetch(server.url("/")).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each connection has a thread; a read or a write that takes 30 s has failed.
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
}

/// What the server shares with the threads of its connections.
#[derive(Default)]
pub(super) struct Shared {
    accepted: AtomicUsize,
    stopping: AtomicBool,
    /// Connections that are open, so that dropping the server ends them.
    open: Mutex<HashMap<usize, TcpStream>>,
    requests: Mutex<Vec<MockRequest>>,
    more: Condvar,
}

impl MockServer {
    /// Every request gets this reply.
    ///
    /// # Panics
    /// When there is no port.
    #[track_caller]
    pub fn answering(reply: impl Into<MockReply>) -> Self {
        Self::replying([reply.into()])
    }

    /// The first request gets the first reply, whatever connection it comes on, the second
    /// one the second, and so on. What comes after the last reply gets that one again.
    ///
    /// # Panics
    /// When there is no reply, or no port.
    #[track_caller]
    pub fn replying(replies: impl IntoIterator<Item = MockReply>) -> Self {
        let replies: Vec<_> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "a server without a reply");
        let next = AtomicUsize::new(0);
        Self::serve(move |_, mut peer| {
            while peer.request().is_some() {
                let next = next.fetch_add(1, Ordering::SeqCst);
                let reply = replies.get(next).or(replies.last());
                if !reply.is_some_and(|reply| reply.play(&mut peer)) {
                    return;
                }
            }
        })
    }

    /// Each connection is given to the function, in a thread of its own, with its number:
    /// 0 for the first one. It is closed when the function returns.
    ///
    /// ```
    /// use squall::client::HttpClient;
    /// use squall::testing::MockServer;
    ///
    /// // Refuses an upload while it is on its way.
    /// let server = MockServer::serve(|_, mut peer| {
    ///     peer.head();
    ///     peer.read(1000);
    ///     peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    ///     peer.shut_down();
    /// });
    /// let request = squall::HttpRequest::put(server.url("/")).body(vec![0; 10_000_000]);
    /// assert_eq!(HttpClient::new()?.fetch(request)?.code(), 413);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When there is no port.
    #[track_caller]
    pub fn serve(script: impl Fn(usize, MockPeer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::<Shared>::default();
        let (accepting, script) = (shared.clone(), Arc::new(script));
        let acceptor = thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, script) = (accepting.clone(), script.clone());
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                if let Some(peer) = MockPeer::new(tcp, number, shared) {
                    thread::spawn(move || script(number, peer));
                }
            }
        });
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a path on it, such as `http://127.0.0.1:4711/a`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The requests that were read as a whole so far, in the order of their ends.
    pub fn requests(&self) -> Vec<MockRequest> {
        lock(&self.shared.requests).clone()
    }

    /// Waits until so many requests were read, and returns them.
    ///
    /// # Panics
    /// When they do not come within 30 s.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) -> Vec<MockRequest> {
        let end = Instant::now() + PATIENCE;
        let mut requests = lock(&self.shared.requests);
        while requests.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            let came = requests.len();
            assert!(!left.is_zero(), "{came} of {count} requests came");
            let waited = self.shared.more.wait_timeout(requests, left);
            requests = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        requests.clone()
    }
}

impl Shared {
    pub(super) fn record(&self, request: MockRequest) {
        lock(&self.requests).push(request);
        self.more.notify_all();
    }

    pub(super) fn open(&self, number: usize, another: TcpStream) {
        lock(&self.open).insert(number, another);
    }

    pub(super) fn forget(&self, number: usize) {
        lock(&self.open).remove(&number);
    }
}

/// Ends every connection, whatever their functions wait for.
impl Drop for MockServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for tcp in lock(&self.shared.open).values() {
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("accepted", &self.accepted)
            .finish_non_exhaustive()
    }
}
