//! A TLS session over a socket, used through `&self` from both directions.
//!
//! `rustls` does no I/O here: it turns ciphertext into plaintext and back, under one
//! mutex that is never held across a wait. Reading may have to write (a key update's
//! answer), and the two directions may be driven by different tasks, so whoever waits for
//! room on the socket is remembered by direction, and the socket wakes both.
//!
//! ```text
//! poll_write -> rustls (at most OUTGOING bytes kept) -> socket      Pending when full
//! poll_read  <- rustls (one record or so)            <- `incoming` <- socket
//! ```

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::socket::Socket;

/// Plaintext and ciphertext that may wait for the socket: back-pressure begins here.
const OUTGOING: usize = 64 << 10;
/// Ciphertext read at a time. Two full records; `rustls` alone would ask for 4 KiB.
const INCOMING: usize = 32 << 10;

pub(crate) struct TlsStream {
    socket: Socket,
    session: Mutex<Session>,
    waiting: Arc<Waiting>,
    /// Wakes `waiting`; made once.
    room: Waker,
    /// Nothing is under way: its end is one in good order.
    at_rest: AtomicBool,
}

struct Session {
    tls: Connection,
    /// Ciphertext that was read and not yet decrypted. Holds no memory while idle.
    incoming: Vec<u8>,
    /// How much of `incoming` has been given to `tls`; less than all of it.
    taken: usize,
}

/// What a TLS handshake has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The name that the client asked for (SNI), of a server's connection.
    pub server_name: Option<String>,
    /// The protocol that was agreed on (ALPN); `None` when none was asked for.
    pub alpn: Option<Vec<u8>>,
    /// The certificates that the peer has shown, its own first, in DER. They have been
    /// checked against the authorities; none when none was asked for or shown.
    #[doc(alias = "get_ssl_certificate")]
    pub peer_certificates: Vec<CertificateDer<'static>>,
}

/// Who waits for room on the socket. Either may have found it full.
#[derive(Default)]
struct Waiting {
    reader: Mutex<Option<Waker>>,
    writer: Mutex<Option<Waker>>,
}

impl Waiting {
    fn set(slot: &Mutex<Option<Waker>>, cx: &Context<'_>) {
        let mut slot = lock(slot);
        match &*slot {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => *slot = Some(cx.waker().clone()),
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let (reader, writer) = (lock(&self.reader).take(), lock(&self.writer).take());
        for waker in reader.into_iter().chain(writer) {
            waker.wake();
        }
    }
}

impl TlsStream {
    /// `begun` is what was read of the connection already.
    pub(crate) async fn accept(
        socket: Socket,
        config: Arc<ServerConfig>,
        begun: Vec<u8>,
    ) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Self::shake_hands(socket, tls.into(), begun).await
    }

    pub(crate) async fn connect(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Self::shake_hands(socket, tls.into(), Vec::new()).await
    }

