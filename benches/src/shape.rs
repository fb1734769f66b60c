//! What a driver sends: how large its requests are, and how many at once.

use std::net::SocketAddr;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `GET /plaintext` with `Host` alone, one at a time.
    Plain,
    /// `GET` of one of a hundred routes with a parameter, with a browser's eight fields.
    Browser,
    /// As plain, sixteen in one write; the next sixteen when all are answered.
    Pipelined,
}

/// What a browser sends with a page's own requests.
const FIELDS: &str = "Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example/orders?page=2\r\n\
    Cookie: session=4f2a9c1be07d4b6f; theme=dark; consent=2024-11-05\r\n";

impl Shape {
    /// Requests that a connection has under way.
    pub(crate) fn depth(self) -> u64 {
        match self {
            Self::Plain | Self::Browser => 1,
            Self::Pipelined => 16,
        }
    }

    /// What a connection writes at once.
    pub(crate) fn request(self, host: SocketAddr) -> Vec<u8> {
        let (path, fields) = match self {
            Self::Plain | Self::Pipelined => ("/plaintext", ""),
            Self::Browser => ("/api/orders/12345/history", FIELDS),
        };
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
            .repeat(self.depth() as usize)
            .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_sends_eight_fields() {
        let host = SocketAddr::from(([127, 0, 0, 1], 80));
        let request = String::from_utf8(Shape::Browser.request(host)).unwrap();
        assert_eq!(request.matches("\r\n").count(), 1 + 8 + 1);
        assert!(request.ends_with("\r\n\r\n"));
        assert_eq!(Shape::Pipelined.request(host).len() % 16, 0);
    }
}
