//! A MessagePack serializer that writes positions where others write names.
//!
//! `rmp-serde` sends the variant of an enum as a string: that makes small messages large, and a
//! renamed variant a change of the wire. Here structs are arrays, a unit variant is its index, a
//! variant with data is a map with one entry `{index: data}`, and bytes are `bin`. The deserializer
//! of `rmp-serde` reads all that, because identifiers derived by serde accept an index.
//!
//! `Some(())` and `Some(None)` look like `None`; no wire type has them. A collection must know its
//! length before it is written, as all ordinary ones do.

use std::{convert::Infallible, fmt};

use bytes::Bytes;
use rmp::encode::{self, ByteBuf, ValueWriteError};
use serde::ser::{self, Serialize};

use super::bulk;

/// A type that breaks the rules of this encoding.
#[derive(Debug)]
pub(super) struct Unencodable(String);

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unencodable {}

impl ser::Error for Unencodable {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl From<Infallible> for Unencodable {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<ValueWriteError<Infallible>> for Unencodable {
    fn from(error: ValueWriteError<Infallible>) -> Self {
        match error {
            ValueWriteError::InvalidMarkerWrite(never)
            | ValueWriteError::InvalidDataWrite(never) => match never {},
        }
    }
}

/// Writes values one after another into a buffer.
pub(super) struct Compact(ByteBuf, Option<Shared>);

/// Large pieces that are not copied, and how many bytes of the buffer stand before each.
type Shared = Vec<(usize, Bytes)>;

impl Compact {
    /// A serializer that writes behind these bytes.
    pub(super) fn onto(bytes: Vec<u8>) -> Self {
        Self(ByteBuf::from_vec(bytes), None)
    }

    /// A serializer that writes behind these bytes and pieces, and shares what is bulk.
    pub(super) fn sharing(bytes: Vec<u8>, shared: Shared) -> Self {
        Self(ByteBuf::from_vec(bytes), Some(shared))
    }

    /// What was written, where nothing is shared.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_vec()
    }

    /// What was written, and what is shared.
    pub(super) fn into_parts(self) -> (Vec<u8>, Shared) {
        (self.0.into_vec(), self.1.unwrap_or_default())
    }

    /// Shares the bytes that lie beside a slice, if this serializer does.
    fn share(&mut self) -> Option<Result<(), Unencodable>> {
        let shared = self.1.as_mut()?;
        let bytes = bulk::outgoing()?;
        let head = short(bytes.len())
            .and_then(|len| Ok(encode::write_bin_len(&mut self.0, len)?))
            .map(|_| ());
        shared.push((self.0.as_slice().len(), bytes));
        Some(head)
    }

    fn array(&mut self, len: usize) -> Result<&mut Self, Unencodable> {
        encode::write_array_len(&mut self.0, short(len)?)?;
        Ok(self)
    }

    /// Opens the one-entry map of a variant with data.
    fn variant(&mut self, index: u32) -> Result<&mut Self, Unencodable> {
        encode::write_map_len(&mut self.0, 1)?;
        encode::write_uint(&mut self.0, index.into())?;
        Ok(self)
    }
}

/// MessagePack counts in 32 bits.
fn short(len: usize) -> Result<u32, Unencodable> {
    u32::try_from(len).map_err(|_| Unencodable(format!("{len} entries are too many")))
}

/// A length, which must be known before the entries are.
fn known(len: Option<usize>) -> Result<usize, Unencodable> {
    len.ok_or_else(|| Unencodable("a collection without a known length".into()))
}

/// Methods of the serializer that write one scalar.
macro_rules! scalars {
    ($($method:ident($type:ty) => $write:ident),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), Unencodable> {
            encode::$write(&mut self.0, value.into())?;
            Ok(())
        })*
    };
}

impl<'a> ser::Serializer for &'a mut Compact {
    type Ok = ();
    type Error = Unencodable;
    type SerializeSeq = &'a mut Compact;
    type SerializeTuple = &'a mut Compact;
    type SerializeTupleStruct = &'a mut Compact;
    type SerializeTupleVariant = &'a mut Compact;
    type SerializeMap = &'a mut Compact;
    type SerializeStruct = &'a mut Compact;
    type SerializeStructVariant = &'a mut Compact;

    scalars! {
        serialize_bool(bool) => write_bool,
        serialize_i8(i8) => write_sint,
        serialize_i16(i16) => write_sint,
        serialize_i32(i32) => write_sint,
        serialize_i64(i64) => write_sint,
        serialize_u8(u8) => write_uint,
        serialize_u16(u16) => write_uint,
        serialize_u32(u32) => write_uint,
        serialize_u64(u64) => write_uint,
        serialize_f32(f32) => write_f32,
        serialize_f64(f64) => write_f64,
    }

    fn serialize_char(self, value: char) -> Result<(), Unencodable> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Unencodable> {
        short(value.len())?;
        Ok(encode::write_str(&mut self.0, value)?)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unencodable> {
        short(value.len())?;
        Ok(encode::write_bin(&mut self.0, value)?)
    }

    fn serialize_none(self) -> Result<(), Unencodable> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unencodable> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unencodable> {
        Ok(encode::write_nil(&mut self.0)?)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unencodable> {
        self.array(0).map(drop)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), Unencodable> {
        self.serialize_u32(index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unencodable> {
        let shared = if name == bulk::NAME { self.share() } else { None };
        shared.unwrap_or_else(|| value.serialize(self))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unencodable> {
        value.serialize(self.variant(index)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Unencodable> {
        self.array(known(len)?)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self, Unencodable> {
        self.array(len)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Self, Unencodable> {
        self.array(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        len: usize,
    ) -> Result<Self, Unencodable> {
        self.variant(index)?.array(len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, Unencodable> {
        encode::write_map_len(&mut self.0, short(known(len)?)?)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Self, Unencodable> {
        self.array(len)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        len: usize,
    ) -> Result<Self, Unencodable> {
        self.variant(index)?.array(len)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Entries of arrays: each is written where it stands, nothing is left to do at the end.
macro_rules! entries {
    ($($kind:ident . $method:ident),* $(,)?) => {
        $(impl ser::$kind for &mut Compact {
            type Ok = ();
            type Error = Unencodable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Unencodable> {
                Ok(())
            }
        })*
    };
}

entries! {
    SerializeSeq.serialize_element,
    SerializeTuple.serialize_element,
    SerializeTupleStruct.serialize_field,
    SerializeTupleVariant.serialize_field,
}

/// Fields of structs: their places, not their names. A skipped field would shift the others, so it
/// is refused.
macro_rules! fields {
    ($($kind:ident),* $(,)?) => {
        $(impl ser::$kind for &mut Compact {
            type Ok = ();
            type Error = Unencodable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), Unencodable> {
                value.serialize(&mut **self)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), Unencodable> {
                Err(Unencodable(format!("the field `{name}` is skipped")))
            }

            fn end(self) -> Result<(), Unencodable> {
                Ok(())
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for &mut Compact {
    type Ok = ();
    type Error = Unencodable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unencodable> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Unencodable> {
        Ok(())
    }
}
