//! Where the third party is: `HOST:PORT`, or an address of the web.

use url::Url;

use crate::program::web_address;

/// Where the third party is.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    url: Url,
}

impl Upstream {
    /// Reads `HOST:PORT`, or an address of the web; its query and fragment are no part
    /// of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut url = web_address(text)?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { url })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The address of a path there, which begins with a slash.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str().trim_end_matches('/'))
    }
}
