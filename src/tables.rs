//! Values out of TOML.
//!
//! The parser is the `toml` crate's. Its own way from what is parsed to a type is not taken, by which the compiler
//! writes the reading of each type three times, since a value may also be wanted with its place, or be a date.

use std::{fmt, ops::Range};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess,
    SeqAccess, Visitor,
    value::{MapAccessDeserializer, StringDeserializer},
};
use serde::forward_to_deserialize_any;
use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue},
};

/// The key under which a date stands, as the `toml` crate takes it for one.
const DATE: &str = "$__toml_private_datetime";

/// What a text says.
///
/// # Errors
///
/// Where it has another form, and which, on one line.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let table = DeTable::parse(text)
        .map_err(|error| Fault { message: error.message().into(), place: error.span() });
    let value = table.and_then(|table| {
        let place = table.span();
        T::deserialize(Node { value: DeValue::Table(table.into_inner()), place })
    });
    value.map_err(|fault| fault.shown(text))
}

#[derive(Debug)]
struct Fault {
    message: String,
    /// The bytes of the text that it is about.
    place: Option<Range<usize>>,
}

impl Fault {
    /// With its place, if it has none.
    fn at(self, place: &Range<usize>) -> Self {
        Self { place: self.place.or_else(|| Some(place.clone())), ..self }
    }

    /// On one line.
    fn shown(&self, text: &str) -> String {
        // The table that is the fault's place may begin anywhere on its line.
        let at = self.place.as_ref().map_or(0, |place| text.floor_char_boundary(place.start));
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("line {line}, column {column}: {}", self.message.trim().replace('\n', "; "))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }
}

/// A value at its place.
struct Node<'text> {
    value: DeValue<'text>,
    place: Range<usize>,
}

impl<'text> From<Spanned<DeValue<'text>>> for Node<'text> {
    fn from(value: Spanned<DeValue<'text>>) -> Self {
        Self { place: value.span(), value: value.into_inner() }
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Self { value, place } = self;
        let result = match value {
            DeValue::String(text) => visitor.visit_string(text.into_owned()),
            DeValue::Boolean(value) => visitor.visit_bool(value),
            DeValue::Integer(number) => {
                let digits = number.as_str();
                match i64::from_str_radix(digits, number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => match u64::from_str_radix(digits, number.radix()) {
                        Ok(number) => visitor.visit_u64(number),
                        Err(_) => Err(Fault::custom("integer number overflowed")),
                    },
                }
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(value)
                    if value.is_finite()
                        || !number.as_str().contains(|c: char| c.is_ascii_digit()) =>
                {
                    visitor.visit_f64(value)
                }
                _ => Err(Fault::custom("floating-point number overflowed")),
            },
            DeValue::Datetime(date) => {
                let key = Spanned::new(place.clone(), DeString::from(DATE));
                let date = DeValue::String(date.to_string().into());
                let table = [(key, Spanned::new(place.clone(), date))].into_iter().collect();
                visitor.visit_map(Entries::of(table))
            }
            DeValue::Array(array) => visitor.visit_seq(Items(array.into_iter())),
            DeValue::Table(table) => visitor.visit_map(Entries::of(table)),
        };
        result.map_err(|fault| fault.at(&place))
    }

    // That a value is there is said by its key.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
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
        let result = match self.value {
            DeValue::String(text) => visitor.visit_enum(text.into_owned().into_deserializer()),
            DeValue::Table(table) if table.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::of(table)))
            }
            DeValue::Table(_) => Err(Fault::custom("wanted a table of one key")),
            _ => Err(Fault::custom("wanted string or table")),
        };
        result.map_err(|fault: Fault| fault.at(&self.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The items of an array.
struct Items<'text>(<DeArray<'text> as IntoIterator>::IntoIter);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.0.next().map(|item| seed.deserialize(Node::from(item))).transpose()
    }
}

/// The keys and values of a table.
struct Entries<'text> {
    left: <DeTable<'text> as IntoIterator>::IntoIter,
    value: Option<Node<'text>>,
}

impl<'text> Entries<'text> {
    fn of(table: DeTable<'text>) -> Self {
        Self { left: table.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value.into());
        let place = key.span();
        let text: StringDeserializer<Fault> = key.into_inner().into_owned().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|fault| fault.at(&place))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let value = self.value.take().ok_or_else(|| Fault::custom("a value without a key"))?;
        seed.deserialize(value)
    }
}

#[cfg(test)]
mod tests;
