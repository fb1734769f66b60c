//! Credentials from a `.netrc` file, for the host they were written down for.

use std::path::{Path, PathBuf};

use squall_loop::run_on_executor;

/// A file that is larger holds no credentials.
const MAX_BYTES: u64 = 1 << 20;

/// `$NETRC`, or `.netrc` in the home directory.
fn default_path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("NETRC") {
        return Some(path.into());
    }
    std::env::home_dir().map(|home| home.join(".netrc"))
}

/// Looks a host up. `Ok(None)`: there is no file, or it does not know the host.
pub(super) async fn look_up(
    path: Option<PathBuf>,
    host: &str,
) -> Result<Option<(String, String)>, String> {
    let Some(path) = path.or_else(default_path) else {
        return Ok(None);
    };
    let host = host.to_owned();
    let found = run_on_executor(move || Ok(read(&path)?.and_then(|text| find(&text, &host))));
    found.await.map_err(|error| error.to_string())?
}

fn read(path: &Path) -> Result<Option<String>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let len = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(named)?.len(),
    };
    if len > MAX_BYTES {
        return Err(format!("{}: larger than {MAX_BYTES} bytes", path.display()));
    }
    std::fs::read_to_string(path).map(Some).map_err(named)
}

/// The login and the password of `host`, else the default's.
fn find(text: &str, host: &str) -> Option<(String, String)> {
    let mut words = text.lines().flat_map(|line| {
        // A macro's text ends with an empty line, which is a word of its own here.
        let line = line.trim();
        let empty = line.is_empty().then_some("");
        (line.split_ascii_whitespace())
            .take_while(|word| !word.starts_with('#'))
            .chain(empty)
    });
    let (mut login, mut password) = (None, None);
    let mut here = false;
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" if here && login.is_some() => break,
            "machine" => {
                here = (words.next()).is_some_and(|name| name.eq_ignore_ascii_case(host));
                (login, password) = (None, None);
            }
            "default" => here = true,
            "login" if here => login = words.next(),
            "password" if here => password = words.next(),
            "login" | "password" | "account" => drop(words.next()),
            "macdef" => drop(words.by_ref().find(|word| word.is_empty())),
            _ => {}
        }
    }
    let login = login.filter(|_| here)?;
    Some((login.to_owned(), password.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# a comment
machine a.test login anna password a#1
machine b.test
    login bert
    account x
    password b
macdef init
machine evil.test login e password e

default login other password o
machine behind.test login late password l
";

    #[test]
    fn each_host_has_its_own() {
        for (host, login, password) in [
            ("a.test", "anna", "a#1"),
            ("A.TEST", "anna", "a#1"),
            ("b.test", "bert", "b"),
            ("x.a.test", "other", "o"),
            ("evil.test", "other", "o"),
            ("behind.test", "other", "o"),
        ] {
            let found = find(FILE, host).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_str()), (login, password));
        }
        assert_eq!(find("machine a.test login x password y", "b.test"), None);
        assert_eq!(find("machine a.test password y", "a.test"), None);
        assert_eq!(find("machine", "a.test"), None);
    }
}
