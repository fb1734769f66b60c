//! Path parameters as serde reads them: one value, a tuple, or a struct.

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::values::{ByName, Fault, Pair, Values};

/// All parameters of a path, in its order.
#[derive(Clone, Copy)]
pub(super) struct Params<'a> {
    pub(super) in_order: &'a [&'a Pair<'a>],
    pub(super) sorted: &'a [&'a Pair<'a>],
}

impl<'a> Params<'a> {
    /// The one parameter, where a type takes just one.
    fn only<T>(self, read: impl FnOnce(Values<'a>) -> Result<T, Fault>) -> Result<T, Fault> {
        match (self.in_order, Values::first_of(self.in_order)) {
            ([(name, _)], Some((value, _))) => read(value).map_err(|fault| fault.within(name)),
            _ => Err(Fault::Type(format!(
                "one parameter is expected, the route has {}",
                self.in_order.len()
            ))),
        }
    }
}

/// Methods of a deserializer that are those of the one parameter.
macro_rules! of_the_only {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.only(|value| value.$method(visitor))
        })*
    };
}

impl<'de> Deserializer<'de> for Params<'de> {
    type Error = Fault;

    of_the_only!(
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_option deserialize_identifier
    );

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.in_order {
            [_] => self.only(|value| value.deserialize_any(visitor)),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(InOrder(self.in_order))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        if len != self.in_order.len() {
            let have = self.in_order.len();
            return Err(Fault::Type(format!(
                "{len} parameters are expected, the route has {have}"
            )));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(ByName::new(self.sorted))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.only(|value| value.deserialize_enum(name, variants, visitor))
    }
}

/// The parameters one by one; names of a route differ, so each is a group of its own.
struct InOrder<'a>(&'a [&'a Pair<'a>]);

impl<'de> SeqAccess<'de> for InOrder<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((one, rest)) = self.0.split_at_checked(1) else {
            return Ok(None);
        };
        self.0 = rest;
        match Values::first_of(one) {
            Some((value, _)) => value.read(seed).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
