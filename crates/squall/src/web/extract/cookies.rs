//! `Cookies`: what the client sent back.

use squall_http::wire::cookie;

use super::FromRequest;
use crate::Result;
use crate::web::request::Request;

/// The cookies of a request, in order.
///
/// Values are as they were sent, without the quotes around them (RFC 6265 section
/// 4.2.1). A name may come more than once; which one is meant is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cookies {
    pairs: Vec<(String, String)>,
}

impl Cookies {
    /// The first cookie of that name.
    #[doc(alias = "get_cookie")]
    pub fn get(&self, name: &str) -> Option<&str> {
        (self.iter()).find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.pairs.iter()).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromRequest for Cookies {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let pairs = cookie::all(request.headers())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self { pairs })
    }
}
