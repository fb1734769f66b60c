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
    let mut words = Words { rest: text };
    let (mut login, mut password) = (None, None);
    let mut here = false;
    while let Some(word) = words.next() {
        match &*word {
            "machine" | "default" if here && login.is_some() => break,
            "machine" => {
                here = (words.next()).is_some_and(|name| name.eq_ignore_ascii_case(host));
                (login, password) = (None, None);
            }
            "default" => here = true,
            "login" if here => login = words.next(),
            "password" if here => password = words.next(),
            "login" | "password" | "account" => drop(words.next()),
            "macdef" => words.skip_macro(),
            // Only where a keyword may be: a password may begin like that.
            word if word.starts_with('#') => drop(words.line()),
            _ => {}
        }
    }
    Some((login.filter(|_| here)?, password.unwrap_or_default()))
}

/// The words of the file.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// The next one. In quotes it may hold blanks, and a backslash takes what follows as it
    /// is.
    fn next(&mut self) -> Option<String> {
        let word = self.rest.trim_ascii_start();
        let Some(quoted) = word.strip_prefix('"') else {
            let end = word.find(|c: char| c.is_ascii_whitespace());
            let (word, rest) = word.split_at(end.unwrap_or(word.len()));
            self.rest = rest;
            return (!word.is_empty()).then(|| word.to_owned());
        };
        let mut chars = quoted.chars();
        let mut word = String::new();
        while let Some(char) = chars.next().filter(|char| *char != '"') {
            word.extend(if char == '\\' {
                chars.next()
            } else {
                Some(char)
            });
        }
        self.rest = chars.as_str();
        Some(word)
    }

    /// Leaves out everything up to an empty line.
    fn skip_macro(&mut self) {
        while (self.line()).is_some_and(|line| !line.trim().is_empty()) {}
    }

    /// The rest of the line.
    fn line(&mut self) -> Option<&str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line)
    }
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

    const ODD: &str = r#"
machine a.test login anna password #x1 # login other
machine b.test login "bert b" password "two \"words\" \\ #"
#machine c.test login none
machine d.test password "" login dora
"#;

    #[test]
    fn words_may_be_odd() {
        for (host, login, password) in [
            ("a.test", "anna", "#x1"),
            ("b.test", "bert b", r#"two "words" \ #"#),
            ("d.test", "dora", ""),
        ] {
            let found = find(ODD, host).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_str()), (login, password));
        }
        assert_eq!(find(ODD, "c.test"), None);
    }

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
