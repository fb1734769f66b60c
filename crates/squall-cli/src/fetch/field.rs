//! `-H`: a header, one that is left out, or an empty one.

use squall::{Headers, HttpRequest};

/// What one `-H` says.
#[derive(Debug, Clone)]
pub(super) struct Field {
    name: String,
    /// None: what would be sent is not.
    value: Option<String>,
}

/// Reads `K: V`, `K:` or `K;`.
pub(super) fn field(text: &str) -> Result<Field, String> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
        None => match text.strip_suffix(';') {
            Some(name) => (name, Some("")),
            None => return Err("expected 'Name: value'".to_owned()),
        },
    };
    let checked = Headers::new().append(name, value.unwrap_or_default());
    checked.map_err(|error| error.to_string())?;
    let field = Field {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    match value {
        None if field.is("host") => Err("a request has a Host".to_owned()),
        _ => Ok(field),
    }
}

impl Field {
    /// Whether it is about the header of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Does to the request what it says.
    pub(super) fn apply(&self, request: HttpRequest) -> HttpRequest {
        match &self.value {
            Some(value) => request.header(&self.name, value),
            None if self.is("user-agent") => request.user_agent(""),
            // The others are sent by nobody unless they are given.
            None => request,
        }
    }
}
