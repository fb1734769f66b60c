//! Digest authentication (RFC 7616): the answer to a server's challenge.
//!
//! MD5, SHA-256 and SHA-512/256, with and without `-sess`; `qop=auth`, or none as in RFC
//! 2069. MD5 is what most servers still ask for; where they offer several, the last of these
//! is taken. What a server says is hashed and sent back byte for byte, UTF-8 or not.

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
    realm: Vec<u8>,
    pub(super) nonce: Vec<u8>,
    opaque: Option<Vec<u8>>,
    algorithm: Algorithm,
    /// `algorithm` as the server wrote it.
    named: Option<Vec<u8>>,
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
    /// The hash of these, with colons between them.
    fn hex(self, parts: &[&[u8]]) -> String {
        let text = parts.join(&b':');
        let algorithm = match self {
            Self::Md5 => return format!("{:x}", md5::compute(text)),
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha512To256 => &ring::digest::SHA512_256,
        };
        let digest = ring::digest::digest(algorithm, &text);
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

/// A parameter's name, in lower case, and its value.
type Param = (Vec<u8>, Vec<u8>);

/// The parameters of each Digest challenge in a list of challenges of any scheme.
fn challenges(line: &[u8]) -> Vec<Vec<Param>> {
    let mut all: Vec<Vec<Param>> = Vec::new();
    let mut digest = false;
    let mut rest = line;
    loop {
        rest = trim_start(rest, b" \t,");
        let (word, after) = rest.split_at(end_of(rest, b" \t,="));
        if word.is_empty() {
            // Either the end, or nothing that a challenge begins with.
            return all;
        }
        let spaced = trim_start(after, b" \t");
        let Some(value) = spaced.strip_prefix(b"=") else {
            let params = all.last_mut().filter(|_| digest);
            match params.and_then(|params| params.last_mut()) {
                // A scheme that is not spoken here (Negotiate), or more of a list that should
                // have been in quotes (`qop=auth,auth-int`): what follows may still be ours.
                Some((name, value)) if after.first().is_none_or(|byte| *byte == b',') => {
                    if name == b"qop" {
                        value.push(b',');
                        value.extend_from_slice(word);
                    }
                }
                // Any other word without a value is a scheme.
                _ => {
                    digest = word.eq_ignore_ascii_case(b"digest");
                    if digest {
                        all.push(Vec::new());
                    }
                }
            }
            rest = after;
            continue;
        };
        let Some((value, after)) = read_value(trim_start(value, b" \t")) else {
            return all;
        };
        if let Some(params) = all.last_mut().filter(|_| digest) {
            params.push((word.to_ascii_lowercase(), value));
        }
        rest = after;
    }
}

/// Where the first of these bytes is, or the end.
fn end_of(text: &[u8], bytes: &[u8]) -> usize {
    let end = text.iter().position(|byte| bytes.contains(byte));
    end.unwrap_or(text.len())
}

fn trim_start<'a>(text: &'a [u8], bytes: &[u8]) -> &'a [u8] {
    let start = text.iter().position(|byte| !bytes.contains(byte));
    text.get(start.unwrap_or(text.len())..).unwrap_or_default()
}

/// A token or a quoted string, without its quotes, and what follows.
fn read_value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (value, rest) = text.split_at(end_of(text, b", \t"));
        return Some((value.to_vec(), rest));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((value, quoted.get(at + 1..)?)),
            b'\\' => value.push(*bytes.next()?.1),
            byte => value.push(*byte),
        }
    }
    None
}

