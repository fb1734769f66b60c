//! Child processes: their pipes, their end, and that none is left behind.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use squall_loop::IoLoop;
use squall_loop::net::{ReadStream, WriteStream};
use squall_loop::process::{ExitError, Subprocess};
use squall_tests::{on_one_lane, on_one_lane_until_it_is_gone, on_two_lanes};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// A child that says when it runs, and then does nothing for an hour.
fn sleeper() -> Command {
    let mut command = shell("echo up; exec sleep 3600");
    command.stdout(Stdio::piped());
    command
}

async fn is_up(child: &Subprocess) -> io::Result<()> {
    let stdout = child.stdout.as_ref().expect("piped");
    stdout.read_exact(&mut [0; 3]).await
}

/// The state of a process of ours, as the system has it; None once it is reaped.
fn state(id: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn until_gone(id: u32) {
    let end = Instant::now() + Duration::from_secs(20);
    while let Some(state) = state(id) {
        assert!(Instant::now() < end, "process {id} is still there: {state}");
        std::thread::yield_now();
    }
}

#[test]
fn ten_mebibytes_through_cat_both_ways() {
    on_two_lanes(async {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut cat = Subprocess::spawn(&mut command)?;
        let sent: Vec<u8> = (0..10 << 20).map(|n: u32| (n / 7) as u8).collect();
        let (stdin, copy) = (cat.stdin.take().expect("piped"), sent.clone());
        let sending = IoLoop::current().spawn(async move { stdin.write_all(&copy).await });
        let output = cat.wait_with_output().await?;
        sending.await.expect("no panic")?;
        assert!(output.status.success());
        assert!(output.stdout == sent, "{} bytes came", output.stdout.len());
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn both_outputs_are_read_at_once() {
    on_two_lanes(async {
        // Each is more than a pipe holds, so reading them in turn would never end.
        let script = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; echo end >&2";
        let mut command = shell(script);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = Subprocess::spawn(&mut command)?.wait_with_output().await?;
        assert_eq!(output.stdout.len(), 300_000);
        assert!(output.stderr.ends_with(b"\0end\n"));
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn the_status_tells_codes_from_signals() {
    on_two_lanes(async {
        let mut child = Subprocess::spawn(&mut shell("exit 7"))?;
        assert_eq!(child.wait().await?.code(), Some(7));
        assert_eq!(child.wait().await?.code(), Some(7), "as often as one likes");
        let error = child.wait_for_exit().await.expect_err("not a success");
        let status = error.get_ref().and_then(|error| error.downcast_ref());
        let Some(ExitError { status, .. }) = status else {
            panic!("{error:?} holds the status");
        };
        assert_eq!(status.code(), Some(7));
        assert_eq!(error.to_string(), "the process ended with exit status: 7");

        let mut child = Subprocess::spawn(&mut shell("kill -TERM $$"))?;
        assert_eq!(child.wait().await?.signal(), Some(15));

        Subprocess::spawn(&mut shell("exit 0"))?
            .wait_for_exit()
            .await?;
        let error = Subprocess::spawn(&mut Command::new("/nowhere/squall")).expect_err("no file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn waiting_after_the_end_is_over_at_once() {
    on_two_lanes(async {
        let mut command = shell("exit 3");
        command.stdout(Stdio::piped());
        let mut child = Subprocess::spawn(&mut command)?;
        // A zombie is a process that has ended and has not been waited for.
        let is_over = || matches!(state(child.id()), Some('Z'));
        if cfg!(target_os = "linux") {
            while !is_over() {
                std::thread::yield_now();
            }
        }
        assert_eq!(child.wait().await?.code(), Some(3));
        assert_eq!(state(child.id()), None, "reaped");
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn fifty_at_once() {
    on_two_lanes(async {
        let mut children = Vec::new();
        for code in 0..50 {
            // They end in another order than they began, and some at the same moment.
            let mut command = shell(&format!("read line; exit {code}"));
            command.stdin(Stdio::piped());
            let mut child = Subprocess::spawn(&mut command)?;
            let stdin = child.stdin.take().expect("piped");
            let waiting = IoLoop::current().spawn(async move { child.wait().await });
            children.push((code, stdin, waiting));
        }
        for (_, stdin, _) in children.iter().rev() {
            stdin.write_all(b"end\n").await?;
        }
        for (code, _, waiting) in children {
            let status = waiting.await.expect("no panic")?;
            assert_eq!(status.code(), Some(code));
        }
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn children_of_others_are_left_to_them() {
    on_two_lanes(async {
        let mut foreign = shell("exit 9").spawn()?;
        Subprocess::spawn(&mut shell("exit 0"))?
            .wait_for_exit()
            .await?;
        assert_eq!(foreign.wait()?.code(), Some(9));
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn a_child_that_never_reads_keeps_its_writer_waiting() {
    on_two_lanes(async {
        let mut command = sleeper();
        let mut child = Subprocess::spawn(command.stdin(Stdio::piped()))?;
        is_up(&child).await?;
        let stdin = child.stdin.take().expect("piped");
        // The pipe fills; then there is nothing to do but wait.
        let all = vec![0; 1 << 20];
        poll_fn(|cx| {
            while stdin.poll_write(cx, &all).is_ready() {}
            Poll::Ready(())
        })
        .await;
        let error = stdin.try_write(&all).expect_err("it is full");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(child.try_wait()?.is_none());
        child.kill()?;
        assert_eq!(child.wait().await?.signal(), Some(9));
        let error = stdin.write_all(&all).await.expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn waiting_closes_the_input() {
    on_two_lanes(async {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut cat = Subprocess::spawn(&mut command)?;
        assert!(cat.wait().await?.success());
        assert!(cat.stdin.is_none());
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_kills_and_leaves_no_zombie() {
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let id = io_loop.run(async {
        let child = Subprocess::spawn(&mut sleeper())?;
        is_up(&child).await?;
        Ok::<_, io::Error>(child.id())
    });
    until_gone(id.expect("ran").expect("no error"));

    // The same for a wait that is given up.
    let (tell, told) = mpsc::channel();
    let waiting = io_loop.spawn(async move {
        let child = Subprocess::spawn(&mut sleeper())?;
        is_up(&child).await?;
        tell.send(child.id()).expect("waited for");
        child.wait_with_output().await
    });
    let id = told.recv().expect("spawned");
    assert!(state(id).is_some());
    waiting.cancel();
    until_gone(id);
    io_loop.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn stopping_the_loop_kills_what_its_tasks_hold() {
    let io_loop = IoLoop::builder().lanes(2).build().expect("a loop");
    let (tell, told) = mpsc::channel();
    drop(io_loop.spawn(async move {
        let mut child = Subprocess::spawn(&mut sleeper())?;
        is_up(&child).await?;
        tell.send(child.id()).expect("waited for");
        child.wait().await
    }));
    let id = told.recv().expect("spawned");
    io_loop.stop();
    until_gone(id);
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_may_go_on_goes_on_and_is_reaped() {
    let io_loop = IoLoop::builder().lanes(1).build().expect("a loop");
    let (id, stdin) = io_loop
        .run(async {
            let mut command = shell("read line; exit 0");
            let mut child = Subprocess::spawn(command.stdin(Stdio::piped()))?;
            child.kill_on_drop(false);
            let stdin = child.stdin.take().expect("piped");
            Ok::<_, io::Error>((child.id(), stdin))
        })
        .expect("ran")
        .expect("no error");
    io_loop.run(async {}).expect("the reaper waits");
    assert!(matches!(state(id), Some(state) if state != 'Z'), "alive");
    drop(stdin);
    until_gone(id);
    io_loop.stop();
}

#[test]
fn nobody_waits_for_a_child_whose_loop_has_ended() {
    let child = on_one_lane_until_it_is_gone(async { Subprocess::spawn(&mut sleeper()) });
    let mut child = child.expect("started");
    on_one_lane(async move {
        let error = child
            .wait()
            .await
            .expect_err("it runs, and its end is not heard of");
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        child.kill().expect("killed");
        // Its end is seen all the same by whoever looks.
        while child.try_wait().expect("no error").is_none() {
            squall_loop::yield_now().await;
        }
        assert!(child.wait().await.is_ok());
    });
}
