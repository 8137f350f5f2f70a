//! The JSON Schema of a job file, for editors: what [`super::raw`] takes, with what each field means.
//!
//! It is written by hand, because the words that help people while they type are not those of the code. The tests below hold its fields
//! against those that serde knows; `tests/it/schema.rs` holds what it takes and refuses against [`super::build`].

use serde_json::Value;

/// The text of `schema/job.schema.json`, in draft 7, which is what TOML editors understand.
const SOURCE: &str = include_str!("../../schema/job.schema.json");

/// The schema as editors get it: every `$ref` replaced by what it stands for. Taplo, which most editors of TOML run, completes nothing in a
/// table that is only referred to.
pub fn job_schema() -> String {
    let whole: Value = serde_json::from_str(SOURCE).unwrap_or_default();
    let mut text = serde_json::to_string_pretty(&resolved(&whole, &whole)).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema does not refer to itself in a circle, so this comes to an end; a test calls it.
fn resolved(part: &Value, whole: &Value) -> Value {
    match part {
        Value::Object(object) => {
            if let Some(place) = object.get("$ref").and_then(Value::as_str) {
                return whole.pointer(place.trim_start_matches('#')).map_or(Value::Null, |target| resolved(target, whole));
            }
            let mut own = serde_json::Map::new();
            for (name, value) in object.iter().filter(|(name, _)| *name != "definitions") {
                let value = resolved(value, whole);
                match (name.as_str(), &value) {
                    // A lone `allOf` is how draft 7 sets a description beside a reference: what stands beside it wins.
                    ("allOf", Value::Array(parts)) if parts.len() == 1 => {
                        for (name, inner) in parts[0].as_object().into_iter().flatten() {
                            if !object.contains_key(name) {
                                own.insert(name.clone(), inner.clone());
                            }
                        }
                    }
                    _ => {
                        own.insert(name.clone(), value);
                    }
                }
            }
            Value::Object(own)
        }
        Value::Array(items) => items.iter().map(|item| resolved(item, whole)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::raw::RawJob;
    use super::{SOURCE, job_schema};

    /// Each table of the schema, and a job in which a field that nobody knows stands in that table.
    const TABLES: [(&str, &str); 16] = [
        ("", "'?' = 1"),
        ("/definitions/stream", "[[stream]]\n'?' = 1"),
        ("/definitions/defaults", "[defaults]\n'?' = 1"),
        ("/definitions/side/anyOf/1", "[[stream]]\noriginal = { path = 'a', '?' = 1 }"),
        ("/definitions/stream/properties/bounds", "[[stream]]\nbounds = { '?' = 1 }"),
        ("/definitions/stream/properties/sequence_bounds", "[[stream]]\nsequence_bounds = { '?' = 1 }"),
        ("/definitions/stream/properties/outage", "[[stream]]\noutage = { '?' = 1 }"),
        ("/definitions/continuity", "[[stream]]\ncontinuity = { '?' = 1 }"),
        ("/definitions/continuity/properties/calendar", "[[stream]]\ncontinuity = { calendar = { '?' = 1 } }"),
        ("/definitions/continuity/properties/maintenance/items", "[[stream]]\ncontinuity = { maintenance = [{ '?' = 1 }] }"),
        ("/definitions/continuity/properties/expect/anyOf/2", ""),
        ("/definitions/rule", "[[stream]]\n[[stream.rule]]\n'?' = 1"),
        ("/definitions/accept", "[[accept]]\n'?' = 1"),
        ("/definitions/tolerance/anyOf/1", "[[stream]]\ntolerance = { a = { '?' = 1 } }"),
        // Every name is a field of these: columns, and checks and rules.
        ("/definitions/stream/not", ""),
        ("/properties/severity", ""),
    ];

    /// The places at which a schema lists fields.
    fn tables(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(object) => {
                if object.contains_key("properties") && object["properties"].is_object() {
                    found.insert(at.to_string());
                }
                object.iter().for_each(|(name, value)| tables(value, &format!("{at}/{name}"), found));
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| tables(value, &format!("{at}/{index}"), found)),
            _ => {}
        }
    }

    #[test]
    fn it_has_the_fields_that_serde_knows_and_no_other() {
        let schema: Value = serde_json::from_str(SOURCE).unwrap();
        let mut listed = BTreeSet::new();
        tables(&schema, "", &mut listed);
        assert_eq!(listed, TABLES.iter().map(|(at, _)| (*at).to_string()).collect(), "a table of the schema has no line here");
        for (at, job) in TABLES.iter().filter(|(_, job)| !job.is_empty()) {
            let table = schema.pointer(at).unwrap();
            assert_eq!(table["additionalProperties"], false, "{at} takes unknown fields");
            // Serde names what it would have known.
            let message = toml::from_str::<RawJob>(job).unwrap_err().message().to_string();
            let mut known: BTreeSet<&str> = message.split('`').skip(1).step_by(2).collect();
            assert!(message.contains("unknown field") && known.remove("?"), "{at}: {message}");
            if *at == "/definitions/defaults" {
                assert!(known.remove("name"), "streams have names, their defaults do not");
            }
            let own: BTreeSet<&str> = table["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(own, known, "{at}");
        }
        assert!(toml::from_str::<RawJob>("[[stream]]\ncontinuity = { expect = { rows = 1 } }").is_ok());
        assert!(toml::from_str::<RawJob>("[[stream]]\ncontinuity = { expect = { rows = 1, '?' = 1 } }").is_err());
    }

    #[test]
    fn editors_get_it_without_references() {
        let text = job_schema();
        assert!(!text.contains("$ref") && !text.contains("definitions") && !text.contains("allOf") && !text.contains(": null"), "{text}");
        let schema: Value = serde_json::from_str(&text).unwrap();
        let stream = &schema["properties"]["stream"]["items"]["properties"];
        assert_eq!(stream["max_silence"]["description"], schema["properties"]["defaults"]["properties"]["max_silence"]["description"]);
        assert!(
            stream["max_silence"]["description"].as_str().unwrap().starts_with("Neighbouring rows")
                && stream["max_silence"]["pattern"].is_string()
        );
    }

    /// What an editor shows beside a field: every field has a sentence, its own or that of what it refers to.
    #[test]
    fn every_field_says_what_it_is() {
        let schema: Value = serde_json::from_str(SOURCE).unwrap();
        for (at, _) in TABLES.iter().filter(|(at, _)| !at.ends_with("/not")) {
            for (name, field) in schema.pointer(at).unwrap()["properties"].as_object().unwrap() {
                let field = field["$ref"].as_str().map_or(field, |place| schema.pointer(place.trim_start_matches('#')).unwrap());
                assert!(field["description"].as_str().is_some_and(|text| text.len() > 3), "{at}: {name}");
            }
        }
    }
}
