//! Signals as streams. They reach the whole process, so each test here has a signal
//! of its own, and none that other tests or the test runner use.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use signal_hook::consts::{SIGHUP, SIGKILL, SIGSEGV, SIGSTOP};
use signal_hook::low_level::raise;
use squall_loop::IoLoop;
use squall_loop::signal::{SignalKind, signal};
use squall_tests::{on_one_lane, on_one_lane_until_it_is_gone, on_two_lanes};

#[test]
fn each_stream_sees_each_signal() {
    on_two_lanes(async {
        let kind = SignalKind::user_defined1();
        let mut here = signal(kind)?;
        let mut elsewhere = signal(kind)?;
        for _ in 0..3 {
            let other = IoLoop::current().spawn(async move {
                elsewhere.recv().await;
                elsewhere
            });
            raise(kind.as_raw())?;
            here.recv().await;
            elsewhere = other.await.expect("no panic");
        }
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn signals_that_nobody_waited_for_count_as_one() {
    on_two_lanes(async {
        let kind = SignalKind::user_defined2();
        let mut signals = signal(kind)?;
        for _ in 0..10 {
            raise(kind.as_raw())?;
        }
        signals.recv().await;
        let mut again = Box::pin(signals.recv());
        let mut woken = poll_fn(|cx| Poll::Ready(again.as_mut().poll(cx)));
        assert!((&mut woken).await.is_pending(), "ten were one");
        raise(kind.as_raw())?;
        again.await;
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn a_signal_without_a_stream_has_no_effect_any_more() {
    on_two_lanes(async {
        drop(signal(SignalKind::hangup())?);
        raise(SIGHUP)?;
        let mut later = signal(SignalKind::from_raw(SIGHUP))?;
        raise(SIGHUP)?;
        later.recv().await;
        Ok::<_, io::Error>(())
    })
    .expect("no error");
}

#[test]
fn what_cannot_be_caught_is_an_error() {
    on_two_lanes(async {
        for number in [SIGKILL, SIGSTOP, SIGSEGV] {
            let kind = SignalKind::from_raw(number);
            let error = signal(kind).expect_err("not for programs");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with("SIG"), "{error} names it");
        }
        let error = signal(SignalKind::from_raw(4711)).expect_err("no such signal");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
    let error = signal(SignalKind::hangup()).expect_err("outside of a loop");
    assert!(error.to_string().contains("IoLoop"), "{error}");
}

#[test]
fn a_stream_hears_of_nothing_after_its_loop() {
    let kind = SignalKind::window_change();
    let signals = on_one_lane_until_it_is_gone(async move { signal(kind) });
    let mut signals = signals.expect("caught");
    on_one_lane(async move {
        let polled = poll_fn(|cx| Poll::Ready(signals.poll_recv(cx))).await;
        assert!(polled.is_pending());
    });
}
