//! Chaos among requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use squall::testing::TestServer;
use squall::{Application, Path};

use super::{Faults, Held, MEANT, PATIENCE, Rng, alone, becomes, spin};

#[test]
fn every_request_is_answered_once_or_its_client_has_gone() {
    let name = concat!(
        module_path!(),
        "::every_request_is_answered_once_or_its_client_has_gone"
    );
    alone(name, |mut rng, until| {
        let before = Held::before();
        let running = Arc::new(AtomicUsize::new(0));
        let faults = Arc::new(Faults::default());
        let server = TestServer::start(application(&running));
        let address = server.address();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (mut rng, faults) = (rng.fork(), faults.clone());
                thread::spawn(move || {
                    let mut answers = 0;
                    while Instant::now() < until {
                        answers += client(&mut rng, &faults, address);
                    }
                    answers
                })
            })
            .collect();
        let answers: usize = (clients.into_iter())
            .map(|client| client.join().expect("a client that does not panic"))
            .sum();
        let connections = || -> usize {
            let stats = server.io_loop().stats();
            stats.lanes.iter().map(|lane| lane.connections).sum()
        };
        if !becomes(|| connections() == 0) {
            faults.add(format!("{} connections stay", connections()));
        }
        if !becomes(|| running.load(Ordering::SeqCst) == 0) {
            faults.add(format!("{running:?} handlers stay"));
        }
        faults.check();
        drop(server);
        before.is_back();
        println!("{answers} answers");
    });
}

/// Counts a handler for as long as it runs.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        Self(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Each route is given a moment in microseconds, and says its number.
fn application(running: &Arc<AtomicUsize>) -> Application {
    let counts = || running.clone();
    let (fast, block, spins, sleeps, panics) = (counts(), counts(), counts(), counts(), counts());
    Application::new()
        .route(
            "/fast/{moment}/{number}",
            move |Path((_, number)): Parts| {
                let _running = Running::new(&fast);
                async move { number.to_string() }
            },
        )
        .route(
            "/block/{moment}/{number}",
            move |Path((moment, number)): Parts| {
                let running = Running::new(&block);
                async move {
                    thread::sleep(Duration::from_micros(moment));
                    drop(running);
                    number.to_string()
                }
            },
        )
        .route(
            "/spin/{moment}/{number}",
            move |Path((moment, number)): Parts| {
                let running = Running::new(&spins);
                async move {
                    spin(Duration::from_micros(moment / 2));
                    drop(running);
                    number.to_string()
                }
            },
        )
        .route(
            "/sleep/{moment}/{number}",
            move |Path((moment, number)): Parts| {
                let running = Running::new(&sleeps);
                async move {
                    squall::sleep(Duration::from_micros(moment)).await;
                    drop(running);
                    number.to_string()
                }
            },
        )
        .route(
            "/panic/{moment}/{number}",
            move |Path((moment, _)): Parts| {
                let running = Running::new(&panics);
                async move {
                    let _running = running;
                    squall::sleep(Duration::from_micros(moment / 4)).await;
                    if moment < u64::MAX {
                        std::panic::panic_any(MEANT);
                    }
                    String::new()
                }
            },
        )
}

type Parts = Path<(u64, u64)>;

/// One connection, used well or badly. Returns how many answers it had.
fn client(rng: &mut Rng, faults: &Faults, address: SocketAddr) -> usize {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return 0;
    };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let asked = 1 + rng.below(6);
    let requests: Vec<_> = (0..asked)
        .map(|n| request(rng, n, n + 1 == asked))
        .collect();
    if rng.percent(30) {
        // Goes away in the middle of something.
        let all = requests.concat();
        let sent = rng.below(all.len() as u64 + 1) as usize;
        let _ = stream.write_all(&all[..sent]);
        let _ = stream.set_read_timeout(Some(rng.millis(5) + Duration::from_micros(1)));
        let _ = stream.read(&mut [0; 20]);
        return 0;
    }
    let mut answers = Vec::new();
    if rng.percent(50) {
        // All at once.
        let _ = stream.write_all(&requests.concat());
        let read = stream.read_to_end(&mut answers);
        if let Err(error) = read {
            faults.add(format!("no answer: {error}"));
        }
        return judge(faults, &answers, asked);
    }
    // One after the other.
    for (n, request) in requests.iter().enumerate() {
        let _ = stream.write_all(request);
        while judged(&answers).0.len() <= n {
            let mut some = [0; 4096];
            match stream.read(&mut some) {
                Ok(0) => return judge(faults, &answers, asked),
                Ok(read) => answers.extend_from_slice(&some[..read]),
                Err(error) => {
                    faults.add(format!("no answer to the {n}th request: {error}"));
                    return 0;
                }
            }
        }
    }
    let _ = stream.read_to_end(&mut answers);
    judge(faults, &answers, asked)
}

fn request(rng: &mut Rng, number: u64, last: bool) -> Vec<u8> {
    let kind = match rng.below(100) {
        0..60 => "fast",
        60..75 => "sleep",
        75..90 => "block",
        90..95 => "spin",
        _ => "panic",
    };
    let moment = rng.below(15_000);
    let close = if last { "Connection: close\r\n" } else { "" };
    format!("GET /{kind}/{moment}/{number} HTTP/1.1\r\nHost: chaos\r\n{close}\r\n").into_bytes()
}

/// The whole answers among what was read: status and body; and whether the last one
/// says that the connection closes.
fn judged(mut bytes: &[u8]) -> (Vec<(u16, String)>, bool, usize) {
    let mut answers = Vec::new();
    let mut closes = false;
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let length = (head.split("content-length: ").nth(1))
            .and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        let (Some(status), Some(length)) = (status, length) else {
            break;
        };
        let Some(body) = bytes.get(end + 4..end + 4 + length) else {
            break;
        };
        closes = head.contains("connection: close");
        answers.push((status, String::from_utf8_lossy(body).into_owned()));
        bytes = &bytes[end + 4 + length..];
    }
    (answers, closes, bytes.len())
}

/// Each request has one answer, in order, up to the one that closes.
fn judge(faults: &Faults, bytes: &[u8], asked: u64) -> usize {
    let (answers, closes, rest) = judged(bytes);
    if !closes || rest > 0 || answers.len() as u64 > asked {
        let said = String::from_utf8_lossy(bytes);
        faults.add(format!(
            "{} answers to {asked} requests: {said}",
            answers.len()
        ));
    }
    for (n, (status, body)) in answers.iter().enumerate() {
        let right = match status {
            200 => *body == n.to_string(),
            500 | 503 => true,
            _ => false,
        };
        if !right {
            faults.add(format!("answer {n} is {status} {body}"));
        }
    }
    answers.len()
}
