//! Chaos among tasks, timers, sockets and threads.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use squall_loop::net::{ReadStream, TcpListener, TcpStream, WriteStream};
use squall_loop::{IoLoop, JoinHandle, blocking, run_on_executor, sleep, with_timeout};

use super::{Faults, Held, MEANT, PATIENCE, Rng, alone, becomes, spin};

const FOR_EVER: Duration = Duration::from_secs(3600);
/// Tasks that live at the same time, about.
const CROWD: usize = 300;

#[test]
fn every_task_ends_once_and_nothing_is_leaked() {
    let name = concat!(
        module_path!(),
        "::every_task_ends_once_and_nothing_is_leaked"
    );
    alone(name, |mut rng, until| {
        let mut rounds = 0;
        let mut tasks = 0;
        let before = Held::before();
        while Instant::now() < until {
            let lasts = Duration::from_millis(300 + rng.below(1200));
            let lasts = lasts.min(until.saturating_duration_since(Instant::now()));
            tasks += round(&mut rng, lasts);
            before.is_back();
            rounds += 1;
        }
        println!("{tasks} tasks in {rounds} rounds");
    });
}

/// The life of one loop. Returns how many tasks it had.
fn round(rng: &mut Rng, lasts: Duration) -> usize {
    let io_loop = IoLoop::builder()
        .lanes(1 + rng.below(4) as usize)
        .thread_cap(12 + rng.below(100) as usize)
        .build()
        .expect("a loop");
    let (world, outside) = World::new(&io_loop);
    let echo = world.clone();
    let (address, accepting) = io_loop
        .run(async move {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
            let address = listener.local_addr()?;
            let accept = echo.spawn("accept", accept(echo.clone(), listener));
            Ok::<_, io::Error>((address, accept))
        })
        .expect("runs")
        .expect("a listener");
    *world.echo.lock().expect("no panic") = Some(address);
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (mut rng, world) = (rng.fork(), world.clone());
            thread::spawn(move || client(&mut rng, &world, address))
        })
        .collect();
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        while world.living() < CROWD {
            world.start(rng.fork(), 0);
        }
        thread::sleep(Duration::from_millis(1));
    }
    world.over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("a client that does not panic");
    }
    if rng.percent(50) {
        // Left alone, every task comes to its end.
        accepting.cancel();
        world.handles.lock().expect("no panic").clear();
        if !becomes(|| world.living() == 0) {
            world.faults.add(format!("lost: {:?}", world.names()));
        }
    } else {
        for _ in 0..20 {
            let moment = rng.millis(20);
            drop(world.spawn("for ever", async move {
                thread::sleep(moment);
                sleep(FOR_EVER).await;
            }));
        }
        drop(accepting);
    }
    io_loop.stop();
    world.handles.lock().expect("no panic").clear();
    drop(io_loop);
    *world.outside.lock().expect("no panic") = None;
    if !becomes(|| world.living() == 0) {
        world.faults.add(format!("kept: {:?}", world.names()));
    }
    for thread in outside {
        thread.join().expect("an outsider that does not panic");
    }
    world.faults.check();
    world.next.load(Ordering::SeqCst) as usize
}

type Errand = Box<dyn FnOnce() + Send>;

struct World {
    io_loop: Mutex<Option<IoLoop>>,
    faults: Faults,
    /// Every task whose future has not been dropped, by number.
    alive: Mutex<BTreeMap<u64, &'static str>>,
    living: AtomicUsize,
    next: AtomicU64,
    over: AtomicBool,
    handles: Mutex<Vec<JoinHandle<()>>>,
    echo: Mutex<Option<SocketAddr>>,
    outside: Mutex<Option<mpsc::Sender<Errand>>>,
}

impl World {
    fn new(io_loop: &IoLoop) -> (Arc<Self>, Vec<thread::JoinHandle<()>>) {
        let (sender, errands) = mpsc::channel::<Errand>();
        let errands = Arc::new(Mutex::new(errands));
        let outside = (0..2)
            .map(|_| {
                let errands = errands.clone();
                thread::spawn(move || {
                    loop {
                        let errand = errands.lock().expect("no panic").recv();
                        let Ok(errand) = errand else { return };
                        errand();
                    }
                })
            })
            .collect();
        let world = Self {
            io_loop: Mutex::new(Some(io_loop.clone())),
            faults: Faults::default(),
            alive: Mutex::default(),
            living: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            over: AtomicBool::new(false),
            handles: Mutex::default(),
            echo: Mutex::default(),
            outside: Mutex::new(Some(sender)),
        };
        (Arc::new(world), outside)
    }

