//! A chunked body, whole and in pieces: the same body, trailers and end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_http::wire::chunked::{ChunkError, ChunkLimits, ChunkedDecoder, Decoded};

/// Body, trailers and where it ended; None: it has not.
type Found = Option<(Vec<u8>, Vec<(String, Vec<u8>)>, usize)>;

fn decode(wire: &[u8], step: usize) -> Result<Found, ChunkError> {
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    let (mut body, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        match decoder.decode(&wire[start..end])? {
            Decoded::Data { skip, data } => {
                assert!(data > 0);
                body.extend_from_slice(&wire[start + skip..start + skip + data]);
                start += skip + data;
            }
            Decoded::More { consumed } => {
                start += consumed;
                if end == wire.len() {
                    return Ok(None);
                }
                end = (end + step).min(wire.len());
            }
            Decoded::Done { consumed } => {
                let trailers = decoder.take_trailers();
                let trailers = trailers.iter().map(|(name, value)| (name.to_owned(), value.to_vec()));
                return Ok(Some((body, trailers.collect(), start + consumed)));
            }
        }
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, wire) = (usize::from(input.0) + 1, input.1);
    assert_eq!(decode(wire, usize::MAX / 2), decode(wire, step));
});
