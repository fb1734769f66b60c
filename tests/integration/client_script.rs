//! A scripted server: what it reads and writes is the test's own, byte for byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use squall::IoLoop;

/// Longer than anything takes that goes well.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Script {
    pub(super) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

/// Serves each connection in a thread of its own, counted from 0.
pub(super) fn script(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> Script {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicUsize::new(0));
    let (count, serve) = (accepted.clone(), Arc::new(serve));
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
            tcp.set_write_timeout(Some(PATIENCE)).expect("a socket");
            let (number, serve) = (count.fetch_add(1, Ordering::SeqCst), serve.clone());
            std::thread::spawn(move || serve(number, Peer { tcp }));
        }
    });
    Script { address, accepted }
}

/// Answers every request with the same bytes; what came is of no interest.
pub(super) fn answering(answer: &'static str) -> Script {
    script(move |_, mut peer| {
        while peer.head().is_some() {
            peer.write(answer);
        }
    })
}

/// Reads a request's head, does as told, and then waits until the client closes.
pub(super) fn silent(told: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> Script {
    script(move |number, mut peer| {
        peer.head();
        told(number, &mut peer);
        peer.is_closed();
    })
}

impl Script {
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

pub(super) struct Peer {
    tcp: TcpStream,
}

impl Peer {
    /// The next request's head; `None`: the client closed.
    pub(super) fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(self.tcp.read(&mut byte), Ok(1)) {
                return None;
            }
            head.push(byte[0]);
        }
        Some(String::from_utf8(head).expect("text"))
    }

    pub(super) fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.tcp.read_exact(&mut bytes).expect("the bytes");
        bytes
    }

    pub(super) fn read_until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            bytes.extend(self.read(1));
        }
        String::from_utf8(bytes).expect("text")
    }

    /// Everything until the client ends its direction.
    pub(super) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let _ = self.tcp.read_to_end(&mut bytes);
        bytes
    }

    /// Whether the client has closed, or closes soon.
    pub(super) fn is_closed(&mut self) -> bool {
        !matches!(self.tcp.read(&mut [0]), Ok(1..))
    }

    /// How long it waits for what it reads next.
    pub(super) fn patience(&mut self, time: Duration) {
        self.tcp.set_read_timeout(Some(time)).expect("a socket");
    }

    /// Ends its sending direction, and reads until the client closes.
    pub(super) fn shut_down(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut self.tcp, &mut std::io::sink());
    }

    pub(super) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may be gone, which is then what the test is about.
        let _ = self.tcp.write_all(bytes.as_ref());
    }
}

/// Runs a test's client side on a loop of its own.
pub(super) fn on_loop<F>(future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let output = io_loop.run(future).expect("no panic");
    io_loop.stop();
    output
}
