//! Content codings over bodies: what goes round, what is refused, what is flushed.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use squall::coding::{Coding, CodingError, DecodeLimits, Level, decode, encode};
use squall::queues::Queue;
use squall::{Body, BodyError, Bytes};
use squall_tests::on_two_lanes;

const MIB: usize = 1 << 20;

/// Text that compresses, and never repeats in step with a block.
fn text(len: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|number| format!("{} ", number.wrapping_mul(2_654_435_761) >> 12).into_bytes())
        .take(len)
        .collect()
}

/// A body that comes in pieces of this size.
fn pieces(bytes: &[u8], size: usize) -> Body {
    let mut pieces = bytes
        .chunks(size)
        .map(Bytes::copy_from_slice)
        .collect::<Vec<_>>()
        .into_iter();
    Body::from_fn(move || {
        let piece = pieces.next();
        async move { piece.map(Ok) }
    })
}

fn collect(mut body: Body) -> Result<Vec<u8>, BodyError> {
    on_two_lanes(async move { Ok(body.collect(u64::MAX).await?.to_vec()) })
}

fn encoded(plain: &[u8], coding: Coding) -> Vec<u8> {
    collect(encode(plain.to_vec().into(), coding, Level::Default)).expect("encoded")
}

fn decoded(coded: Body, codings: &[Coding]) -> Result<Vec<u8>, BodyError> {
    collect(decode(coded, codings, &DecodeLimits::default()).expect("not too many"))
}

/// The coding's own error.
fn refused(result: Result<Vec<u8>, BodyError>) -> CodingError {
    match result {
        Err(BodyError::Other(error)) => *error.downcast().expect("a coding's error"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    for coding in Coding::ALL {
        for level in [Level::Fast, Level::Default, Level::Best] {
            for len in [0, 1, 1000, 300_000] {
                let plain = text(len);
                let coded = collect(encode(pieces(&plain, 1777), coding, level)).expect("encoded");
                assert!(len < 1000 || coded.len() < len, "{coding} {}", coded.len());
                let again = decoded(coded.into(), &[coding]).expect("decoded");
                assert!(again == plain, "{coding} {level:?} {len}");
            }
        }
    }
}

#[test]
fn a_coded_body_decodes_at_every_split() {
    let plain = text(3000);
    for coding in Coding::ALL {
        let coded = encoded(&plain, coding);
        for size in [1, 2, 3, 7, 64, 1000] {
            assert!(decoded(pieces(&coded, size), &[coding]).expect("decoded") == plain);
        }
    }
}

#[test]
fn codings_are_taken_off_in_reverse() {
    let plain = text(5000);
    let coded = encoded(&encoded(&plain, Coding::Gzip), Coding::Br);
    let again = decoded(coded.clone().into(), &[Coding::Gzip, Coding::Br]);
    assert!(again.expect("decoded") == plain);

    let three = [Coding::Gzip, Coding::Gzip, Coding::Gzip];
    let error = decode(coded.into(), &three, &DecodeLimits::default()).expect_err("too many");
    assert_eq!(error, CodingError::TooMany { limit: 2 });
    assert!(error.to_string().contains("max_codings"), "{error}");
}

#[test]
fn an_empty_body_stays_empty() {
    for coding in Coding::ALL {
        assert_eq!(decoded(Body::empty(), &[coding]).expect("empty"), b"");
    }
}

#[test]
fn several_members_and_frames_are_one_body() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let mut coded = encoded(b"one ", coding);
        coded.extend(encoded(b"", coding));
        coded.extend(encoded(b"two", coding));
        assert_eq!(
            decoded(pieces(&coded, 5), &[coding]).expect("decoded"),
            b"one two"
        );
    }
}

#[test]
fn data_behind_the_end_is_refused() {
    for coding in Coding::ALL {
        for junk in [&b"\0"[..], b"junk", b"\0\0\0\0\0\0\0\0"] {
            let coded = [&encoded(b"plain", coding), junk].concat();
            let error = decoded(coded.into(), &[coding]).map(|plain| plain.len());
            assert!(error.is_err(), "{coding} {junk:?}: {error:?}");
        }
    }
}

#[test]
fn a_body_that_is_cut_is_no_body() {
    let plain = text(2000);
    for coding in Coding::ALL {
        let coded = encoded(&plain, coding);
        for end in [1, 2, coded.len() / 2, coded.len() - 5, coded.len() - 1] {
            let error = refused(decoded(
                Bytes::copy_from_slice(&coded[..end]).into(),
                &[coding],
            ));
            assert_eq!(error, CodingError::Truncated { coding }, "{end}");
        }
    }
}

#[test]
fn a_checksum_that_does_not_fit_is_refused() {
    for coding in [Coding::Gzip, Coding::Deflate] {
        let mut coded = encoded(&text(2000), coding);
        let at = coded.len() - if coding == Coding::Gzip { 8 } else { 4 };
        coded[at] ^= 1;
        assert!(matches!(
            refused(decoded(coded.into(), &[coding])),
            CodingError::Malformed { .. }
        ));
    }
}

#[test]
fn deflate_is_read_without_its_header_too() {
    let plain = text(2000);
    let zlib = encoded(&plain, Coding::Deflate);
    // Two bytes of header, four of checksum (RFC 1950).
    let raw = Bytes::copy_from_slice(&zlib[2..zlib.len() - 4]);
    assert!(decoded(raw.into(), &[Coding::Deflate]).expect("decoded") == plain);
}