    async fn shake_hands(socket: Socket, mut tls: Connection, begun: Vec<u8>) -> io::Result<Self> {
        tls.set_buffer_limit(Some(OUTGOING));
        let waiting = Arc::new(Waiting::default());
        let stream = Self {
            socket,
            session: Mutex::new(Session {
                tls,
                incoming: begun,
                taken: 0,
            }),
            room: waiting.clone().into(),
            waiting,
            at_rest: AtomicBool::new(false),
        };
        std::future::poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    fn poll_handshake(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.lock();
        loop {
            let flushed = self.poll_send(&mut session, &self.waiting.writer, cx);
            if !session.tls.is_handshaking() {
                return flushed;
            }
            if let Poll::Ready(Err(error)) = flushed {
                // The peer's alert, if it sent one, says more than a broken pipe.
                return Poll::Ready(match session.receive(|buf| self.read(cx, buf)) {
                    Err(alert) if alert.kind() == io::ErrorKind::InvalidData => Err(alert),
                    _ => Err(error),
                });
            }
            match session.receive(|buf| self.read(cx, buf)) {
                Ok(0) => {
                    let message = "the peer closed during the TLS handshake";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => {
                    self.send_alert(&mut session);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Ready when a read is worth trying; else the task is woken then.
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        match self.lock().is_at_work() {
            true => Poll::Ready(()),
            false => self.socket.poll_readable(cx),
        }
    }

    /// Whether a read is worth trying, as far as the loop has heard.
    pub(crate) fn is_readable(&self) -> bool {
        self.lock().is_at_work() || self.socket.is_readable()
    }

    /// Reads plaintext; 0 bytes is a clean end, `UnexpectedEof` one without notice.
    pub(crate) fn poll_read(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut session = self.lock();
        let read = self.read_with(&mut session, buf, Some(cx), |buf| self.read(cx, buf));
        or_pending(read)
    }

    /// Reads what is there, without waiting.
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut session = self.lock();
        self.read_with(&mut session, buf, None, |buf| self.socket.try_read(buf))
    }

    fn read_with(
        &self,
        session: &mut Session,
        buf: &mut [u8],
        cx: Option<&Context<'_>>,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            let room = buf.get_mut(filled..).unwrap_or_default();
            match session.tls.reader().read(room) {
                Ok(0) => return Ok(filled),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
            // What is at hand is handed over before the socket is asked for more.
            if filled == buf.len() || (filled > 0 && session.incoming.is_empty()) {
                return Ok(filled);
            }
            if let (true, Some(cx)) = (session.tls.wants_write(), cx) {
                // A write that fails is for the writer to see; there may be more to read.
                let _ = self.poll_send(session, &self.waiting.reader, cx);
            }
            match session.receive(&mut read) {
                Ok(_) => {}
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => {
                    if error.kind() == io::ErrorKind::InvalidData {
                        self.send_alert(session);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Encrypts what fits. The ciphertext may still wait: see `poll_flush`.
    pub(crate) fn poll_write(&self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// As `poll_write`, of several slices.
    pub(crate) fn poll_write_vectored(
        &self,
        cx: &Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut session = self.lock();
        loop {
            let taken = session.tls.writer().write_vectored(bufs)?;
            let sent = self.poll_send(&mut session, &self.waiting.writer, cx);
            match sent {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                _ if taken > 0 || bufs.iter().all(|buf| buf.is_empty()) => {
                    return Poll::Ready(Ok(taken));
                }
                Poll::Ready(Ok(())) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    pub(crate) fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.lock();
        self.poll_send(&mut session, &self.waiting.writer, cx)
    }

    /// Ready once the peer has reset the connection.
    pub(crate) fn poll_reset(&self, cx: &Context<'_>) -> Poll<()> {
        Waiting::set(&self.waiting.writer, cx);
        self.socket.poll_reset(&Context::from_waker(&self.room))
    }

    /// Encrypts and sends what fits at once.
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut session = self.lock();
        let taken = session.tls.writer().write(buf)?;
        let sent = session.send(&mut TryWrite(&self.socket));
        match sent {
            _ if taken > 0 => Ok(taken),
            Err(error) => Err(error),
            Ok(()) => session.tls.writer().write(buf).inspect(|_| {
                let _ = session.send(&mut TryWrite(&self.socket));
            }),
        }
    }

    pub(crate) fn close_write(&self) -> io::Result<()> {
        let mut session = self.lock();
        session.tls.send_close_notify();
        self.send_alert(&mut session);
        self.socket.shutdown(Shutdown::Write)
    }

    /// Whether nothing is under way, so that dropping it is to tell the peer of the end.
    pub(crate) fn rest(&self, at_rest: bool) {
        self.at_rest.store(at_rest, Ordering::Relaxed);
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What the handshake has settled.
    pub(crate) fn info(&self) -> TlsInfo {
        let session = self.lock();
        let tls = &session.tls;
        TlsInfo {
            version: match tls.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            server_name: match tls {
                Connection::Server(server) => server.server_name().map(str::to_owned),
                Connection::Client(_) => None,
            },
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            peer_certificates: tls.peer_certificates().unwrap_or_default().to_vec(),
        }
    }

    fn read(&self, cx: &Context<'_>, buf: &mut [u8]) -> io::Result<usize> {
        or_would_block(self.socket.poll_read(cx, buf))
    }

    /// Sends the ciphertext that waits. Pending: `slot` is woken when there is room.
    fn poll_send(
        &self,
        session: &mut Session,
        slot: &Mutex<Option<Waker>>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !session.tls.wants_write() {
            return Poll::Ready(Ok(()));
        }
        let room = Context::from_waker(&self.room);
        let mut send = || or_pending(session.send(&mut PollWrite(&self.socket, &room)));
        if let Poll::Ready(sent) = send() {
            return Poll::Ready(sent);
        }
        // Room that has come meanwhile woke nobody: once more, now that somebody waits.
        Waiting::set(slot, cx);
        send()
    }

    /// Sends an alert as far as it fits at once; there is nobody to wait for it.
    fn send_alert(&self, session: &mut Session) {
        let _ = session.send(&mut TryWrite(&self.socket));
    }

    fn lock(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }
}

/// Announces the end, where it fits at once: without it the peer cannot know whether it was
/// cut off.
impl Drop for TlsStream {
    fn drop(&mut self) {
        if *self.at_rest.get_mut() && !std::thread::panicking() {
            let mut session = self.lock();
            session.tls.send_close_notify();
            self.send_alert(&mut session);
        }
    }
}

impl Session {
    /// Whether there is something to read or to send before the socket is asked.
    fn is_at_work(&self) -> bool {
        !self.incoming.is_empty() || self.tls.wants_write() || !self.tls.wants_read()
    }

    fn send(&mut self, socket: &mut dyn Write) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(socket)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Takes in ciphertext, from `incoming` or else from the socket; 0 is its end.
    fn receive(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if !self.incoming.is_empty() {
            let incoming = std::mem::take(&mut self.incoming);
            let taken = self.understand(incoming.get(self.taken..).unwrap_or_default())?;
            self.taken += taken;
            if self.taken < incoming.len() {
                self.incoming = incoming;
            } else {
                self.taken = 0;
            }
            return Ok(taken);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(INCOMING, 0);
            let len = read(scratch)?;
            if len == 0 {
                // Tells the session, whose reader then knows whether the end was announced.
                return self.tls.read_tls(&mut io::empty());
            }
            let came = scratch.get(..len).unwrap_or_default();
            let taken = self.understand(came)?;
            self.incoming
                .extend_from_slice(came.get(taken..).unwrap_or_default());
            Ok(taken)
        })
    }

    /// Decrypts from the front of `bytes` until there is something to be read.
    fn understand(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.tls.read_tls(&mut rest)? == 0 {
                // After the announced end nothing counts.
                return Ok(bytes.len());
            }
            let state = self
                .tls
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if state.plaintext_bytes_to_read() > 0 {
                break;
            }
        }
        Ok(bytes.len() - rest.len())
    }
}

thread_local! {
    /// Where ciphertext is read to: an idle session holds no buffer of its own.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// A socket as `rustls` wants it: `WouldBlock` after the waker was left.
struct PollWrite<'a>(&'a Socket, &'a Context<'a>);

impl Write for PollWrite<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        or_would_block(self.0.poll_write(self.1, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(self.0.poll_write_vectored(self.1, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket that is tried once, without a waker.
struct TryWrite<'a>(&'a Socket);

impl Write for TryWrite<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn or_pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