    fn living(&self) -> usize {
        self.living.load(Ordering::SeqCst)
    }

    fn names(&self) -> BTreeMap<u64, &'static str> {
        self.alive.lock().expect("no panic").clone()
    }

    fn checked<F: Future>(self: &Arc<Self>, name: &'static str, future: F) -> Checked<F> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.alive.lock().expect("no panic").insert(number, name);
        self.living.fetch_add(1, Ordering::SeqCst);
        Checked {
            future: Box::pin(future),
            world: self.clone(),
            number,
            polled: AtomicBool::new(false),
            over: false,
        }
    }

    fn spawn(
        self: &Arc<Self>,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let io_loop = IoLoop::try_current()
            .or_else(|| self.io_loop.lock().expect("no panic").clone())
            .expect("a loop");
        io_loop.spawn(self.checked(name, future))
    }

    /// Starts a task of the crowd.
    fn start(self: &Arc<Self>, mut rng: Rng, depth: usize) {
        let kept = rng.percent(30);
        let handle = self.spawn("crowd", life(self.clone(), rng, depth));
        let mut handles = self.handles.lock().expect("no panic");
        if kept && handles.len() < CROWD {
            handles.push(handle);
        }
    }

    /// Has something done by a thread that is none of the loop's.
    fn outside(&self, errand: impl FnOnce() + Send + 'static) {
        if let Some(outside) = &*self.outside.lock().expect("no panic") {
            let _ = outside.send(Box::new(errand));
        }
    }
}

/// A task's future, and what must hold of it.
struct Checked<F> {
    future: Pin<Box<F>>,
    world: Arc<World>,
    number: u64,
    polled: AtomicBool,
    over: bool,
}

/// Polled, until it is dropped.
struct Polled<'a>(&'a AtomicBool);

impl Drop for Polled<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl<F: Future> Future for Checked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if this.polled.swap(true, Ordering::SeqCst) {
            this.world.faults.add("polled by two threads");
        }
        if this.over {
            this.world.faults.add("polled after its end");
        }
        let polled = Polled(&this.polled);
        let polling = this.future.as_mut().poll(cx);
        drop(polled);
        this.over = polling.is_ready();
        polling
    }
}

