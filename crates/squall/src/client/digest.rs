//! Digest authentication (RFC 7616): the answer to a server's challenge.
//!
//! MD5, SHA-256 and SHA-512/256, with and without `-sess`; `qop=auth`, or none as in RFC
//! 2069. MD5 is what most servers still ask for; where they offer several, the last of these
//! is taken.

use std::fmt::Write;

use http::Method;
use squall_http::Headers;

/// Who asks, and the proof that is not sent.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// What a server wants to be answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    pub(super) nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// `algorithm` as the server wrote it.
    named: Option<String>,
    /// Its secret is made of the first request's `cnonce`.
    session: bool,
    /// `false`: as before RFC 2617.
    qop: bool,
    /// The user's name is not to be read on the way.
    userhash: bool,
    /// The credentials were right, but the nonce was old.
    pub(super) stale: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    #[default]
    Md5,
    Sha256,
    Sha512To256,
}

impl Algorithm {
    fn hex(self, text: &str) -> String {
        let algorithm = match self {
            Self::Md5 => return format!("{:x}", md5::compute(text)),
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha512To256 => &ring::digest::SHA512_256,
        };
        let digest = ring::digest::digest(algorithm, text.as_bytes());
        digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// The best of the challenges in an answer's `WWW-Authenticate` that can be met.
pub(super) fn challenge(headers: &Headers) -> Option<Challenge> {
    let mut best: Option<Challenge> = None;
    for line in headers.get_all("www-authenticate") {
        let Ok(line) = std::str::from_utf8(line) else {
            continue;
        };
        for found in challenges(line).into_iter().filter_map(understand) {
            if best
                .as_ref()
                .is_none_or(|best| best.algorithm < found.algorithm)
            {
                best = Some(found);
            }
        }
    }
    best
}

/// The parameters of each Digest challenge in a list of challenges of any scheme.
fn challenges(line: &str) -> Vec<Vec<(String, String)>> {
    let mut all: Vec<Vec<(String, String)>> = Vec::new();
    let mut digest = false;
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            // Either the end, or nothing that a challenge begins with.
            return all;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        let Some(value) = spaced.strip_prefix('=') else {
            // A word without a value is a scheme.
            digest = word.eq_ignore_ascii_case("digest");
            if digest {
                all.push(Vec::new());
            }
            rest = after;
            continue;
        };
        let Some((value, after)) = read_value(value.trim_start_matches([' ', '\t'])) else {
            return all;
        };
        if let Some(params) = all.last_mut().filter(|_| digest) {
            params.push((word.to_ascii_lowercase(), value));
        }
        rest = after;
    }
}

/// A token or a quoted string, without its quotes, and what follows.
fn read_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

/// `None`: it asks for something that is not spoken here.
fn understand(params: Vec<(String, String)>) -> Option<Challenge> {
    let mut challenge = Challenge::default();
    for (name, value) in params {
        match &*name {
            "realm" => challenge.realm = value,
            "nonce" => challenge.nonce = value,
            "opaque" => challenge.opaque = Some(value),
            "stale" => challenge.stale = value.eq_ignore_ascii_case("true"),
            "userhash" => challenge.userhash = value.eq_ignore_ascii_case("true"),
            "qop" => {
                let mut offered = value.split(',').map(str::trim);
                if !offered.any(|offered| offered.eq_ignore_ascii_case("auth")) {
                    return None;
                }
                challenge.qop = true;
            }
            "algorithm" => {
                let lower = value.to_ascii_lowercase();
                challenge.session = lower.ends_with("-sess");
                challenge.algorithm = match lower.trim_end_matches("-sess") {
                    "md5" => Algorithm::Md5,
                    "sha-256" => Algorithm::Sha256,
                    "sha-512-256" => Algorithm::Sha512To256,
                    _ => return None,
                };
                challenge.named = Some(value);
            }
            _ => {}
        }
    }
    (!challenge.nonce.is_empty()).then_some(challenge)
}

impl Challenge {
    /// Whether its nonce may be used for another request, too.
    pub(super) fn lasts(&self) -> bool {
        !self.session
    }

