//! `Cookies`: what the client sent back.

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

    fn parse(line: &str) -> impl Iterator<Item = (String, String)> {
        line.split(';').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let inner = value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            (!name.is_empty()).then(|| (name.to_owned(), inner.unwrap_or(value).to_owned()))
        })
    }
}

impl FromRequest for Cookies {
    async fn from_request(request: &mut Request) -> Result<Self> {
        let lines = request.headers().get_all("cookie");
        let pairs = lines
            .filter_map(|line| std::str::from_utf8(line).ok())
            .flat_map(Self::parse)
            .collect();
        Ok(Self { pairs })
    }
}
