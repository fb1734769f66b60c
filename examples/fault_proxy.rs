//! A proxy between a client and a server that does to their bytes what networks do.
//!
//! ```text
//! cargo run --release -- demo
//! cargo run --release --example fault_proxy -- --to 127.0.0.1:5000 --delay 200
//! cargo run --release --example fault_proxy -- --to 127.0.0.1:5000 --after 100 --then reset
//! curl -v http://127.0.0.1:6000/
//! ```
//! What a program makes of slow, cut, reset and dead connections shows only when there are
//! some. The faults strike what the server says, or what the client says with `--requests`.
//! Tests take `squall::testing::MockServer`, which plays the server, too.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use squall::net::{ReadStream, TcpListener, TcpStream, WriteStream};
use squall::{IoLoop, Result, signal, sleep};

/// Pass bytes on, with faults
#[derive(Debug, Parser)]
struct Faults {
    /// Where it listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:6000")]
    listen: SocketAddr,

    /// The server behind it
    #[arg(long)]
    to: SocketAddr,

    /// Milliseconds that every piece comes late
    #[arg(long, default_value_t = 0)]
    delay: u64,

    /// Bytes a second at most
    #[arg(long)]
    rate: Option<u32>,

    /// After how many bytes of a connection it happens
    #[arg(long, requires = "then")]
    after: Option<usize>,

    /// What happens then
    #[arg(long, requires = "after")]
    then: Option<Then>,

    /// The faults strike what the client says
    #[arg(long)]
    requests: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Then {
    /// The connection ends as if all had been said
    Close,
    /// The client gets a reset
    Reset,
    /// Nothing comes any more, and nobody says so
    Hold,
}

/// How a direction has ended.
enum End {
    /// Its source has closed.
    Over,
    Struck(Then),
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().log_internal_errors(false).init();
    let faults = Arc::new(Faults::parse());
    let io_loop = IoLoop::builder().build()?;
    let outcome = io_loop.run(serve(faults));
    io_loop.stop();
    outcome?
}

async fn serve(faults: Arc<Faults>) -> Result<()> {
    let terminated = signal::terminate()?;
    let listener = TcpListener::bind(faults.listen)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    drop(IoLoop::current().spawn(async move {
        while let Ok((client, address)) = listener.accept().await {
            let faults = faults.clone();
            drop(IoLoop::current().spawn(async move {
                let how = match connection(&client, &faults).await {
                    Ok(End::Over) => "over".to_owned(),
                    Ok(End::Struck(then)) => format!("{then:?}"),
                    Err(error) => error.to_string(),
                };
                tracing::info!("{address}: {how}");
            }));
        }
    }));
    terminated.await;
    Ok(())
}

/// Both directions of a connection, until both are over or a fault ends it.
async fn connection(client: &TcpStream, faults: &Faults) -> io::Result<End> {
    let server = TcpStream::connect(faults.to).await?;
    let strikes = |requests: bool| (faults.requests == requests).then_some(faults);
    let mut ways = [
        Some(Box::pin(pass_on(client, &server, strikes(true)))),
        Some(Box::pin(pass_on(&server, client, strikes(false)))),
    ];
    let mut both = pin!(poll_fn(|cx| {
        for way in &mut ways {
            let Some(Poll::Ready(end)) = way.as_mut().map(|way| way.as_mut().poll(cx)) else {
                continue;
            };
            match end {
                Ok(End::Over) => *way = None,
                end => return Poll::Ready(end),
            }
        }
        match ways.iter().all(Option::is_none) {
            true => Poll::Ready(Ok(End::Over)),
            false => Poll::Pending,
        }
    }));
    let end = both.as_mut().await;
    if let Ok(End::Struck(Then::Reset)) = end {
        client.set_linger(Some(Duration::ZERO))?;
    }
    end
}

/// One direction, with the faults that strike it.
async fn pass_on(from: &TcpStream, to: &TcpStream, faults: Option<&Faults>) -> io::Result<End> {
    let mut left = faults.and_then(|faults| faults.after);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            // The other direction may have more to say.
            let _ = to.shutdown(Shutdown::Write);
            return Ok(End::Over);
        }
        let piece = &buffer[..left.map_or(read, |left| left.min(read))];
        match faults {
            Some(faults) => write_late(to, piece, faults).await?,
            None => to.write_all(piece).await?,
        }
        if let (Some(left), Some(then)) = (&mut left, faults.and_then(|faults| faults.then)) {
            *left -= piece.len();
            if *left == 0 {
                if then == Then::Hold {
                    std::future::pending::<()>().await;
                }
                return Ok(End::Struck(then));
            }
        }
    }
}

async fn write_late(to: &TcpStream, piece: &[u8], faults: &Faults) -> io::Result<()> {
    sleep(Duration::from_millis(faults.delay)).await;
    let Some(rate) = faults.rate else {
        return to.write_all(piece).await;
    };
    // A tenth of a second's worth at a time.
    for part in piece.chunks((rate as usize / 10).max(1)) {
        to.write_all(part).await?;
        sleep(Duration::from_secs(1).mul_f64(part.len() as f64 / f64::from(rate))).await;
    }
    Ok(())
}
