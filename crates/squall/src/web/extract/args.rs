//! Arguments of a query or a form: read into pairs, and into a type.

use serde::Deserializer;
use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use squall_http::wire::form::{self, FormError};

use super::rejection::{Rejection, RequestPart};
use super::values::{ByName, Fault, Pair};
use crate::{Error, Result};

/// Reads `application/x-www-form-urlencoded`, at most `limit` (`max_arguments`) pairs.
pub(crate) fn pairs(part: RequestPart, encoded: &[u8], limit: usize) -> Result<Vec<Pair<'_>>> {
    form::parse(encoded, limit).map_err(|error| match error {
        FormError::Utf8 { name } => Error::rejected(
            part,
            Rejection::NotUtf8,
            format!("the {part}'s argument {name:?} is not UTF-8"),
        )
        .with_field(name),
        _ => Error::rejected(
            part,
            Rejection::TooMany,
            format!("the {part} has more than {limit} arguments (setting: max_arguments)"),
        ),
    })
}

/// Makes a type of arguments: a struct or a map of their names, or a list of pairs.
pub(crate) fn read<T: DeserializeOwned>(part: RequestPart, pairs: &[Pair<'_>]) -> Result<T> {
    let mut sorted: Vec<_> = pairs.iter().collect();
    // Stable: the values of a repeated name keep their order.
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let args = Args {
        pairs,
        sorted: &sorted,
    };
    T::deserialize(args).map_err(|fault| refuse::<T>(part, fault))
}

/// What a client got wrong names the argument; what the program did is a 500.
pub(super) fn refuse<T>(part: RequestPart, fault: Fault) -> Error {
    match fault {
        Fault::Missing(name) => Error::missing_argument(&name).part_of(part),
        Fault::Value { name, why } => Error::invalid_argument(&name, why).part_of(part),
        Fault::Repeated(name) => Error::rejected(
            part,
            Rejection::Repeated,
            format!("argument {name:?} came more than once"),
        )
        .with_field(name),
        Fault::Whole(why) => {
            Error::rejected(part, Rejection::Invalid, format!("the {part}: {why}"))
        }
        Fault::Type(why) => Error::internal(format!(
            "a {part} cannot be read as {}: {why}",
            std::any::type_name::<T>()
        )),
    }
}

struct Args<'a> {
    pairs: &'a [Pair<'a>],
    sorted: &'a [&'a Pair<'a>],
}

impl<'de> Deserializer<'de> for Args<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(ByName::new(self.sorted))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let pairs = self.pairs.iter().map(|(name, value)| AsPair(name, value));
        visitor.visit_seq(SeqDeserializer::new(pairs))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// One argument as a tuple of texts.
struct AsPair<'a>(&'a str, &'a str);

impl<'de> IntoDeserializer<'de, Fault> for AsPair<'de> {
    type Deserializer = SeqDeserializer<std::array::IntoIter<&'de str, 2>, Fault>;

    fn into_deserializer(self) -> Self::Deserializer {
        SeqDeserializer::new([self.0, self.1].into_iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
        read(
            RequestPart::Query,
            &pairs(RequestPart::Query, text.as_bytes(), 1000)?,
        )
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct All {
        n: u8,
        on: bool,
        maybe: Option<u8>,
        text: Option<String>,
        list: Vec<u8>,
        kind: Kind,
        name: Name,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        #[default]
        One,
        Two,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(try_from = "String")]
    struct Name(String);

    impl TryFrom<String> for Name {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, &'static str> {
            match text.as_str() {
                "nobody" => Err("nobody is no name"),
                _ => Ok(Self(text)),
            }
        }
    }

    #[test]
    fn every_kind_of_value() {
        let all: All =
            parse("list=2&n=1&on=on&maybe=&text=a+b&kind=two&list=1&name=x&other=1").unwrap();
        let expected = All {
            n: 1,
            on: true,
            maybe: None,
            text: Some("a b".to_owned()),
            list: vec![2, 1],
            kind: Kind::Two,
            name: Name("x".to_owned()),
        };
        assert_eq!(all, expected);
        assert_eq!(parse::<All>("").unwrap(), All::default());
        let pairs: Vec<(String, String)> = parse("b=1&a=2&b=3").unwrap();
        let expected = [("b", "1"), ("a", "2"), ("b", "3")];
        assert_eq!(
            pairs,
            expected.map(|(name, value)| (name.into(), value.into()))
        );
        let map: HashMap<String, Vec<u8>> = parse("b=1&a=2&b=3").unwrap();
        assert_eq!(map["b"], [1, 3]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, rejection, field, said) in [
            ("n=256", Rejection::Invalid, "n", "too large"),
            ("n=", Rejection::Invalid, "n", "empty string"),
            ("n=1&n=2", Rejection::Repeated, "n", "more than once"),
            ("on=maybe", Rejection::Invalid, "on", "true"),
            ("kind=three", Rejection::Invalid, "kind", "unknown variant"),
            ("list=1&list=x", Rejection::Invalid, "list", "invalid digit"),
            (
                "name=nobody",
                Rejection::Invalid,
                "name",
                "nobody is no name",
            ),
            ("n=%ff", Rejection::NotUtf8, "n", "not UTF-8"),
        ] {
            let error = parse::<All>(text).unwrap_err();
            assert_eq!(error.rejection(), Some(rejection), "{text}: {error}");
            assert_eq!(error.field(), Some(field), "{text}: {error}");
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
        let error = parse::<All>(&"a=1&".repeat(1001)).unwrap_err();
        assert_eq!(error.rejection(), Some(Rejection::TooMany));
        assert!(error.to_string().contains("max_arguments"), "{error}");
        assert_eq!(
            parse::<u8>("n=1").unwrap_err().rejection(),
            Some(Rejection::Invalid)
        );
    }
}