#[test]
fn a_bomb_is_refused_and_the_setting_named() {
    let zeros = vec![0; 16 * MIB];
    for coding in Coding::ALL {
        let coded = encoded(&zeros, coding);
        let mut limits = DecodeLimits::default();
        limits.max_decoded_size = 2 * MIB as u64;
        limits.max_ratio = u64::MAX;
        for (limits, setting) in [
            (limits, "max_decoded_size"),
            (DecodeLimits::default(), "max_ratio"),
        ] {
            let body = decode(coded.clone().into(), &[coding], &limits).expect("one coding");
            let (come, error) = on_two_lanes(drain(body));
            let error = refused(Err(error.expect("refused")));
            assert!(error.to_string().contains(setting), "{coding}: {error}");
            assert_eq!(error.status().as_u16(), 413);
            assert!(
                come <= 2 * MIB,
                "{come} bytes of {coding} came before the refusal"
            );
        }
    }
    // Each coding's output is bounded, the inner ones' too.
    let twice = encoded(&encoded(&zeros, Coding::Gzip), Coding::Gzip);
    let error = refused(decoded(twice.into(), &[Coding::Gzip, Coding::Gzip]));
    assert_eq!(error, CodingError::Ratio { limit: 1000 });
}

/// The ratio is that of what comes out to what came: small ones multiply.
#[test]
fn a_bomb_in_two_layers_is_refused_though_neither_layer_is_one() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let inner = encoded(&vec![0; MIB / 4], Coding::Gzip).repeat(64);
        let outer = encoded(&inner, coding);
        assert!(inner.len() * 1000 > 16 * MIB && outer.len() * 1000 > inner.len());
        let body = decode(
            outer.clone().into(),
            &[Coding::Gzip, coding],
            &DecodeLimits::default(),
        );
        let (come, error) = on_two_lanes(drain(body.expect("two codings")));
        let error = refused(Err(error.expect("refused")));
        assert_eq!(error, CodingError::Ratio { limit: 1000 });
        assert!(come <= 2 * MIB, "{come} bytes came before the refusal");

        let mut limits = DecodeLimits::default();
        limits.max_ratio = u64::MAX;
        let body = decode(outer.into(), &[Coding::Gzip, coding], &limits);
        assert_eq!(
            collect(body.expect("two codings")).expect("decoded").len(),
            16 * MIB
        );
    }
}

/// How many bytes come, and the error that ends them.
async fn drain(mut body: Body) -> (usize, Option<BodyError>) {
    let mut come = 0;
    while let Some(chunk) = body.chunk().await {
        match chunk {
            Ok(chunk) => come += chunk.len(),
            Err(error) => return (come, Some(error)),
        }
    }
    (come, None)
}

#[test]
fn what_was_given_is_flushed_while_more_is_awaited() {
    for coding in Coding::ALL {
        on_two_lanes(async move {
            let events: Arc<Queue<Option<&str>>> = Arc::new(Queue::new(1));
            let source = events.clone();
            let body = Body::from_fn(move || {
                let source = source.clone();
                async move { source.get().await.map(|event| Ok(Bytes::from(event))) }
            });
            let coded = encode(body, coding, Level::Default);
            let mut plain = decode(coded, &[coding], &DecodeLimits::default()).expect("one");
            for event in ["first", "second"] {
                events.put(Some(event)).await;
                // The source waits for the next event: this one has to be through.
                assert_eq!(plain.chunk().await.expect("more").expect("decoded"), event);
            }
            events.put(None).await;
            assert!(plain.chunk().await.is_none(), "{coding}");
        });
    }
}

#[test]
fn a_flush_that_has_nothing_to_give_is_no_end() {
    for coding in Coding::ALL {
        on_two_lanes(async move {
            let pieces: Arc<Queue<Option<Bytes>>> = Arc::new(Queue::new(1));
            let source = pieces.clone();
            let body = Body::from_fn(move || {
                let source = source.clone();
                async move { source.get().await.map(Ok) }
            });
            let coded = encode(body, coding, Level::Fast);
            let mut plain = decode(coded, &[coding], &DecodeLimits::default()).expect("one");
            // Each fills whole blocks, which come out without a flush.
            for len in [128 << 10, 256 << 10, 8 << 10, 1 << 20] {
                pieces.put(Some(noise(len).into())).await;
                let mut come = 0;
                while come < len {
                    let chunk = plain.chunk().await.expect("no end yet");
                    come += chunk.expect("decoded").len();
                }
            }
            pieces.put(None).await;
            assert!(plain.chunk().await.is_none(), "{coding}");
        });
    }
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn a_large_body_gives_others_their_turn() {
    let plain = Bytes::from(text(4 * MIB));
    for coding in Coding::ALL {
        let coded = Bytes::from(encoded(&plain, coding));
        let encoding = encode(plain.clone().into(), coding, Level::Fast);
        let decoding = decode(coded.into(), &[coding], &DecodeLimits::default()).expect("one");
        for mut body in [encoding, decoding] {
            let turns = Arc::new(AtomicUsize::new(0));
            let counted = turns.clone();
            on_two_lanes(poll_fn(move |cx| {
                counted.fetch_add(1, Ordering::Relaxed);
                loop {
                    match body.poll_chunk(cx) {
                        Poll::Ready(None) => return Poll::Ready(()),
                        Poll::Ready(Some(chunk)) => drop(chunk.expect("a chunk")),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }));
            let turns = turns.load(Ordering::Relaxed);
            assert!(turns > 8, "{coding}: all of it in {turns} turns");
        }
    }
}
