//! What the fields of JSON objects hold, from all of them: a sample would miss the integer that no float can hold.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Read};

use arrow::datatypes::DataType;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The kinds of value that a field was seen with.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    integers: u64,
    floats: u64,
    strings: u64,
    booleans: u64,
    nested: u64,
    largest: u128,
    negative: bool,
    /// Digits before and behind the point, over all numbers without an exponent.
    whole_digits: usize,
    fraction_digits: usize,
    exponent: bool,
    /// A number that no double holds.
    beyond: bool,
}

/// Fields in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) order: Vec<String>,
    pub(super) fields: BTreeMap<String, Field>,
}

/// How a field is scanned.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scanned {
    /// As this type, decoded from the JSON text.
    As(DataType),
    /// As text, to be guessed further.
    Text,
    /// An object or a list: the query engine's own inference.
    Nested,
}

impl Field {
    /// The type that holds every value exactly, or what speaks against one.
    pub(super) fn scanned(&self) -> Result<Scanned, String> {
        let numbers = self.integers + self.floats;
        let kinds = [numbers > 0, self.strings > 0, self.booleans > 0, self.nested > 0].iter().filter(|seen| **seen).count();
        if kinds > 1 {
            let mut seen = Vec::new();
            for (count, word) in
                [(numbers, "numbers"), (self.strings, "strings"), (self.booleans, "booleans"), (self.nested, "objects or lists")]
            {
                if count > 0 {
                    seen.push(word);
                }
            }
            return Err(format!("holds {}", seen.join(" and ")));
        }
        if self.nested > 0 {
            return Ok(Scanned::Nested);
        }
        if self.booleans > 0 {
            return Ok(Scanned::As(DataType::Boolean));
        }
        if numbers == 0 {
            return Ok(Scanned::Text);
        }
        if self.floats == 0 {
            return Ok(Scanned::As(if self.largest <= i64::MAX as u128 {
                DataType::Int64
            } else if !self.negative && self.largest <= u128::from(u64::MAX) {
                DataType::UInt64
            } else {
                DataType::Decimal128(38, 0)
            }));
        }
        // JSON does not say that its numbers are doubles, and two that differ in their digits may be one double: as
        // decimals they stay what they are. Only an exponent, or more digits than a decimal has, leaves doubles.
        if !self.exponent && self.whole_digits + self.fraction_digits <= 38 {
            return Ok(Scanned::As(DataType::Decimal128(38, i8::try_from(self.fraction_digits).unwrap_or(0))));
        }
        if self.beyond {
            return Err("holds a number beyond the range of a double".to_string());
        }
        Ok(Scanned::As(DataType::Float64))
    }

    fn look(&mut self, raw: &str) {
        match raw.as_bytes().first() {
            Some(b'"') => self.strings += 1,
            Some(b'{' | b'[') => self.nested += 1,
            Some(b't' | b'f') => self.booleans += 1,
            Some(b'n') | None => {}
            Some(_) => {
                let digits = raw.strip_prefix('-').unwrap_or(raw);
                self.negative |= digits.len() < raw.len();
                self.exponent |= digits.contains(['e', 'E']);
                self.beyond |= digits.parse::<f64>().is_ok_and(f64::is_infinite);
                let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
                let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
                self.whole_digits = self.whole_digits.max(whole.len());
                self.fraction_digits = self.fraction_digits.max(fraction.len());
                if mantissa.len() == digits.len() && fraction.is_empty() && !mantissa.contains('.') {
                    self.integers += 1;
                    self.largest = self.largest.max(whole.parse().unwrap_or(u128::MAX));
                } else {
                    self.floats += 1;
                }
            }
        }
    }
}

/// True when the first value of the text is an array.
pub(super) fn starts_with_array(reader: impl Read) -> std::io::Result<bool> {
    for byte in BufReader::new(reader).bytes() {
        let byte = byte?;
        // A byte order mark and white space come before.
        if !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf) {
            return Ok(byte == b'[');
        }
    }
    Ok(false)
}

impl Fields {
    /// Looks at every object of a stream of objects, or of one array of objects.
    pub(super) fn look(&mut self, reader: impl Read, array: bool) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 16, reader));
        if array {
            deserializer.deserialize_seq(Objects(self))?;
            return deserializer.end();
        }
        // The iterator tells the end of the text from an end inside an object.
        for (number, object) in deserializer.into_iter::<Box<RawValue>>().enumerate() {
            let object = object?;
            Object(self)
                .deserialize(&mut serde_json::Deserializer::from_str(object.get()))
                .map_err(|e| serde::de::Error::custom(format!("object {}: {e}", number + 1)))?;
        }
        Ok(())
    }
}

struct Objects<'a>(&'a mut Fields);

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Object(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Object<'a>(&'a mut Fields);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(serde::de::Error::custom(format!("the field '{name}' comes twice in one object")));
            }
            if !self.0.fields.contains_key(&name) {
                self.0.order.push(name.clone());
                self.0.fields.insert(name.clone(), Field::default());
            }
            match self.0.fields.get_mut(&name) {
                Some(field) => {
                    let value: Box<RawValue> = entries.next_value()?;
                    field.look(value.get());
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
            seen.push(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str, name: &str) -> Result<Scanned, String> {
        let mut fields = Fields::default();
        let array = starts_with_array(text.as_bytes()).unwrap();
        fields.look(text.as_bytes(), array).unwrap();
        fields.fields[name].scanned()
    }

    #[test]
    fn integers_beyond_a_float_stay_exact() {
        assert_eq!(scanned("{\"a\":9007199254740993}\n{\"a\":1}", "a"), Ok(Scanned::As(DataType::Int64)));
        assert_eq!(scanned("[{\"a\":18446744073709551615}]", "a"), Ok(Scanned::As(DataType::UInt64)));
        assert_eq!(scanned("{\"a\":9007199254740993}{\"a\":0.5}", "a"), Ok(Scanned::As(DataType::Decimal128(38, 1))));
        assert_eq!(scanned("{\"a\":0.30000000000000004}", "a"), Ok(Scanned::As(DataType::Decimal128(38, 17))));
        assert_eq!(scanned("{\"a\":1234567890123456.1}", "a"), Ok(Scanned::As(DataType::Decimal128(38, 1))));
        assert_eq!(scanned("{\"a\":1e-7}", "a"), Ok(Scanned::As(DataType::Float64)));
        assert!(scanned("{\"a\":1}{\"a\":\"x\"}", "a").is_err());
    }

    #[test]
    fn broken_text_is_an_error() {
        for text in ["{\"a\":1", "{\"a\":1}\n{\"a\":", "[1]", "{\"a\":1,\"a\":2}", "[{\"a\":1}", "{\"a\":1} x"] {
            let array = starts_with_array(text.as_bytes()).unwrap();
            assert!(Fields::default().look(text.as_bytes(), array).is_err(), "{text}");
        }
        assert!(Fields::default().look("\n".as_bytes(), false).is_ok());
    }
}
