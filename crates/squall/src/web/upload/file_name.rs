//! A name that a client gave a file, made fit to be one here.

/// Longest name that is given, in bytes: file systems take 255, and something may be
/// appended.
const LONGEST: usize = 200;

/// A file's name without everything that could make it a path, or trick people or a
/// shell: never empty, one component, at most 200 bytes.
///
/// It keeps what stands behind the last slash or backslash, letters of every script
/// included. Controls, marks that turn the direction of text, and the characters
/// `< > : " | ? *` become `_`; dots and spaces at the ends go; so do the names of
/// Windows' devices. It does not make the name unique, nor its extension harmless.
///
/// ```
/// use squall::safe_file_name;
///
/// assert_eq!(safe_file_name("../../.ssh/authorized_keys"), "authorized_keys");
/// assert_eq!(safe_file_name("C:\\photos\\grüße.png"), "grüße.png");
/// assert_eq!(safe_file_name(".."), "file");
/// ```
pub fn safe_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .map(|char| if is_odd(char) { '_' } else { char })
        .collect();
    let clean = clean.trim_matches(|char: char| char == '.' || char.is_whitespace());
    let short = shortened(clean);
    let stem = short.split('.').next().unwrap_or_default().trim_end();
    match short {
        "" => "file".to_owned(),
        name if is_device(stem) => format!("_{name}"),
        name => name.to_owned(),
    }
}

/// What stands behind the last dot of a name; nothing where some system would read the
/// name otherwise.
pub(super) fn extension(name: &str) -> &str {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let last = last.trim_end_matches(['.', ' ']);
    match last.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !last.contains(is_odd) => extension,
        _ => "",
    }
}

fn is_odd(char: char) -> bool {
    char.is_control()
        || matches!(char, '<' | '>' | ':' | '"' | '|' | '?' | '*')
        // Line and paragraph ends; marks, embeddings, overrides and isolates of direction.
        || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}')
}

/// CON, PRN, AUX, NUL, COM0 to COM9 and LPT0 to LPT9 are devices on Windows, whatever
/// their extension.
fn is_device(stem: &str) -> bool {
    let is = |name: &str| stem.eq_ignore_ascii_case(name);
    let numbered = |name: &str| {
        (stem.get(..3)).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && matches!(stem.as_bytes(), [_, _, _, b'0'..=b'9'])
    };
    ["con", "prn", "aux", "nul"].into_iter().any(is) || ["com", "lpt"].into_iter().any(numbered)
}

/// Cuts a long name before its extension, between characters.
fn shortened(name: &str) -> &str {
    let mut end = LONGEST.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end)
        .unwrap_or_default()
        .trim_end_matches(['.', ' '])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_never_are_paths() {
        for (name, safe) in [
            ("a.txt", "a.txt"),
            ("été 2.PNG", "été 2.PNG"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/abs/olute", "olute"),
            ("C:\\dir\\x.txt", "x.txt"),
            ("C:x.txt", "C_x.txt"),
            ("a/", "file"),
            ("..", "file"),
            ("...", "file"),
            ("", "file"),
            (" . ", "file"),
            (".htaccess", "htaccess"),
            ("a.txt. .", "a.txt"),
            ("a\0.php", "a_.php"),
            ("a\r\nb", "a__b"),
            ("x:stream", "x_stream"),
            ("invoice\u{202e}fdp.exe", "invoice_fdp.exe"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("com10", "com10"),
            ("console", "console"),
            ("~", "~"),
            ("-rf", "-rf"),
        ] {
            assert_eq!(safe_file_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn extensions_are_those_of_the_name_as_it_would_be_kept() {
        for (name, found) in [
            ("a.png", "png"),
            ("a.tar.GZ", "GZ"),
            ("a.png.", "png"),
            ("a.png ", "png"),
            ("dir.png/a", ""),
            (".png", ""),
            ("a", ""),
            ("a.png:x.php", ""),
            ("a.php\0.png", ""),
        ] {
            assert_eq!(extension(name), found, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_one_component(name in ".{0,300}") {
            let safe = safe_file_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= LONGEST + 1, "{safe:?}");
            let path = std::path::Path::new(&safe);
            prop_assert_eq!(path.components().count(), 1);
            let component = path.components().next();
            prop_assert!(matches!(component, Some(std::path::Component::Normal(_))));
            prop_assert!(!safe.contains(['/', '\\', '\0', ':']));
        }
    }
}
