//! The merged table as types, and what serde says about a wrong one in words for people.

use serde::de::DeserializeOwned;

use super::ConfigError;
use super::layers::Layers;

/// Reads the merged layers.
///
/// # Errors
/// With the full key, where it was set, and what was expected. Values are never repeated: one may be a secret in the
/// wrong place.
pub fn typed<T: DeserializeOwned>(layers: &Layers) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(layers.merged()).map_err(|error| {
        let path = error.path().to_string();
        let key = path.split('[').next().unwrap_or(&path);
        let message = error.inner().message();
        let source = layers.source_of(key).map(|source| format!(" (in {source})")).unwrap_or_default();
        ConfigError(vec![match unknown_field(key, message) {
            Some(hint) => format!("{key}{source}: there is no such key{hint}"),
            None => format!("{path}{source}: {}", in_words(message)),
        }])
    })
}

/// serde says "unknown field `ur`, expected one of `url`, `timeout`"; the nearest of them is the hint.
fn unknown_field(key: &str, message: &str) -> Option<String> {
    let (_, known) = message.strip_prefix("unknown field ")?.split_once(", expected")?;
    let (section, name) = key.rsplit_once('.').map_or(("", key), |(section, name)| (section, name));
    let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let nearest = names.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))?;
    let dot = if section.is_empty() { "" } else { "." };
    if strsim::jaro_winkler(nearest, name) > 0.7 {
        return Some(format!("; did you mean {section}{dot}{nearest}?"));
    }
    Some(format!("; known are {}", names.join(", ")))
}

/// serde says "invalid type: string \"five\", expected usize".
fn in_words(message: &str) -> String {
    let message = message.lines().next().unwrap_or(message);
    let Some((found, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let Some((_, found)) = found.split_once(": ") else { return message.to_owned() };
    let expected = match expected {
        "usize" | "u16" | "u32" | "u64" => "a whole number, not negative",
        "a string" => "a text in quotes",
        "a sequence" => "a list, for example [\"…\"]",
        other if other.starts_with("struct") || other == "a map" => "a section with keys",
        other => other,
    };
    let found = found.split([' ', '(']).next().unwrap_or(found);
    format!("expected {expected}, found {} {found}", if found.starts_with(['a', 'i']) { "an" } else { "a" })
}
