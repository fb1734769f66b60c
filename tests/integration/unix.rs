//! Unix sockets: the same face as TCP, and a file that comes and goes.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};
use squall_loop::IoLoop;
use squall_loop::net::{ReadStream, UnixListener, UnixStream, WriteStream};
use squall_tests::on_one_lane;

/// A folder of its own for each test, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("squall-unix-{}-{next}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// Sends back what comes, each connection on its own lane.
async fn echo(listener: UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let stream = Arc::new(stream);
        let echoing = stream.clone();
        drop(stream.spawn_here(
            async move {
                let mut buf = vec![0; 16 << 10];
                loop {
                    let read = echoing.read(&mut buf).await?;
                    if read == 0 {
                        return echoing.shutdown(Shutdown::Write);
                    }
                    echoing.write_all(&buf[..read]).await?;
                }
            },
            None,
        ));
    }
}

#[test]
fn echoes_across_lanes() {
    let folder = Folder::new();
    let path = folder.path();
    let io_loop = IoLoop::builder().lanes(4).build().expect("a loop");
    let outcome = io_loop.run({
        let io_loop = io_loop.clone();
        async move {
            let listener = UnixListener::bind(&path)?;
            drop(io_loop.spawn(echo(listener)));
            let mut clients = Vec::new();
            for n in 0..20_u8 {
                let path = path.clone();
                clients.push(io_loop.spawn(async move {
                    let stream = Arc::new(UnixStream::connect(&path).await?);
                    let sent = vec![n; 1 << 20];
                    let (sending, copy) = (stream.clone(), sent.clone());
                    let sending = IoLoop::current().spawn(async move {
                        sending.write_all(&copy).await?;
                        sending.shutdown(Shutdown::Write)
                    });
                    let mut back = Vec::new();
                    stream.read_to_end(&mut back).await?;
                    sending.await.expect("no panic")?;
                    Ok::<_, io::Error>(back == sent)
                }));
            }
            for client in clients {
                assert!(client.await.expect("no panic")?);
            }
            Ok::<_, io::Error>(())
        }
    });
    outcome.expect("ran").expect("no error");
    io_loop.stop();
}

#[test]
fn accepted_connections_go_to_the_least_loaded_lane() {
    let folder = Folder::new();
    let path = folder.path();
    let io_loop = IoLoop::builder().lanes(4).build().expect("a loop");
    let held = io_loop.run(async move {
        let listener = UnixListener::bind(&path)?;
        let mut held = Vec::new();
        for _ in 0..8 {
            let client = std::os::unix::net::UnixStream::connect(&path)?;
            held.push((listener.accept().await?.0, client));
        }
        Ok::<_, io::Error>(held)
    });
    let held = held.expect("ran").expect("no error");
    let loads = || -> Vec<usize> {
        (io_loop.stats().lanes.iter())
            .map(|lane| lane.connections)
            .collect()
    };
    assert_eq!(loads(), [2; 4]);
    drop(held);
    assert_eq!(loads(), [0; 4]);
    io_loop.stop();
}

#[test]
fn the_file_is_private_and_goes_with_the_listener() {
    let folder = Folder::new();
    let path = folder.path();
    on_one_lane(async move {
        let mode = |path: &PathBuf| fs::metadata(path).map(|file| file.permissions().mode());
        let listener = UnixListener::bind(&path)?;
        assert_eq!(mode(&path)? & 0o777, 0o600);
        let local = listener.local_addr()?;
        assert_eq!(local.as_pathname(), Some(path.as_path()));
        drop(listener);
        assert!(!path.exists(), "removed");

        let listener = UnixListener::bind_with_mode(&path, 0o660)?;
        assert_eq!(mode(&path)? & 0o777, 0o660);
        // Somebody else takes the place: that file is not ours to remove.
        fs::remove_file(&path)?;
        fs::write(&path, "theirs")?;
        drop(listener);
        assert_eq!(fs::read_to_string(&path)?, "theirs");
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn a_left_over_file_is_replaced_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.path();
    on_one_lane(async move {
        drop(std::os::unix::net::UnixListener::bind(&path)?);
        assert!(path.exists(), "the standard library's leaves its file");
        let live = UnixListener::bind(&path)?;
        let error = UnixListener::bind(&path).expect_err("somebody listens there");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("socket"), "{error} names it");
        let _client = UnixStream::connect(&path).await?;
        live.accept().await?;
        drop(live);

        fs::write(&path, "a file")?;
        let error = UnixListener::bind(&path).expect_err("not a socket");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(&path)?, "a file");
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn connecting_fails_as_the_system_says() {
    let folder = Folder::new();
    let path = folder.path();
    on_one_lane(async move {
        let error = UnixStream::connect(&path).await.expect_err("no file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        drop(std::os::unix::net::UnixListener::bind(&path)?);
        let error = UnixStream::connect(&path).await.expect_err("no listener");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let long = path.join("x".repeat(200));
        let error = UnixStream::connect(&long).await.expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = UnixListener::bind(&long).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[cfg(target_os = "linux")] // Elsewhere a full backlog refuses.
#[test]
fn connecting_waits_for_room_in_the_backlog() {
    let folder = Folder::new();
    let path = folder.path();
    on_one_lane(async move {
        let address = SockAddr::unix(&path)?;
        let small = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        small.bind(&address)?;
        small.listen(1)?;
        let listener = UnixListener::from_std(OwnedFd::from(small).into())?;
        // Connected and not accepted, until the system takes no more.
        let mut waiting = Vec::new();
        let full = loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            match socket.connect(&address) {
                Ok(()) => waiting.push(socket),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let late = path.clone();
        let late = IoLoop::current().spawn(async move {
            let stream = UnixStream::connect(&late).await?;
            stream.write_all(b"late").await
        });
        for _ in 0..waiting.len() {
            listener.accept().await?;
        }
        let (stream, _) = listener.accept().await?;
        let mut text = String::new();
        late.await.expect("no panic")?;
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "late");
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn a_pair_is_connected_and_a_dropped_end_is_an_end() {
    on_one_lane(async {
        let (one, other) = UnixStream::pair()?;
        one.write_all(b"head body").await?;
        let mut head = [0; 5];
        other.read_exact(&mut head).await?;
        assert_eq!(&head, b"head ");
        drop(one);
        let mut rest = Vec::new();
        assert_eq!(other.read_to_end(&mut rest).await?, 4);
        assert_eq!(rest, b"body");
        let error = other.read_exact(&mut head).await.expect_err("the end");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let error = other.write_all(b"x").await.expect_err("nobody reads it");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_needs_no_file() {
    on_one_lane(async {
        let name = format!("\0squall-test-{}", std::process::id());
        let listener = UnixListener::bind(&name)?;
        let client = UnixStream::connect(&name).await?;
        let (stream, _) = listener.accept().await?;
        client.write_all(b"hello").await?;
        drop(client);
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "hello");
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}