impl<F> Drop for Checked<F> {
    fn drop(&mut self) {
        if self.polled.load(Ordering::SeqCst) {
            self.world.faults.add("dropped while it was polled");
        }
        let alive = (self.world.alive.lock().expect("no panic")).remove(&self.number);
        if alive.is_none() {
            self.world.faults.add("dropped twice");
        }
        self.world.living.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Something that happens once, from anywhere.
#[derive(Default)]
struct Signal(Mutex<(bool, Option<Waker>)>);

impl Signal {
    fn set(&self) {
        let waker = {
            let mut state = self.0.lock().expect("no panic");
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().expect("no panic");
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// What a task of the crowd does.
fn life(world: Arc<World>, mut rng: Rng, depth: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        for _ in 0..1 + rng.below(6) {
            step(&world, &mut rng, depth).await;
        }
    })
}

async fn step(world: &Arc<World>, rng: &mut Rng, depth: usize) {
    match rng.below(100) {
        0..20 => yields().await,
        20..40 => sleep(rng.millis(5)).await,
        40..43 => thread::sleep(rng.millis(20)),
        43..45 => spin(rng.millis(8)),
        45..47 => std::panic::panic_any(MEANT),
        47..57 if depth < 3 => {
            let child = world.spawn("child", life(world.clone(), rng.fork(), depth + 1));
            let _ = child.await;
        }
        57..65 if depth < 3 => world.start(rng.fork(), depth + 1),
        65..71 => {
            let handle = {
                let mut handles = world.handles.lock().expect("no panic");
                let among = handles.len().max(1) as u64;
                let chosen = rng.below(among) as usize;
                (chosen < handles.len()).then(|| handles.swap_remove(chosen))
            };
            if let Some(handle) = handle {
                handle.cancel();
            }
        }
        71..77 => {
            let moment = rng.millis(10);
            let _ = run_on_executor(move || thread::sleep(moment)).await;
        }
        77..80 => {
            let moment = rng.millis(10);
            blocking(|| thread::sleep(moment));
        }
        80..89 => signalled(world, rng).await,
        89..95 => {
            // The far end may close first.
            let _ = converse(world, rng).await;
        }
        95..97 => timeout(world, rng).await,
        97..99 => {
            let limited = with_timeout(rng.millis(3), sleep(FOR_EVER)).await;
            if limited.is_ok() {
                world.faults.add("an hour in three milliseconds");
            }
        }
        _ => {
            let (moment, nap) = (rng.millis(3), rng.millis(3));
            let work = world.checked("on the executor", async move {
                thread::sleep(moment);
                sleep(nap).await;
            });
            let _ = IoLoop::current().executor().spawn(work, None).await;
        }
    }
}

async fn yields() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for a signal that comes from somewhere else.
async fn signalled(world: &Arc<World>, rng: &mut Rng) {
    let signal = Arc::new(Signal::default());
    let (set, moment) = (signal.clone(), rng.millis(3));
    match rng.below(4) {
        0 => world.outside(move || {
            spin(moment / 20);
            set.set();
        }),
        1 => {
            IoLoop::current().call_later(moment, move || set.set());
        }
        2 => world.outside({
            let world = world.clone();
            move || drop(world.spawn("messenger", async move { set.set() }))
        }),
        _ => drop(world.spawn("messenger", async move {
            sleep(moment).await;
            set.set();
        })),
    }
    signal.wait().await;
}

/// A callback that is cancelled, or else is called.
async fn timeout(world: &Arc<World>, rng: &mut Rng) {
    let called = Arc::new((Signal::default(), AtomicBool::new(false)));
    let (calls, faults) = (called.clone(), world.clone());
    let timeout = IoLoop::current().call_later(rng.millis(4), move || {
        if calls.1.swap(true, Ordering::SeqCst) {
            faults.faults.add("called after it was cancelled");
        }
        calls.0.set();
    });
    if rng.percent(50) {
        sleep(rng.millis(4)).await;
        if timeout.cancel() {
            called.1.store(true, Ordering::SeqCst);
            return;
        }
    }
    called.0.wait().await;
}

async fn accept(world: Arc<World>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let echo = world.checked("echo", echo(stream));
        drop(IoLoop::current().spawn(echo));
    }
}

async fn echo(stream: TcpStream) {
    let mut buffer = [0; 512];
    while let Ok(read @ 1..) = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await {
        if write_all(&stream, &buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Talks to the echo, perhaps not to the end.
async fn converse(world: &Arc<World>, rng: &mut Rng) -> io::Result<()> {
    let Some(address) = *world.echo.lock().expect("no panic") else {
        return Ok(());
    };
    let stream = TcpStream::connect(address).await?;
    for _ in 0..rng.below(4) {
        let said = vec![rng.next() as u8; 1 + rng.below(2000) as usize];
        write_all(&stream, &said).await?;
        if rng.percent(10) {
            return Ok(());
        }
        let mut heard = Vec::new();
        let mut buffer = [0; 700];
        while heard.len() < said.len() {
            let read = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
            if read == 0 {
                return Ok(());
            }
            heard.extend_from_slice(&buffer[..read]);
        }
        if heard != said {
            world.faults.add("another echo");
        }
    }
    Ok(())
}

/// A client from outside, with a blocking socket.
fn client(rng: &mut Rng, world: &World, address: SocketAddr) {
    while !world.over.load(Ordering::SeqCst) {
        let Ok(mut stream) = std::net::TcpStream::connect(address) else {
            continue;
        };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let said = [rng.next() as u8; 100];
        let mut heard = [0; 100];
        if stream.write_all(&said).is_err() || rng.percent(30) {
            continue;
        }
        match stream.read_exact(&mut heard) {
            Ok(()) if heard != said => world.faults.add("another echo outside"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                world.faults.add("no echo outside");
            }
            _ => {}
        }
    }
}
