//! What an image says of itself in its first bytes: format and size.
//!
//! Fed chunk by chunk as an upload streams. What lies between two headers is skipped,
//! so a JPEG with a megabyte of metadata before its size needs no buffer for that.

use std::ops::ControlFlow;

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Gif,
    Jpeg,
    Webp,
    Bmp,
}

/// An image's format and its size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) format: Format,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The longest header that has to be seen in one piece: WebP's.
const LONGEST: usize = 30;

/// Looks for an image's size while its bytes pass by.
#[derive(Debug, Default)]
pub(super) struct ImageHeader {
    /// The header that is being collected; never longer than [`LONGEST`].
    seen: Vec<u8>,
    /// Bytes to pass over before the next header.
    skip: usize,
    /// Inside a JPEG, where one segment follows the other.
    segments: bool,
    found: Option<ControlFlow<Option<Image>>>,
}

impl ImageHeader {
    /// Looks at the next bytes. `Break(None)`: this is no image that can be read.
    pub(super) fn push(&mut self, mut chunk: &[u8]) -> ControlFlow<Option<Image>> {
        if let Some(found) = self.found {
            return found;
        }
        while let Some(rest) = chunk.get(self.skip.min(chunk.len())..) {
            self.skip -= chunk.len() - rest.len();
            let Some((&byte, rest)) = rest.split_first() else {
                break;
            };
            chunk = rest;
            self.seen.push(byte);
            let step = if self.segments {
                segment(&self.seen)
            } else {
                start(&self.seen)
            };
            match step {
                Step::More => {}
                Step::Skip(bytes) => {
                    self.segments = true;
                    self.skip = bytes;
                    self.seen.clear();
                }
                Step::Fill => self.seen.truncate(1),
                Step::Found(image) => {
                    self.found = Some(ControlFlow::Break(image));
                    return ControlFlow::Break(image);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The image, as far as it was seen.
    pub(super) fn image(&self) -> Option<Image> {
        self.found?.break_value()?
    }
}

enum Step {
    More,
    /// A JPEG's segment begins after so many bytes.
    Skip(usize),
    /// A fill byte, which says nothing.
    Fill,
    Found(Option<Image>),
}

/// The first bytes of a file.
fn start(seen: &[u8]) -> Step {
    const MAGIC: [(&[u8], usize, Format); 6] = [
        (b"\x89PNG\r\n\x1a\n", 24, Format::Png),
        (b"GIF87a", 10, Format::Gif),
        (b"GIF89a", 10, Format::Gif),
        (b"\xff\xd8", 2, Format::Jpeg),
        (b"RIFF", LONGEST, Format::Webp),
        (b"BM", 26, Format::Bmp),
    ];
    let known = (MAGIC.iter()).find(|(magic, ..)| {
        let common = magic.len().min(seen.len());
        magic.get(..common) == seen.get(..common)
    });
    let Some(&(_, needed, format)) = known else {
        return Step::Found(None);
    };
    if seen.len() < needed {
        return Step::More;
    }
    let size = match format {
        Format::Jpeg => return Step::Skip(0),
        Format::Png => png(seen),
        Format::Gif => le16(seen, 6).zip(le16(seen, 8)),
        Format::Webp => webp(seen),
        Format::Bmp => bmp(seen),
    };
    Step::Found(sized(format, size))
}

/// An image without an extent is none.
fn sized(format: Format, size: Option<(u32, u32)>) -> Option<Image> {
    let (width, height) = size.filter(|(width, height)| *width > 0 && *height > 0)?;
    Some(Image {
        format,
        width,
        height,
    })
}

/// One JPEG segment: `FF`, a marker, a length, and the size if it is a frame's.
fn segment(seen: &[u8]) -> Step {
    let marker = match *seen {
        [0xff] => return Step::More,
        [0xff, 0xff, ..] => return Step::Fill,
        [0xff, marker, ..] => marker,
        _ => return Step::Found(None),
    };
    match marker {
        // Without a length: TEM, RSTn, SOI.
        0x01 | 0xd0..=0xd8 => Step::Skip(0),
        // The end, or the data, before any frame; and a stuffed zero.
        0x00 | 0xd9 | 0xda => Step::Found(None),
        0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
            if seen.len() < 9 {
                return Step::More;
            }
            Step::Found(sized(Format::Jpeg, be16(seen, 7).zip(be16(seen, 5))))
        }
        _ => match be16(seen, 2) {
            None => Step::More,
            Some(0 | 1) => Step::Found(None),
            Some(length) => Step::Skip(length as usize - 2),
        },
    }
}

fn png(seen: &[u8]) -> Option<(u32, u32)> {
    (seen.get(12..16)? == b"IHDR").then_some(())?;
    be32(seen, 16).zip(be32(seen, 20))
}

fn bmp(seen: &[u8]) -> Option<(u32, u32)> {
    match le32(seen, 14)? {
        12 => le16(seen, 18).zip(le16(seen, 20)),
        // A negative height says that the rows go downwards.
        40.. => {
            le32(seen, 18).zip(le32(seen, 22).map(|height| height.cast_signed().unsigned_abs()))
        }
        _ => None,
    }
}

fn webp(seen: &[u8]) -> Option<(u32, u32)> {
    (seen.get(8..12)? == b"WEBP").then_some(())?;
    match seen.get(12..16)? {
        b"VP8 " if seen.get(23..26)? == b"\x9d\x01\x2a" => {
            Some((le16(seen, 26)? & 0x3fff, le16(seen, 28)? & 0x3fff))
        }
        b"VP8L" if *seen.get(20)? == 0x2f => {
            let bits = le32(seen, 21)?;
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => {
            let width = le32(seen, 24)? & 0x00ff_ffff;
            // Three bytes each.
            let height = le32(seen, 26)? >> 8;
            Some((width + 1, height + 1))
        }
        _ => None,
    }
}

fn bytes<const N: usize>(seen: &[u8], at: usize) -> Option<[u8; N]> {
    seen.get(at..at + N)?.try_into().ok()
}

fn be16(seen: &[u8], at: usize) -> Option<u32> {
    bytes(seen, at).map(|pair| u16::from_be_bytes(pair).into())
}

fn le16(seen: &[u8], at: usize) -> Option<u32> {
    bytes(seen, at).map(|pair| u16::from_le_bytes(pair).into())
}

fn be32(seen: &[u8], at: usize) -> Option<u32> {
    bytes(seen, at).map(u32::from_be_bytes)
}

fn le32(seen: &[u8], at: usize) -> Option<u32> {
    bytes(seen, at).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::{Format, ImageHeader};

    /// The same in one piece and byte by byte.
    fn look(bytes: &[u8]) -> Option<(Format, u32, u32)> {
        let mut whole = ImageHeader::default();
        let _ = whole.push(bytes);
        let mut dripped = ImageHeader::default();
        for byte in bytes {
            let _ = dripped.push(&[*byte]);
        }
        assert_eq!(whole.image(), dripped.image());
        let image = whole.image()?;
        Some((image.format, image.width, image.height))
    }

    #[test]
    fn sizes() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06";
        assert_eq!(look(png), Some((Format::Png, 640, 480)));
        assert_eq!(look(b"GIF89a\x03\x00\x05\x01"), Some((Format::Gif, 3, 261)));
        let bmp = b"BM....\0\0\0\0\x36\0\0\0\x28\0\0\0\x07\0\0\0\xfb\xff\xff\xff";
        assert_eq!(look(bmp), Some((Format::Bmp, 7, 5)));
        let lossy = b"RIFF....WEBPVP8 ....\x30\x01\x00\x9d\x01\x2a\x10\x40\x20\x00";
        assert_eq!(look(lossy), Some((Format::Webp, 16, 32)));
        let lossless = b"RIFF....WEBPVP8L....\x2f\x0f\xc0\x07\x00.....";
        assert_eq!(look(lossless), Some((Format::Webp, 16, 32)));
        let extended = b"RIFF....WEBPVP8X....\x10\0\0\0\x0f\0\0\x1f\0\0";
        assert_eq!(look(extended), Some((Format::Webp, 16, 32)));
    }

    #[test]
    fn a_jpeg_behind_its_metadata() {
        let mut jpeg = b"\xff\xd8\xff\xe1\xff\xff".to_vec();
        jpeg.resize(jpeg.len() + 0xfffd, 0xff);
        jpeg.extend(b"\xff\xff\xff\xdb\x00\x03.\xff\xc2\x00\x0b\x08\x00\x20\x00\x10\x03");
        assert_eq!(look(&jpeg), Some((Format::Jpeg, 16, 32)));
    }

    #[test]
    fn no_images() {
        for bytes in [
            &b""[..],
            b"hello, world",
            b"\x89PNG\r\n\x1a\n",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT\0\0\x02\x80\0\0\x01\xe0",
            b"GIF89a\0\0\0\0",
            b"\xff\xd8\xff\xda\x00\x02",
            b"\xff\xd8\xff\xe0\x00\x01",
            b"\xff\xd8\x00",
            b"RIFF....WAVEfmt ..............",
        ] {
            assert_eq!(look(bytes), None, "{bytes:?}");
        }
    }
}
