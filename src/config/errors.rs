//! The merged table as types, and what serde says about a wrong one in words for people.

use serde::de::DeserializeOwned;
use toml::Table;

use super::layers::Layers;

/// Reads the table that the layers have merged at `section`. What does not belong there is said to
/// be no key `of` it; `also` are keys that do, but are read elsewhere.
///
/// # Errors
/// With the full key, where it was set, and what was expected. Values are never repeated: one may
/// be a secret in the wrong place.
pub fn typed<T: DeserializeOwned>(
    table: Table,
    section: &str,
    layers: &Layers,
    of: &str,
    also: &[&str],
) -> Result<T, String> {
    serde_path_to_error::deserialize(table).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." if !section.is_empty() => section.to_owned(),
            path if section.is_empty() => path.to_owned(),
            path => format!("{section}.{path}"),
        };
        let key = path.split('[').next().unwrap_or(&path);
        let message = error.inner().message();
        let source =
            layers.source_of(key).map(|source| format!(" (in {source})")).unwrap_or_default();
        if let Some(missing) =
            message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'))
        {
            return format!("{path}.{missing}: is missing");
        }
        match unknown_field(key, message, also) {
            Some(hint) => format!("{key}{source}: there is no such key{of}{hint}"),
            None => format!("{path}{source}: {}", in_words(message)),
        }
    })
}

/// serde says "unknown field `ur`, expected one of `url`, `timeout`"; the nearest of them is the
/// hint.
fn unknown_field(key: &str, message: &str, also: &[&str]) -> Option<String> {
    let (_, known) = message.strip_prefix("unknown field ")?.split_once(", ")?;
    let (section, name) = key.rsplit_once('.').map_or(("", key), |(section, name)| (section, name));
    let names: Vec<&str> =
        known.split('`').skip(1).step_by(2).chain(also.iter().copied()).collect();
    let nearest = names
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))?;
    let dot = if section.is_empty() { "" } else { "." };
    if strsim::jaro_winkler(nearest, name) > 0.7 {
        return Some(format!("; did you mean {section}{dot}{nearest}?"));
    }
    Some(format!("; known are {}", names.join(", ")))
}

/// serde says "invalid type: string \"five\", expected usize".
fn in_words(message: &str) -> String {
    let message = message.lines().next().unwrap_or(message);
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let Some((_, found)) = found.split_once(": ") else { return message.to_owned() };
    let expected = match expected {
        "usize" | "u16" | "u32" | "u64" => "a whole number, not negative",
        "a string" => "a text in quotes",
        "a sequence" => "a list, for example [\"…\"]",
        other if other.starts_with("struct") || other == "a map" => "a section with keys",
        other => other,
    };
    let found = found.split([' ', '(']).next().unwrap_or(found);
    format!(
        "expected {expected}, found {} {found}",
        if found.starts_with(['a', 'i']) { "an" } else { "a" }
    )
}
