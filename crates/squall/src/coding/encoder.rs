//! `Encoder`: the libraries' encoders behind one face.

use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::{Compress, Compression, FlushCompress, Status};
use squall_http::wire::coding::Coding;
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use super::codec::Level;

/// zlib's largest window.
const WINDOW_BITS: u8 = 15;
/// Brotli's window for a body of unknown size: 512 KiB, which bounds its memory.
const BROTLI_WINDOW_BITS: i32 = 19;
/// Room for the end of a stream and the headers of a block or two.
const MIN_ROOM: usize = 1 << 10;

/// An encoder between two calls.
pub(super) enum Encoder {
    Flate(Compress),
    Br(Option<Box<CompressorWriter<Vec<u8>>>>),
    Zstd(CCtx<'static>),
}

/// What is to be done with the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// More will follow; some of it may be kept.
    Process,
    /// Everything so far has to come out.
    Flush,
    /// This was the last.
    Finish,
}

impl Encoder {
    /// An encoder for a body of `len` bytes, if that is known.
    pub(super) fn new(coding: Coding, level: Level, len: Option<u64>) -> Self {
        match coding {
            Coding::Br => Self::Br(Some(Box::new(brotli(level, len)))),
            Coding::Zstd => Self::Zstd(zstd(level, len)),
            Coding::Deflate => Self::Flate(Compress::new(flate(level), true)),
            _ => Self::Flate(Compress::new_gzip(flate(level), WINDOW_BITS)),
        }
    }

    /// Encodes all of the input and appends what comes out.
    ///
    /// # Errors
    /// The library's; its only reason is memory.
    pub(super) fn run(
        &mut self,
        input: &[u8],
        operation: Operation,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match self {
            Self::Flate(encoder) => deflate(encoder, input, operation, out),
            Self::Br(slot) => {
                let Some(encoder) = slot else { return Ok(()) };
                encoder.write_all(input)?;
                match operation {
                    Operation::Process => out.append(encoder.get_mut()),
                    Operation::Flush => {
                        encoder.flush()?;
                        out.append(encoder.get_mut());
                    }
                    Operation::Finish => {
                        let rest = slot.take().map(|encoder| encoder.into_inner());
                        out.extend_from_slice(&rest.unwrap_or_default());
                    }
                }
                Ok(())
            }
            Self::Zstd(context) => {
                let directive = match operation {
                    Operation::Process => ZSTD_EndDirective::ZSTD_e_continue,
                    Operation::Flush => ZSTD_EndDirective::ZSTD_e_flush,
                    Operation::Finish => ZSTD_EndDirective::ZSTD_e_end,
                };
                let mut from = InBuffer::around(input);
                loop {
                    out.reserve(room(input.len() - from.pos()));
                    let at = out.len();
                    let mut into = OutBuffer::around_pos(out, at);
                    let left = context
                        .compress_stream2(&mut into, &mut from, directive)
                        .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
                    let taken = from.pos() == input.len();
                    if taken && (left == 0 || operation == Operation::Process) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Compressed data is rarely larger than half of its source.
fn room(input: usize) -> usize {
    input / 2 + MIN_ROOM
}

fn deflate(
    encoder: &mut Compress,
    input: &[u8],
    operation: Operation,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let flush = match operation {
        Operation::Process => FlushCompress::None,
        Operation::Flush => FlushCompress::Sync,
        Operation::Finish => FlushCompress::Finish,
    };
    let mut left = input;
    loop {
        out.reserve(room(left.len()));
        let before = encoder.total_in();
        let status = encoder
            .compress_vec(left, out, flush)
            .map_err(io::Error::other)?;
        let taken = usize::try_from(encoder.total_in() - before).unwrap_or(left.len());
        left = left.get(taken..).unwrap_or_default();
        let done = match operation {
            Operation::Finish => status == Status::StreamEnd,
            // Room that was left over says that nothing is held back.
            _ => left.is_empty() && out.len() < out.capacity(),
        };
        if done {
            return Ok(());
        }
    }
}

fn flate(level: Level) -> Compression {
    Compression::new(match level {
        Level::Fast => 1,
        Level::Default => 6,
        Level::Best => 9,
    })
}

fn brotli(level: Level, len: Option<u64>) -> CompressorWriter<Vec<u8>> {
    let len = len.and_then(|len| usize::try_from(len).ok());
    let params = BrotliEncoderParams {
        quality: match level {
            Level::Fast => 1,
            Level::Default => 4,
            Level::Best => 9,
        },
        lgwin: len.map_or(BROTLI_WINDOW_BITS, |len| {
            // The smallest window that holds the whole body, in the format's range.
            let bits = (usize::BITS - len.leading_zeros()).max(10);
            BROTLI_WINDOW_BITS.min(bits as i32)
        }),
        size_hint: len.unwrap_or(0),
        ..BrotliEncoderParams::default()
    };
    CompressorWriter::with_params(Vec::new(), 4096, &params)
}

fn zstd(level: Level, len: Option<u64>) -> CCtx<'static> {
    let mut context = CCtx::create();
    let level = match level {
        Level::Fast => 1,
        Level::Default => 3,
        Level::Best => 12,
    };
    // Both are in the library's range, and nothing has been compressed yet.
    let _ = context.set_parameter(CParameter::CompressionLevel(level));
    let _ = context.set_pledged_src_size(len);
    context
}
