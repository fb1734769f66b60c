//! Values of a path, a query or a form as serde reads them: text by name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// A name and a value, decoded.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Why values do not fit a type.
#[derive(Debug)]
pub(super) enum Fault {
    /// A name that has to be there is not.
    Missing(String),
    /// A value is not what the type takes.
    Value { name: String, why: String },
    /// A name that may come once came several times.
    Repeated(String),
    /// The values as a whole are not what the type takes.
    Whole(String),
    /// No values could ever fit the type: a mistake of the program.
    Type(String),
}

impl Fault {
    /// What went wrong inside of a value is that value's fault.
    pub(super) fn within(self, name: &str) -> Self {
        match self {
            Self::Whole(why) => Self::Value {
                name: name.to_owned(),
                why,
            },
            fault => fault,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "missing argument {name:?}"),
            Self::Repeated(name) => write!(f, "argument {name:?} came more than once"),
            Self::Value { why, .. } | Self::Whole(why) | Self::Type(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::Whole(why.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name.to_owned())
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Repeated(name.to_owned())
    }
}

/// The values of one name: one, unless the name was repeated.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    name: &'a str,
    group: &'a [&'a Pair<'a>],
}

impl<'a> Values<'a> {
    /// Takes the values of the first name off a list that is sorted by name.
    pub(super) fn first_of(sorted: &'a [&'a Pair<'a>]) -> Option<(Self, &'a [&'a Pair<'a>])> {
        let name: &str = &sorted.first()?.0;
        let (group, rest) = sorted.split_at(sorted.partition_point(|pair| *pair.0 <= *name));
        Some((Self { name, group }, rest))
    }

    /// The one value.
    fn text(self) -> Result<&'a str, Fault> {
        match self.group {
            [pair] => Ok(&pair.1),
            _ => Err(Fault::Repeated(self.name.to_owned())),
        }
    }

    fn parse<T: FromStr<Err: fmt::Display>>(self) -> Result<T, Fault> {
        let text = self.text()?;
        text.parse().map_err(|why: T::Err| Fault::Value {
            name: self.name.to_owned(),
            why: why.to_string(),
        })
    }
}

/// Methods of a deserializer that parse the text.
macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(self.parse()?)
        })*
    };
}

impl<'de> Deserializer<'de> for Values<'de> {
    type Error = Fault;

    parsed!(
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64 deserialize_char visit_char
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.group {
            [pair] => visitor.visit_borrowed_str(&pair.1),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    /// A checkbox without a value is sent as `on`.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.text()? {
            "true" | "on" | "1" => visitor.visit_bool(true),
            "false" | "off" | "0" => visitor.visit_bool(false),
            _ => Err(Fault::Whole(
                "has to be true, on or 1, or false, off or 0".to_owned(),
            )),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.text()?.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    /// A field of a form that was left empty is sent as an empty value.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.group {
            [pair] if pair.1.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(Named(self.text()?))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Each(self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit unit_struct map struct }
}

/// The values of a repeated name as a list.
struct Each<'a>(Values<'a>);

impl<'de> SeqAccess<'de> for Each<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((group, rest)) = self.0.group.split_at_checked(1) else {
            return Ok(None);
        };
        self.0.group = rest;
        let one = Values { group, ..self.0 };
        seed.deserialize(one).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.group.len())
    }
}

/// A list that is sorted by name, as a map or a struct.
pub(super) struct ByName<'a> {
    rest: &'a [&'a Pair<'a>],
    value: Option<Values<'a>>,
}

impl<'a> ByName<'a> {
    pub(super) fn new(sorted: &'a [&'a Pair<'a>]) -> Self {
        Self {
            rest: sorted,
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for ByName<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((value, rest)) = Values::first_of(self.rest) else {
            return Ok(None);
        };
        self.rest = rest;
        self.value = Some(value);
        let key = BorrowedStrDeserializer::new(value.name);
        seed.deserialize(key)
            .map(Some)
            .map_err(|fault: Fault| fault.within(value.name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(value) => value.read(seed),
            None => Err(Fault::Type("a value without a name".to_owned())),
        }
    }
}

impl<'a> Values<'a> {
    /// Reads the value; what goes wrong in there names it.
    pub(super) fn read<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
            .map_err(|fault| fault.within(self.name))
    }
}

/// A variant of an enum, by its name.
struct Named<'a>(&'a str);

impl<'de> EnumAccess<'de> for Named<'de> {
    type Error = Fault;
    type Variant = Unit;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Unit), Fault> {
        let name: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, Unit))
    }
}

/// Only variants without data can be written as text.
struct Unit;

impl<'de> VariantAccess<'de> for Unit {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fault> {
        Err(with_data())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(with_data())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(with_data())
    }
}

fn with_data() -> Fault {
    Fault::Type("a variant with data cannot be written as text".to_owned())
}
