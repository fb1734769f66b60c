//! `Header<T>`: one header as a type.

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{FromRequest, Rejection, RequestPart};
use crate::web::request::Request;
use crate::{Error, Result};

/// A type that one header is read as: [`FromStr`] and the header's name.
///
/// ```
/// use squall::{Header, TypedHeader};
///
/// #[derive(Clone, Copy)]
/// struct Priority(u8);
///
/// impl std::str::FromStr for Priority {
///     type Err = std::num::ParseIntError;
///     fn from_str(text: &str) -> Result<Self, Self::Err> { text.parse().map(Self) }
/// }
///
/// impl TypedHeader for Priority {
///     const NAME: &'static str = "X-Priority";
/// }
///
/// async fn submit(Header(Priority(priority)): Header<Priority>) -> String {
///     format!("as number {priority}")
/// }
/// # let _ = squall::post(submit);
/// ```
pub trait TypedHeader: FromStr<Err: fmt::Display> + Send {
    /// The header's name.
    const NAME: &'static str;

    /// The answer when the header is not there: default 400 that names it.
    fn missing() -> Error {
        let name = Self::NAME;
        Error::rejected(
            RequestPart::Header,
            Rejection::Missing,
            format!("the header {name} is missing"),
        )
        .with_field(name)
    }

    /// The answer when the value is no `Self`: default 400 that names it and says why.
    fn invalid(why: &str) -> Error {
        let name = Self::NAME;
        Error::rejected(
            RequestPart::Header,
            Rejection::Invalid,
            format!("the header {name}: {why}"),
        )
        .with_field(name)
    }
}

/// One header, read as its type `T`.
///
/// It has to come once: of two that differ nobody knows which one is meant (400). As an
/// `Option`, it is `None` when it is not there; what is there and wrong is still refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<T>(pub T);

impl<T: TypedHeader> FromRequest for Header<T> {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let mut values = request.headers().get_all(T::NAME);
        let value = values.next().ok_or_else(T::missing)?;
        let refused = |rejection, why: &str| {
            let shown = format!("the header {} {why}", T::NAME);
            Error::rejected(RequestPart::Header, rejection, shown).with_field(T::NAME)
        };
        if values.next().is_some() {
            return Err(refused(Rejection::Repeated, "came more than once"));
        }
        let text =
            std::str::from_utf8(value).map_err(|_| refused(Rejection::NotUtf8, "is not UTF-8"))?;
        let parsed = text.parse();
        parsed
            .map(Self)
            .map_err(|why: T::Err| T::invalid(&why.to_string()))
    }

    fn is_absent(request: &Request) -> bool {
        !request.headers().contains(T::NAME)
    }
}

impl<T> Deref for Header<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1). Unchecked.
///
/// Without one the answer is 401 with `WWW-Authenticate: Bearer`.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(pub String);

impl FromStr for Bearer {
    type Err = &'static str;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match credentials(value, "Bearer") {
            Some(token) if !token.is_empty() => Ok(Self(token.to_owned())),
            _ => Err("a bearer token is expected"),
        }
    }
}

impl TypedHeader for Bearer {
    const NAME: &'static str = "Authorization";

    fn missing() -> Error {
        Self::invalid("a bearer token is expected")
    }

    fn invalid(why: &str) -> Error {
        Error::unauthorized(why.to_owned()).with_header("WWW-Authenticate", "Bearer")
    }
}

/// User and password of `Authorization: Basic …` (RFC 7617). Unchecked.
///
/// Without them the answer is 401 with `WWW-Authenticate: Basic`.
#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    /// The user's name, without a colon.
    pub user: String,
    /// The password.
    pub password: String,
}

impl FromStr for Basic {
    type Err = &'static str;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let pair = credentials(value, "Basic")
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((user, password)) => Ok(Self {
                user: user.to_owned(),
                password: password.to_owned(),
            }),
            None => Err("a user and a password are expected"),
        }
    }
}

impl TypedHeader for Basic {
    const NAME: &'static str = "Authorization";

    fn missing() -> Error {
        Self::invalid("a user and a password are expected")
    }

    fn invalid(why: &str) -> Error {
        let challenge = "Basic realm=\"this site\", charset=\"UTF-8\"";
        Error::unauthorized(why.to_owned()).with_header("WWW-Authenticate", challenge)
    }
}

/// What stands behind the name of a scheme, which has no case.
fn credentials<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = value.split_once(' ')?;
    (found.eq_ignore_ascii_case(scheme)).then(|| rest.trim_start_matches(' '))
}

/// Shows that there is a token, not which one.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(***)")
    }
}

/// Shows the user alone.
impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Headers that are any text.
macro_rules! text {
    ($($(#[$doc:meta])* $type:ident $name:literal)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $type(pub String);

            impl FromStr for $type {
                type Err = Infallible;

                fn from_str(value: &str) -> Result<Self, Infallible> {
                    Ok(Self(value.to_owned()))
                }
            }

            impl TypedHeader for $type {
                const NAME: &'static str = $name;
            }
        )*
    };
}

text! {
    /// What program the client says it is.
    UserAgent "User-Agent"
    /// The last event that a client of [`Sse`](crate::Sse) has seen, when it connects
    /// again.
    LastEventId "Last-Event-ID"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_apart() {
        assert_eq!("bearer  a.b".parse(), Ok(Bearer("a.b".to_owned())));
        assert!("Bearer ".parse::<Bearer>().is_err());
        assert!("Basic YTpi".parse::<Bearer>().is_err());
        let basic: Basic = "Basic YTpiOmM=".parse().unwrap();
        assert_eq!((basic.user.as_str(), basic.password.as_str()), ("a", "b:c"));
        for wrong in ["Basic", "Basic !", "Basic YQ==", "Basic /w=="] {
            assert!(wrong.parse::<Basic>().is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", Bearer("secret".to_owned())), "Bearer(***)");
        assert!(!format!("{basic:?}").contains("b:c"));
    }
}
