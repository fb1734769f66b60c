//! `MockRequest`: a request as a mock server has read it.

/// A request that a [`MockServer`](super::MockServer) has read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockRequest {
    /// The number of the connection it came on; 0 is the first.
    pub connection: usize,
    /// Its head with the empty line, byte for byte as far as it is text.
    pub head: String,
    /// Its body, without chunks.
    pub body: Vec<u8>,
}

impl MockRequest {
    pub(super) fn new(connection: usize, head: String) -> Self {
        Self {
            connection,
            head,
            body: Vec::new(),
        }
    }

    fn start(&self) -> impl Iterator<Item = &str> {
        self.head.lines().next().unwrap_or_default().split(' ')
    }

    /// Its method, such as `GET`.
    pub fn method(&self) -> &str {
        self.start().next().unwrap_or_default()
    }

    /// Its target, such as `/a?b`.
    pub fn target(&self) -> &str {
        self.start().nth(1).unwrap_or_default()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn is_chunked(&self) -> bool {
        let coding = self.header("transfer-encoding");
        coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }
}