    /// The `Authorization` that answers it, for the `count`th request with its nonce.
    pub(super) fn answer(
        &self,
        credentials: &Credentials,
        method: &Method,
        target: &str,
        cnonce: &str,
        count: u32,
    ) -> String {
        let Credentials { user, password } = credentials;
        let (realm, nonce) = (&self.realm, &self.nonce);
        let hex = |text: String| self.algorithm.hex(&text);
        let mut secret = hex(format!("{user}:{realm}:{password}"));
        if self.session {
            secret = hex(format!("{secret}:{nonce}:{cnonce}"));
        }
        let asked = hex(format!("{method}:{target}"));
        let response = match self.qop {
            true => hex(format!(
                "{secret}:{nonce}:{count:08x}:{cnonce}:auth:{asked}"
            )),
            false => hex(format!("{secret}:{nonce}:{asked}")),
        };
        let user = match self.userhash {
            true => hex(format!("{user}:{realm}")),
            false => escape(user),
        };
        let (realm, nonce) = (escape(realm), escape(nonce));
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", \
             uri=\"{target}\", response=\"{response}\""
        );
        if let Some(named) = &self.named {
            value.push_str(", algorithm=");
            value.push_str(named);
        }
        if self.userhash {
            value.push_str(", userhash=true");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(value, ", opaque=\"{}\"", escape(opaque));
        }
        if self.qop {
            let _ = write!(value, ", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"");
        } else if self.session {
            let _ = write!(value, ", cnonce=\"{cnonce}\"");
        }
        value
    }
}

/// The nonce that an answer's `Authentication-Info` names for the next request.
pub(super) fn next_nonce(headers: &Headers) -> Option<String> {
    let params = challenges(&format!("Digest {}", headers.get("authentication-info")?));
    let mut params = params.into_iter().flatten();
    let (_, nonce) = params.find(|(name, nonce)| name == "nextnonce" && !nonce.is_empty())?;
    Some(nonce)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<Challenge> {
        let mut headers = Headers::new();
        headers.append("WWW-Authenticate", value).unwrap();
        challenge(&headers)
    }

    fn mufasa(password: &str) -> Credentials {
        Credentials {
            user: "Mufasa".to_owned(),
            password: password.to_owned(),
        }
    }

    /// RFC 7616 section 3.9.1, and RFC 2617 section 3.5 with its cnonce.
    #[test]
    fn the_examples_of_the_rfcs() {
        let nonce = "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\"";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = of(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, {nonce}, opaque=\"FQhe\""
            ));
            let answer = challenge.unwrap().answer(
                &mufasa("Circle of Life"),
                &Method::GET,
                "/dir/index.html",
                cnonce,
                1,
            );
            assert!(
                answer.contains(&format!("response=\"{response}\"")),
                "{answer}"
            );
            assert!(answer.contains("opaque=\"FQhe\""), "{answer}");
            assert!(answer.contains(&format!("algorithm={algorithm}")));
        }
    }

    /// RFC 7616 section 3.9.2. Its own figures are wrong (erratum 4897); Python made these.
    #[test]
    fn a_user_whose_name_is_hidden() {
        let challenge = of(
            "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
             nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", charset=UTF-8, userhash=true",
        );
        let jason = Credentials {
            user: "J\u{e4}s\u{f8}n Doe".to_owned(),
            password: "Secret, or not?".to_owned(),
        };
        let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm";
        let answer = challenge
            .unwrap()
            .answer(&jason, &Method::GET, "/doe.json", cnonce, 1);
        for part in [
            "username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\"",
            "response=\"7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c\"",
            "userhash=true",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
    }

    #[test]
    fn the_strongest_challenge_that_is_spoken_is_met() {
        let found = of(
            "Basic realm=\"a, b\", Digest realm=\"r\", nonce=\"1\", algorithm=MD5, \
             Digest realm=\"r\", nonce=\"2\", algorithm=SHA-256, qop=auth, \
             Digest realm=\"r\", nonce=\"3\", algorithm=SHA-3",
        );
        let found = found.unwrap();
        assert_eq!((found.nonce.as_str(), found.qop), ("2", true));
        assert!(of("Basic realm=\"nonce=x\"").is_none());
        assert!(of("Digest realm=\"r\", nonce=\"1\", qop=\"auth-int\"").is_none());
        assert!(of("Digest realm=\"open, nonce=\"1\"").is_none());
        assert!(of("Negotiate abc==").is_none());
        let mut headers = Headers::new();
        let info = "qop=auth, rspauth=\"x\", nextnonce=\"4\", nc=00000001";
        headers.append("Authentication-Info", info).unwrap();
        assert_eq!(next_nonce(&headers).as_deref(), Some("4"));
        assert_eq!(next_nonce(&Headers::new()), None);
        let old = of("digest nonce=\"a\\\"b\", stale=TRUE, realm=x").unwrap();
        assert_eq!((old.stale, &*old.nonce), (true, "a\"b"));
    }
}