/// `None`: it asks for something that is not spoken here.
fn understand(params: Vec<Param>) -> Option<Challenge> {
    let mut challenge = Challenge::default();
    for (name, value) in params {
        match &*name {
            b"realm" => challenge.realm = value,
            b"nonce" => challenge.nonce = value,
            b"opaque" => challenge.opaque = Some(value),
            b"stale" => challenge.stale = value.eq_ignore_ascii_case(b"true"),
            b"userhash" => challenge.userhash = value.eq_ignore_ascii_case(b"true"),
            b"qop" => {
                let mut offered = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                if !offered.any(|offered| offered.eq_ignore_ascii_case(b"auth")) {
                    return None;
                }
                challenge.qop = true;
            }
            b"algorithm" => {
                let lower = value.to_ascii_lowercase();
                let plain = lower.strip_suffix(b"-sess");
                challenge.session = plain.is_some();
                challenge.algorithm = match plain.unwrap_or(&lower) {
                    b"md5" => Algorithm::Md5,
                    b"sha-256" => Algorithm::Sha256,
                    b"sha-512-256" => Algorithm::Sha512To256,
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
    ) -> Vec<u8> {
        let user = credentials.user.as_bytes();
        let (realm, nonce) = (&*self.realm, &*self.nonce);
        let hex = |parts: &[&[u8]]| self.algorithm.hex(parts);
        let mut secret = hex(&[user, realm, credentials.password.as_bytes()]);
        if self.session {
            secret = hex(&[secret.as_bytes(), nonce, cnonce.as_bytes()]);
        }
        let asked = hex(&[method.as_str().as_bytes(), target.as_bytes()]);
        let used = format!("{count:08x}:{cnonce}:auth");
        let response = match self.qop {
            true => hex(&[secret.as_bytes(), nonce, used.as_bytes(), asked.as_bytes()]),
            false => hex(&[secret.as_bytes(), nonce, asked.as_bytes()]),
        };
        let user = match self.userhash {
            true => hex(&[user, realm]).into_bytes(),
            false => escape(user),
        };
        let mut value = b"Digest username=\"".to_vec();
        let mut add = |parts: &[&[u8]]| value.extend(parts.concat());
        add(&[&user, b"\", realm=\"", &escape(realm)]);
        add(&[b"\", nonce=\"", &escape(nonce)]);
        add(&[b"\", uri=\"", target.as_bytes()]);
        add(&[b"\", response=\"", response.as_bytes(), b"\""]);
        if let Some(named) = &self.named {
            add(&[b", algorithm=", named]);
        }
        if self.userhash {
            add(&[b", userhash=true"]);
        }
        if let Some(opaque) = &self.opaque {
            add(&[b", opaque=\"", &escape(opaque), b"\""]);
        }
        if self.qop {
            add(&[format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"").as_bytes()]);
        } else if self.session {
            add(&[format!(", cnonce=\"{cnonce}\"").as_bytes()]);
        }
        value
    }
}

/// The nonce that an answer's `Authentication-Info` names for the next request.
pub(super) fn next_nonce(headers: &Headers) -> Option<Vec<u8>> {
    let info = headers.get_bytes("authentication-info")?;
    let params = challenges(&[b"Digest ", info].concat());
    let mut params = params.into_iter().flatten();
    let (_, nonce) = params.find(|(name, nonce)| name == b"nextnonce" && !nonce.is_empty())?;
    Some(nonce)
}

fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        if matches!(byte, b'\\' | b'"') {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: impl AsRef<[u8]>) -> Option<Challenge> {
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
            let challenge = of(format!(
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
            let answer = String::from_utf8(answer).unwrap();
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
        let answer = String::from_utf8(answer).unwrap();
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
        assert_eq!((&*found.nonce, found.qop), (b"2".as_slice(), true));
        assert!(of("Basic realm=\"nonce=x\"").is_none());
        assert!(of("Digest realm=\"r\", nonce=\"1\", qop=\"auth-int\"").is_none());
        assert!(of("Digest realm=\"open, nonce=\"1\"").is_none());
        assert!(of("Negotiate abc==").is_none());
        let mut headers = Headers::new();
        let info = "qop=auth, rspauth=\"x\", nextnonce=\"4\", nc=00000001";
        headers.append("Authentication-Info", info).unwrap();
        assert_eq!(next_nonce(&headers).as_deref(), Some(b"4".as_slice()));
        assert_eq!(next_nonce(&Headers::new()), None);
        let old = of("digest nonce=\"a\\\"b\", stale=TRUE, realm=x").unwrap();
        assert_eq!((old.stale, &*old.nonce), (true, b"a\"b".as_slice()));
    }

    #[test]
    fn lists_without_quotes_and_schemes_without_values_hide_nothing() {
        for list in [
            "Digest realm=\"r\", qop=auth,auth-int, nonce=\"1\"",
            "Digest realm=\"r\", qop=auth-int,auth, nonce=\"1\"",
            "Digest realm=\"r\", nonce=\"1\", qop=auth,auth-int",
            "Digest realm=\"r\", nonce=\"1\", qop=\"auth\", Negotiate",
            "Negotiate, Digest realm=\"r\", nonce=\"1\", qop=\"auth\", NTLM, Basic realm=\"x\"",
            "Basic, Digest realm=\"r\", nonce=\"1\", qop=\"auth\", Basic realm=\"x\"",
            "Negotiate abc==, Digest realm=\"r\", nonce=\"1\", qop=\"auth\", Bearer",
        ] {
            let found = of(list).unwrap();
            let told = (&*found.realm, &*found.nonce, found.qop);
            assert_eq!(told, (&b"r"[..], &b"1"[..], true), "{list}");
        }
        assert!(of("Digest realm=\"r\", nonce=\"1\", qop=auth-int,token").is_none());
    }

    /// Python's `hashlib` made the figure, of the bytes as they are.
    #[test]
    fn what_is_not_utf_8_is_hashed_as_it_came() {
        let challenge = of(b"Digest realm=\"caf\xe9\", nonce=\"1\"").unwrap();
        let answer = challenge.answer(&mufasa("p"), &Method::GET, "/", "", 1);
        let expected = b"Digest username=\"Mufasa\", realm=\"caf\xe9\", nonce=\"1\", uri=\"/\", \
            response=\"a7475eaf3f22f1d50df230003dffcef2\"";
        assert_eq!(answer, expected);
    }
}
