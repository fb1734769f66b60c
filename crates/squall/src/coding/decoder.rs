//! `Decoder`: the libraries' decoders behind one face.

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Decompress, FlushDecompress, Status};
use squall_http::wire::coding::Coding;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// zlib's largest window.
const WINDOW_BITS: u8 = 15;
/// The largest window that zstd may ask for: 8 MiB (RFC 9659 section 3).
const ZSTD_WINDOW_LOG: u32 = 23;

type Alloc = brotli::enc::StandardAlloc;

/// A decoder between two calls.
pub(super) enum Decoder {
    /// `None` between two members.
    Gzip(Option<Decompress>),
    /// `None` until the first byte says whether zlib's header is there.
    Deflate(Option<Decompress>),
    Br(Box<BrotliState<Alloc, Alloc, Alloc>>),
    Zstd(DCtx<'static>),
}

/// What one call did.
pub(super) struct Step {
    /// How many bytes of the input were used.
    pub(super) consumed: usize,
    /// The data may end here.
    pub(super) complete: bool,
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Br => Self::Br(Box::new(BrotliState::new_strict(
                Alloc::default(),
                Alloc::default(),
                Alloc::default(),
            ))),
            Coding::Zstd => {
                let mut context = DCtx::create();
                // It is in the library's range.
                let _ = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG));
                Self::Zstd(context)
            }
            Coding::Deflate => Self::Deflate(None),
            _ => Self::Gzip(None),
        }
    }

    /// Whether another unit (member, frame) may follow a complete one.
    pub(super) fn may_repeat(&self) -> bool {
        matches!(self, Self::Gzip(_) | Self::Zstd(_))
    }

    /// Decodes until the input is used up, `out` has reached its capacity, or a unit ends.
    ///
    /// # Errors
    /// What the library says about data that is not of its format.
    pub(super) fn run(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, String> {
        match self {
            Self::Gzip(decoder) => {
                let inner = decoder.get_or_insert_with(|| Decompress::new_gzip(WINDOW_BITS));
                let step = inflate(inner, input, out)?;
                if step.complete {
                    *decoder = None;
                }
                Ok(step)
            }
            Self::Deflate(decoder) => {
                let inner = decoder.get_or_insert_with(|| {
                    // Without a header this would be a stored block with odd padding.
                    let header = input.first().is_none_or(|byte| byte & 0x0f == 8);
                    Decompress::new(header)
                });
                inflate(inner, input, out)
            }
            Self::Br(state) => unbrotli(state, input, out),
            Self::Zstd(context) => {
                let mut from = InBuffer::around(input);
                let at = out.len();
                let mut into = OutBuffer::around_pos(out, at);
                let hint = context
                    .decompress_stream(&mut into, &mut from)
                    .map_err(|code| zstd_safe::get_error_name(code).to_owned())?;
                Ok(Step {
                    consumed: from.pos(),
                    complete: hint == 0,
                })
            }
        }
    }
}

fn inflate(decoder: &mut Decompress, input: &[u8], out: &mut Vec<u8>) -> Result<Step, String> {
    let before = decoder.total_in();
    let status = decoder
        .decompress_vec(input, out, FlushDecompress::None)
        .map_err(|error| error.message().unwrap_or("broken data").to_owned())?;
    Ok(Step {
        consumed: usize::try_from(decoder.total_in() - before).unwrap_or(input.len()),
        complete: status == Status::StreamEnd,
    })
}

fn unbrotli(
    state: &mut BrotliState<Alloc, Alloc, Alloc>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<Step, String> {
    let (mut left, mut consumed) = (input.len(), 0);
    let mut at = out.len();
    out.resize(out.capacity(), 0);
    let mut room = out.len() - at;
    let result = BrotliDecompressStream(
        &mut left,
        &mut consumed,
        input,
        &mut room,
        &mut at,
        out,
        &mut 0,
        state,
    );
    out.truncate(at);
    if let BrotliResult::ResultFailure = result {
        return Err("broken data".to_owned());
    }
    Ok(Step {
        consumed,
        complete: matches!(result, BrotliResult::ResultSuccess),
    })
}
