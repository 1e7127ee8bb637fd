//! Errors of the configuration, and serde's messages in plain words.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use toml::Table;

use super::layers::Layers;

/// All problems of a configuration, one per line.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ConfigError(pub Vec<ConfigProblem>);

/// One problem of a configuration. No text repeats a value that may be a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// A key is unknown, missing, or has a wrong value; or two keys exclude each other.
    #[error("{place}: {message}")]
    Key {
        /// The key or keys, with their source or value if that helps.
        place: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// The configuration file cannot be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line of the mistake.
        line: usize,
        /// The mistake.
        message: String,
    },
    /// An environment variable is almost a key.
    #[error(
        "the environment variable {name} is not used: the levels of a key are separated by two \
         underscores; did you mean {meant}?"
    )]
    Variable {
        /// The variable.
        name: String,
        /// The variable for the key that is probably meant.
        meant: String,
    },
    /// The values in force cannot be shown.
    #[error("the configuration cannot be written as TOML: {0}")]
    Show(#[from] toml::ser::Error),
}

impl ConfigProblem {
    /// A problem of the key or keys at `place`.
    pub fn new(place: impl Display, message: impl Display) -> ConfigProblem {
        ConfigProblem::Key { place: place.to_string(), message: message.to_string() }
    }
}

impl From<ConfigProblem> for ConfigError {
    fn from(problem: ConfigProblem) -> ConfigError {
        ConfigError(vec![problem])
    }
}

/// A value needs a part that this build does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build of autoreceive has no {part}; build it with --features {feature}, or use the full \
     build"
)]
pub struct MissingFeature {
    /// The part, for example "Redis store".
    pub part: String,
    /// The feature that adds it.
    pub feature: &'static str,
}

fn lines(problems: &[ConfigProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads the merged table of `section`. The error of an unknown key says that it is not a key `of`
/// this section; `also` lists keys that are valid but read elsewhere.
///
/// # Errors
/// With the full key, its source, and what is expected. Values are not repeated: one may be a
/// secret in the wrong place.
pub fn typed<T: DeserializeOwned>(
    table: Table,
    section: &str,
    layers: &Layers,
    of: &str,
    also: &[&str],
) -> Result<T, ConfigProblem> {
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
        let missing =
            message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        if let Some(missing) = missing {
            return ConfigProblem::new(format_args!("{path}.{missing}"), "is missing");
        }
        match unknown_field(key, message, also) {
            Some(hint) => ConfigProblem::new(
                format_args!("{key}{source}"),
                format_args!("unknown key{of}; {hint}"),
            ),
            None => ConfigProblem::new(format_args!("{path}{source}"), in_words(message)),
        }
    })
}

/// serde says "unknown field `ur`, expected one of `url`, `timeout`"; the hint is the most similar
/// of them, or all.
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
        return Some(format!("did you mean {section}{dot}{nearest}?"));
    }
    Some(format!("expected one of {}", names.join(", ")))
}

/// serde says "invalid type: string \"five\", expected usize".
fn in_words(message: &str) -> String {
    let message = message.lines().next().unwrap_or(message);
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let Some((_, found)) = found.split_once(": ") else { return message.to_owned() };
    let expected = match expected {
        "usize" | "u16" | "u32" | "u64" => "a whole number, 0 or more",
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
