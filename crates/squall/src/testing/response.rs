//! `TestResponse`: an answer as it came over the wire, for asserting on.

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// The status.
    pub status: u16,
    /// Names and values of the headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl TestResponse {
    /// Reads an answer; interim ones (1xx) before it are skipped.
    ///
    /// # Panics
    /// When it is no answer.
    #[track_caller]
    pub fn parse(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {text:?}"));
        let (head, body) = (&answer[..end], &answer[end + 4..]);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("no status in {text:?}"));
        if (100..200).contains(&status) {
            return Self::parse(body);
        }
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: body.to_vec(),
        };
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = unchunk(body);
        }
        response
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = (self.headers.iter()).find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {:?}", self.text()))
    }

    /// Checks the status.
    ///
    /// # Panics
    /// When it is another; the message shows the body.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "the status; the body: {}", self.text());
        self
    }

    /// Checks the first header of that name.
    ///
    /// # Panics
    /// When it is not there, or another.
    #[track_caller]
    pub fn assert_header(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.header(name), Some(value), "the header {name}");
        self
    }

    /// Checks the body as text.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn assert_text(&self, text: &str) -> &Self {
        assert_eq!(self.text(), text);
        self
    }

    /// Checks the body as JSON.
    ///
    /// # Panics
    /// When it is another, or none.
    #[track_caller]
    pub fn assert_json(&self, value: &serde_json::Value) -> &Self {
        assert_eq!(self.json(), *value);
        self
    }
}

/// The data of chunks, as far as they are complete.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        let chunk = rest.get(end + 2..end + 2 + size).unwrap_or_default();
        if chunk.is_empty() {
            break;
        }
        data.extend_from_slice(chunk);
        rest = rest.get(end + size + 4..).unwrap_or_default();
    }
    data
}
