//! `Mapping`: how the path of a request becomes the upstream's.

use squall_http::wire::uri;

/// Takes a prefix off every path, and puts another one before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Mapping {
    /// Without a slash at its end.
    strip: String,
    /// Likewise.
    base: String,
    /// Whether dot segments go along.
    pub(super) allows_dots: bool,
}

impl Mapping {
    pub(super) fn onto(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn strip(&mut self, prefix: &str) {
        prefix.trim_end_matches('/').clone_into(&mut self.strip);
    }

    /// Dot segments could lead out of what is forwarded at the upstream, so they are refused.
    pub(super) fn check(&self, target: &str) -> Result<(), &'static str> {
        match !self.allows_dots && has_dot_segments(target) {
            true => Err("it holds dot segments"),
            false => Ok(()),
        }
    }

    /// Whether any path becomes another one.
    pub(super) fn changes(&self) -> bool {
        !self.base.is_empty() || !self.strip.is_empty()
    }

    /// The upstream's target for a path and query, which keep their bytes.
    pub(super) fn target(&self, whole: &str) -> Box<str> {
        let has_path = !whole.is_empty() && !whole.starts_with('?');
        if !self.changes() && has_path {
            return whole.into();
        }
        let (path, query) = whole.split_at(whole.find('?').unwrap_or(whole.len()));
        let path = if has_path { path } else { "/" };
        let stripped = behind(&self.strip, path).unwrap_or(path);
        let slash = match self.base.is_empty() && stripped.is_empty() {
            true => "/",
            false => "",
        };
        [&self.base, stripped, slash, query].concat().into()
    }
}

/// What a path has behind a prefix, however that is encoded: the router has decoded it, too.
fn behind<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    if let Some(rest) = path.strip_prefix(prefix)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return Some(rest);
    }
    let mut rest = path;
    for wanted in uri::segments(prefix) {
        let segment = rest.strip_prefix('/')?;
        let end = segment.find('/').unwrap_or(segment.len());
        let (segment, behind) = segment.split_at(end);
        if uri::decode_segment(segment).ok()? != uri::decode_segment(wanted).ok()? {
            return None;
        }
        rest = behind;
    }
    Some(rest)
}

/// Whether the path of a target has a segment `.` or `..`, in any spelling that a server may
/// take for one: of each byte as it may be decoded, `/`, also when encoded, and a backslash
/// part segments, and a parameter or a NUL ends the name of one.
pub(super) fn has_dot_segments(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let mut bytes = path.as_bytes();
    // How many dots a segment is made of so far; `None`: there is more in it.
    let mut dots = Some(0_usize);
    while let Some((byte, rest)) = decoded(bytes) {
        bytes = rest;
        let ends = matches!(byte, b'/' | b'\\' | b';' | 0);
        if ends && matches!(dots, Some(1 | 2)) {
            return true;
        }
        dots = match byte {
            b'/' | b'\\' => Some(0),
            b'.' => dots.map(|dots| dots + 1),
            _ => None,
        };
    }
    matches!(dots, Some(1 | 2))
}

/// The first byte of percent-encoded text, and what is behind it. Two that are an overlong
/// form of one are that one, as some decoders have it.
fn decoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let (byte, rest) = unescaped(text)?;
    if let 0xc0 | 0xc1 = byte
        && let Some((more @ 0x80..=0xbf, rest)) = unescaped(rest)
    {
        return Some(((byte & 1) << 6 | more & 0x3f, rest));
    }
    Some((byte, rest))
}

fn unescaped(text: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, rest @ ..] = text
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return Some((high << 4 | low, rest));
    }
    text.split_first().map(|(byte, rest)| (*byte, rest))
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_mapped_at_segment_borders_and_keep_their_bytes() {
        let plain = Mapping::onto("");
        let mut lax = Mapping::onto("");
        lax.allows_dots = true;
        let mut mapped = Mapping::onto("/base/");
        mapped.strip("/forward/");
        let mut stripped = Mapping::onto("");
        stripped.strip("/forward");
        for (mapping, whole, expected) in [
            (&plain, "/", "/"),
            (&plain, "/a%2Fb//c;d?q=%zz&&", "/a%2Fb//c;d?q=%zz&&"),
            (&plain, "/caf%E9/.a/..b/c.d/...", "/caf%E9/.a/..b/c.d/..."),
            (&plain, "/a%2Fb%2Ec/%c0", "/a%2Fb%2Ec/%c0"),
            (&lax, "/a/..%2fb", "/a/..%2fb"),
            (&plain, "*", "*"),
            (&plain, "", "/"),
            (&plain, "?a", "/?a"),
            (&mapped, "/forward/a?", "/base/a?"),
            (&mapped, "/forward", "/base"),
            (&mapped, "/forwarding", "/base/forwarding"),
            (&mapped, "", "/base/"),
            (&stripped, "/forward", "/"),
            (&stripped, "/forward/a.b", "/a.b"),
            (&stripped, "/forward?a", "/?a"),
            (&stripped, "/%66orwar%64/%61", "/%61"),
            (&stripped, "/%66orward", "/"),
            (&stripped, "/%66orwarding", "/%66orwarding"),
            (&mapped, "/%66orward/a", "/base/a"),
            (&stripped, "/a?b=/..", "/a?b=/.."),
        ] {
            let target = mapping.target(whole);
            assert_eq!(*target, *expected, "{whole}");
            assert_eq!(mapping.check(whole), Ok(()), "{whole}");
        }
    }

    #[test]
    fn dot_segments_are_refused_in_any_spelling() {
        for path in [
            "/forward/../x",
            "/forward/..",
            "/forward/%2e%2E/x",
            "/forward/..;a/x",
            "/forward/..%3ba/x",
            "/forward/;/../x",
            "/forward/a;b%2f..%2fx",
            "/forward/a%2f..%2fx",
            "/forward/a%5c..%5cx",
            "/forward/..\\x",
            "/forward/%c0%ae%c0%ae/x",
            "/forward/..%c0%afx",
            "/forward/.",
            "/forward/caf%E9/../x?q",
        ] {
            assert!(Mapping::default().check(path).is_err(), "{path}");
        }
    }
}
