//! Reverse URLs: from a route's name and arguments to its path.

use std::fmt::Display;

use squall_http::wire::uri;

use super::pattern::{Pattern, Segment};

/// Arguments of [`AppHandle::url`](crate::AppHandle::url), in the order of the path's
/// parameters: `()`, a tuple of up to six values such as `(7, "a b")`, or an array.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no arguments of a URL",
    note = "give a tuple of values that are `Display`, such as `(7,)` or `(\"user\", 7)`, or an array of them"
)]
pub trait UrlArgs {
    /// The values as text.
    fn texts(&self) -> Vec<String>;
}

impl<T: Display, const N: usize> UrlArgs for [T; N] {
    fn texts(&self) -> Vec<String> {
        self.iter().map(T::to_string).collect()
    }
}

impl<T: Display> UrlArgs for &[T] {
    fn texts(&self) -> Vec<String> {
        self.iter().map(T::to_string).collect()
    }
}

/// One implementation per number of values: Rust has no variadic generics.
macro_rules! tuples {
    ($(($($T:ident)*))*) => {$(
        impl<$($T: Display),*> UrlArgs for ($($T,)*) {
            #[allow(non_snake_case)]
            fn texts(&self) -> Vec<String> {
                let ($($T,)*) = self;
                vec![$($T.to_string()),*]
            }
        }
    )*};
}

tuples!(() (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F));

/// Puts arguments into a pattern; the error says what does not fit.
pub(super) fn path(pattern: &Pattern, args: &[String]) -> Result<String, String> {
    let names: Vec<_> = pattern.names().collect();
    if names.len() != args.len() {
        let (needs, given) = (names.join(", "), args.len());
        return Err(format!(
            "it takes {} arguments ({needs}), not {given}",
            names.len()
        ));
    }
    let mut path = String::new();
    let mut args = args.iter();
    for segment in &pattern.segments {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(&uri::encode_segment(text)),
            Segment::Param(param) => {
                let value = args.next().map_or("", String::as_str);
                check(param, value)?;
                let whole = format!("{}{value}{}", param.shape.prefix, param.shape.suffix);
                if is_dots(&whole) {
                    return Err(format!("{whole:?} is no segment of a path"));
                }
                path.push_str(&uri::encode_segment(&whole));
            }
            Segment::Rest(param) => {
                let value = args.next().map_or("", String::as_str);
                check(param, value)?;
                if value.split('/').any(is_dots) {
                    return Err(format!("{value:?} has a segment that clients remove"));
                }
                let pieces: Vec<_> = value.split('/').map(uri::encode_segment).collect();
                path.push_str(&pieces.join("/"));
            }
        }
    }
    if path.starts_with("//") {
        return Err(format!("a browser would take {path:?} for another host"));
    }
    Ok(path)
}

fn check(param: &super::pattern::Param, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("{:?} is empty", param.name));
    }
    if value.contains('\0') {
        return Err(format!("{:?} holds a NUL", param.name));
    }
    if !param.shape.allows(value) {
        let constraint = param.shape.constraint().unwrap_or_default();
        return Err(format!(
            "{:?} is {value:?}, which {constraint} does not match",
            param.name
        ));
    }
    Ok(())
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::{Pattern, UrlArgs, path};

    fn url(pattern: &str, args: impl UrlArgs) -> Result<String, String> {
        path(&Pattern::parse(pattern).expect(pattern), &args.texts())
    }

    #[test]
    fn values_are_encoded_as_their_place_wants() {
        for (pattern, arg, is) in [
            ("/decode_arg/{x}", "foo", "/decode_arg/foo"),
            ("/decode_arg/{x}", "é", "/decode_arg/%C3%A9"),
            ("/decode_arg/{x}", "1 + 1", "/decode_arg/1%20+%201"),
            ("/a/{x}", "b/c?d#e%", "/a/b%2Fc%3Fd%23e%25"),
            ("/a/{*x}", "b c/d%/", "/a/b%20c/d%25/"),
            ("/ä b/v{x}.png", "1", "/%C3%A4%20b/v1.png"),
        ] {
            assert_eq!(url(pattern, [arg]).as_deref(), Ok(is), "{pattern}");
        }
        assert_eq!(url("/", ()).as_deref(), Ok("/"));
        assert_eq!(
            url("/{a}/{b}/{c}", (1, "x", 2.5)).as_deref(),
            Ok("/1/x/2.5")
        );
        assert_eq!(url("/{a}/{b}", &["x", "y"][..]).as_deref(), Ok("/x/y"));
    }

    #[test]
    fn what_would_not_come_back_is_refused() {
        for (pattern, arg, says) in [
            ("/{x:[0-9]+}", "a", "does not match"),
            ("/{x}", "", "empty"),
            ("/{x}", "..", "no segment"),
            ("/{*x}", "a/../b", "remove"),
            ("/{*x}", "/evil.example", "another host"),
            ("/a", "b", "takes 0 arguments"),
        ] {
            let error = url(pattern, [arg]).expect_err(pattern);
            assert!(error.contains(says), "{pattern}: {error}");
        }
    }
}
