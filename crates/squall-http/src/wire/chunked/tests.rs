//! Chunked bodies at every split point, and what must be refused.

use proptest::prelude::*;

use super::*;

/// Body, trailers and the number of bytes left over; `None` if the body did not end.
type Found<B> = Option<(B, Headers, usize)>;

/// Decodes in pieces of `step` bytes: body, trailers, bytes left over.
fn decode_by(wire: &[u8], step: usize) -> Result<Found<Vec<u8>>, ChunkError> {
    let mut decoder = ChunkedDecoder::default();
    let (mut body, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        match decoder.decode(&wire[start..end])? {
            Decoded::Data { skip, data } => {
                body.extend_from_slice(&wire[start + skip..start + skip + data]);
                start += skip + data;
            }
            Decoded::More { consumed } => {
                start += consumed;
                if end == wire.len() {
                    return Ok(None);
                }
                end = wire.len().min(end.saturating_add(step));
            }
            Decoded::Done { consumed } => {
                assert!(decoder.is_done());
                return Ok(Some((
                    body,
                    decoder.take_trailers(),
                    wire.len() - start - consumed,
                )));
            }
        }
    }
}

fn decode(wire: &str) -> Result<Found<String>, ChunkError> {
    let whole = decode_by(wire.as_bytes(), usize::MAX);
    for step in 1..wire.len().min(100) {
        let left = |result: &Result<Found<Vec<u8>>, ChunkError>| {
            result
                .clone()
                .map(|found| found.map(|(body, trailers, _)| (body, trailers)))
        };
        assert_eq!(
            left(&decode_by(wire.as_bytes(), step)),
            left(&whole),
            "{wire:?} in steps of {step}"
        );
    }
    whole.map(|found| {
        found.map(|(body, trailers, left)| (String::from_utf8(body).unwrap(), trailers, left))
    })
}

#[test]
fn accepted() {
    for (wire, body) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("1\r\na\r\nB\r\nb0123456789\r\n0\r\n\r\n", "ab0123456789"),
        ("0005\r\nhello\r\n000\r\n\r\n", "hello"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello"),
        ("5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5 ; a = b\t;c\r\nhello\r\n0\r\n\r\n", "hello"),
    ] {
        assert_eq!(
            decode(wire),
            Ok(Some((body.to_owned(), Headers::new(), 0))),
            "{wire:?}"
        );
    }
    assert_eq!(decode("0\r\n\r\nGET").unwrap().unwrap().2, 3);
}

#[test]
fn incomplete() {
    for wire in [
        "",
        "5",
        "5\r",
        "5\r\n",
        "5\r\nhell",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "0\r\n",
        "0\r\n\r",
        "0\r\nX: y\r\n",
    ] {
        assert_eq!(decode(wire), Ok(None), "{wire:?}");
    }
}

#[test]
fn refused() {
    for (wire, error) in [
        ("\r\n", ChunkError::Size),
        (";a\r\n", ChunkError::Size),
        ("g\r\n", ChunkError::Size),
        ("0x5\r\n", ChunkError::Size),
        ("+5\r\n", ChunkError::Size),
        (" 5\r\n", ChunkError::Size),
        ("5 \r\n", ChunkError::Size),
        ("5.0\r\n", ChunkError::Size),
        ("5,5\r\n", ChunkError::Size),
        ("5_0\r\n", ChunkError::Size),
        ("5\nhello", ChunkError::Size),
        ("5\r\r", ChunkError::LineEnd),
        ("5\rX", ChunkError::LineEnd),
        ("10000000000000005\r\n", ChunkError::SizeTooLarge),
        ("00000000000000000\r\n", ChunkError::SizeTooLarge),
        ("5;\r\n", ChunkError::Extension),
        ("5;a\n", ChunkError::Extension),
        ("5;a\0\r\n", ChunkError::Extension),
        ("5;a=\r\n", ChunkError::Extension),
        ("5;a=b \r\n", ChunkError::Extension),
        ("5;a=\"\r\n", ChunkError::Extension),
        ("5;a\rb\r\n", ChunkError::LineEnd),
        ("5\r\nhelloXX0\r\n", ChunkError::DataEnd),
        ("5\r\nhello\n0\r\n", ChunkError::DataEnd),
        ("5\r\nhello\rX", ChunkError::DataEnd),
        ("5\r\nhello\r\n\r\n0\r\n", ChunkError::Size),
        ("0\r\n\n", ChunkError::LineEnd),
        ("0\r\nX: y\n\r\n", ChunkError::LineEnd),
        ("0\r\nX : y\r\n\r\n", ChunkError::Trailer),
        ("0\r\n: y\r\n\r\n", ChunkError::Trailer),
        ("0\r\nX\r\n\r\n", ChunkError::Trailer),
        ("0\r\nX: y\r\n z\r\n\r\n", ChunkError::Trailer),
        ("0\r\nX: a\0\r\n\r\n", ChunkError::Trailer),
        ("0\r\nX: a\rb\r\n\r\n", ChunkError::Trailer),
        ("0\r\nHost : a\r\n\r\n", ChunkError::Trailer),
    ] {
        assert_eq!(decode(wire), Err(error), "{wire:?}");
    }
}

#[test]
fn the_largest_size_does_not_wrap() {
    let mut decoder = ChunkedDecoder::default();
    let decoded = decoder.decode(b"FFFFFFFFFFFFFFFF\r\nab").unwrap();
    assert_eq!(decoded, Decoded::Data { skip: 18, data: 2 });
    assert_eq!(decoder.chunk_remaining(), u64::MAX - 2);
}

#[test]
fn trailers_are_kept_and_forbidden_ones_dropped() {
    let wire = "0\r\nX-T: v\r\nContent-Length: 5\r\nhost: a\r\nIf-Match: a\r\nX-Forwarded-For: a\r\nx-t:  w \r\n\r\nnext";
    let (_, trailers, left) = decode(wire).unwrap().unwrap();
    let expected = [("X-T", b"v".as_slice()), ("x-t", b"w")];
    assert_eq!(trailers.iter().collect::<Vec<_>>(), expected);
    assert_eq!(left, 4);
}

#[test]
fn limits_have_names() {
    for step in [1, 100, usize::MAX] {
        for (wire, text) in [
            (
                format!("5;{}", "a".repeat(5000)),
                "a chunk-size line is longer than 4096 bytes (setting: max_chunk_line)",
            ),
            (
                format!("1;{}\r\na\r\n", "a".repeat(4000)).repeat(5),
                "the chunk extensions are longer than 16384 bytes (setting: max_chunk_extensions)",
            ),
            (
                format!("0\r\nX: {}", "a".repeat(20_000)),
                "the trailers are longer than 16384 bytes (setting: max_trailer_size)",
            ),
            (
                format!("0\r\n{}\r\n", "X: y\r\n".repeat(101)),
                "there are more than 100 trailer fields (setting: max_trailers)",
            ),
        ] {
            let error = decode_by(wire.as_bytes(), step).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), step in 1usize..50) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            encode_chunk_header(chunk.len(), &mut wire);
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        let mut trailers = Headers::new();
        trailers.append("X-Sum", "1").unwrap();
        encode_trailers(&trailers, &mut wire);
        let (body, found, _) = decode_by(&wire, step).unwrap().unwrap();
        prop_assert_eq!(body, chunks.concat());
        prop_assert_eq!(found, trailers);
    }

    #[test]
    fn sizes_are_written_in_hexadecimal(len in 1usize..) {
        let mut out = Vec::new();
        encode_chunk_header(len, &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{len:x}\r\n"));
    }
}
