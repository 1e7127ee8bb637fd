//! Defaults, file, environment, flags: each a table laid over the ones before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{ConfigError, DEFAULT_FILE, variables};

/// Looked for in the current directory where no file is named.
pub const LOCAL_FILE: &str = "autoreceive.toml";

/// Where a configuration is taken from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file named on the command line.
    pub file: Option<PathBuf>,
    /// The directory in which `autoreceive.toml` is looked for where no file is named.
    pub directory: PathBuf,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Flags: the flag, its key, its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// The process's own directory and environment, with the file and the flags of its command
    /// line.
    #[must_use]
    pub fn of_process(
        file: Option<PathBuf>,
        flags: Vec<(&'static str, &'static str, String)>,
    ) -> Sources {
        // A variable that is not Unicode cannot be one of ours.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Sources { file, directory: PathBuf::new(), env, flags }
    }
}

/// The layers, the first one the weakest, and what is odd about the environment but does no harm.
pub struct Layers {
    layers: Vec<Layer>,
    pub warnings: Vec<String>,
}

struct Layer {
    name: String,
    table: Table,
}

impl Layers {
    /// All layers as one table.
    pub fn merged(&self) -> Table {
        self.layers.iter().fold(Table::new(), |mut merged, layer| {
            lay_over(&mut merged, &layer.table);
            merged
        })
    }

    /// What was laid over the defaults.
    pub fn names(&self) -> Vec<String> {
        self.layers.iter().skip(1).map(|layer| layer.name.clone()).collect()
    }

    /// The layer that has the last word about a key.
    pub fn source_of(&self, key: &str) -> Option<&str> {
        self.layers
            .iter()
            .rev()
            .find(|layer| has(&layer.table, key))
            .map(|layer| layer.name.as_str())
    }
}

/// Reads every layer.
pub fn read(sources: &Sources) -> Result<Layers, ConfigError> {
    let mut layers = vec![Layer {
        name: "the defaults".to_owned(),
        table: parse("the defaults", DEFAULT_FILE)?,
    }];
    layers.extend(file(sources)?);
    for (name, value) in &sources.env {
        layers.extend(
            variables::key(name)
                .map(|key| Layer { name: name.clone(), table: nested(&key, "__", typed(value)) }),
        );
    }
    for (flag, key, value) in &sources.flags {
        layers.push(Layer { name: (*flag).to_owned(), table: nested(key, ".", typed(value)) });
    }
    let mut layers = Layers { layers, warnings: Vec::new() };
    layers.warnings = variables::strays(&sources.env, &layers)?;
    Ok(layers)
}

fn file(sources: &Sources) -> Result<Option<Layer>, ConfigError> {
    let local = sources.directory.join(LOCAL_FILE);
    let (path, name) = match &sources.file {
        Some(path) => (path.as_path(), path.display().to_string()),
        None if local.exists() => {
            (local.as_path(), format!("{LOCAL_FILE} in the current directory"))
        }
        None => return Ok(None),
    };
    let table = parse(&name, &text_of(path)?)?;
    Ok(Some(Layer { name, table }))
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        ConfigError(vec![format!("the configuration {} cannot be read: {error}", path.display())])
    })
}

/// The error names the line, but does not quote it: it could be the one with the secret.
fn parse(name: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let message = error.message().lines().next().unwrap_or("not TOML");
        let twice = (message == "duplicate key")
            .then(|| section_twice(text.lines().nth(line - 1)?))
            .flatten();
        ConfigError(vec![format!(
            "{name}, line {line}: {}",
            twice.unwrap_or_else(|| message.to_owned())
        )])
    })
}

/// What to say where `line` begins a section that there is already. The names of sections are no
/// secrets.
fn section_twice(line: &str) -> Option<String> {
    let section = line.trim().strip_prefix('[')?.split(']').next()?;
    let other = if section.starts_with("tokens.") {
        ", for example with `autoreceive token new --name`"
    } else {
        ""
    };
    Some(format!(
        "[{section}] is there twice; give one of them another name{other}, or take it out"
    ))
}

/// A number, a truth value or a list in TOML's words; everything else is a text.
fn typed(text: &str) -> Value {
    match text.trim().parse::<Value>() {
        Ok(
            value @ (Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Array(_)
            | Value::String(_)),
        ) => value,
        _ => Value::String(text.to_owned()),
    }
}

fn nested(path: &str, separator: &str, value: Value) -> Table {
    let value = path
        .rsplit(separator)
        .fold(value, |value, key| Value::Table(Table::from_iter([(key.to_owned(), value)])));
    match value {
        Value::Table(table) => table,
        // A path has one part at least.
        _ => Table::new(),
    }
}

fn lay_over(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

fn has(table: &Table, key: &str) -> bool {
    let Some((section, rest)) = key.split_once('.') else { return table.contains_key(key) };
    table.get(section).and_then(Value::as_table).is_some_and(|table| has(table, rest))
}
