//! Invents values of any type that can be decoded: numbers that are small or extreme, byte strings
//! of the lengths that mean something here, every variant.

use bytes::Bytes;
use maftia_core::{protocol::Data, wire};
use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
        value::{Error, U32Deserializer},
    },
    forward_to_deserialize_any,
};

use super::mutate::Dice;

/// Values that are tried, because some types take only some bytes.
const TRIES: u64 = 200;

/// Values inside values.
const DEPTH: usize = 12;

/// The encoding of an invented value.
pub(crate) fn invent<T: Data>(seed: u64) -> Option<Bytes> {
    (0..TRIES).find_map(|attempt| {
        let dice = Dice::new(seed.wrapping_mul(TRIES).wrapping_add(attempt));
        let value = T::deserialize(&mut Inventor { dice, depth: 0 }).ok()?;
        Some(wire::encode(&value))
    })
}

/// A number that is small, or at a border of something.
fn number(dice: &mut Dice) -> u64 {
    match dice.roll(8) {
        0 => u64::MAX >> dice.roll(64),
        1 => 1 << dice.roll(64),
        2 => dice.roll(1 << 16) as u64,
        _ => dice.roll(5) as u64,
    }
}

struct Inventor {
    dice: Dice,
    depth: usize,
}

impl Inventor {
    fn bytes(&mut self) -> Vec<u8> {
        let lengths = [32, 32, 32, 32, 16, 16, 64, 33, 0, 5, 48, 96, 200, 600];
        let length = lengths[self.dice.roll(lengths.len())];
        (0..length).map(|_| self.dice.roll(256) as u8).collect()
    }

    fn text(&mut self) -> String {
        (0..=self.dice.roll(9)).map(|_| char::from(b'a' + self.dice.roll(26) as u8)).collect()
    }

    fn count(&mut self) -> usize {
        if self.depth > DEPTH { 0 } else { self.dice.roll(5) }
    }
}

/// Numbers of each width.
macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty,)*) => {
        $(#[allow(clippy::cast_possible_wrap, reason = "any number will do")]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(number(&mut self.dice) as $type)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Inventor {
    type Error = Error;

    numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
    }

    /// Whoever does not say what it wants gets a number: identifiers, and what is passed over.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(number(&mut self.dice))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.dice.roll(2) == 0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_char('x')
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.depth > DEPTH || self.dice.roll(2) == 0 {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.count();
        visitor.visit_seq(Parts { inventor: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { inventor: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { inventor: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.count();
        visitor.visit_map(Parts { inventor: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { inventor: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(Parts { inventor: self, left: variants.len() })
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! { f32 f64 identifier ignored_any }
}

/// The parts of a value that has some, or its variants.
struct Parts<'a> {
    inventor: &'a mut Inventor,
    left: usize,
}

impl Parts<'_> {
    fn part<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.inventor.depth += 1;
        let part = seed.deserialize(&mut *self.inventor);
        self.inventor.depth -= 1;
        part
    }

    fn next<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.part(seed).map(Some)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.next(seed)
    }
}

impl<'de> MapAccess<'de> for Parts<'_> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.next(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.part(seed)
    }
}

impl<'de> EnumAccess<'de> for Parts<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), Error> {
        let variant = self.inventor.dice.roll(self.left.max(1)) as u32;
        let chosen = seed.deserialize(U32Deserializer::<Error>::new(variant))?;
        Ok((chosen, self))
    }
}

impl<'de> VariantAccess<'de> for Parts<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Error> {
        self.part(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { left, ..self })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { left: fields.len(), ..self })
    }
}
