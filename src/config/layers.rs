//! Defaults, file, environment, flags: each is a table that overrides the ones before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{ConfigError, ConfigProblem, DEFAULT_FILE, variables};

/// The configuration file in the current directory, read if the command line names no file.
pub const LOCAL_FILE: &str = "autoreceive.toml";

/// The sources of a configuration.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file named on the command line.
    pub file: Option<PathBuf>,
    /// The directory of `autoreceive.toml`, if no file is named.
    pub directory: PathBuf,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Each flag with its key and value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// This process's directory and environment, with the file and flags of its command line.
    #[must_use]
    pub fn of_process(
        file: Option<PathBuf>,
        flags: Vec<(&'static str, &'static str, String)>,
    ) -> Sources {
        // All variables of the program are Unicode, so others can be skipped.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Sources { file, directory: PathBuf::new(), env, flags }
    }
}

/// The layers, the weakest first, and warnings about the environment.
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
        let mut merged = Table::new();
        for layer in &self.layers {
            lay_over(&mut merged, &layer.table);
        }
        merged
    }

    /// Names of the layers over the defaults.
    pub fn names(&self) -> Vec<String> {
        self.layers.iter().skip(1).map(|layer| layer.name.clone()).collect()
    }

    /// The strongest layer that sets a key.
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
    let table = parse(&name, &read_file(path)?)?;
    Ok(Some(Layer { name, table }))
}

fn read_file(path: &Path) -> Result<String, ConfigProblem> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigProblem::File { path: path.to_owned(), source })
}

/// The error has the number of the line, but not its text, which may contain a secret.
fn parse(name: &str, text: &str) -> Result<Table, ConfigProblem> {
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let message = error.message().lines().next().unwrap_or("not TOML");
        let twice = (message == "duplicate key")
            .then(|| section_twice(text.lines().nth(line - 1)?))
            .flatten();
        ConfigProblem::Syntax {
            file: name.to_owned(),
            line,
            message: twice.unwrap_or_else(|| message.to_owned()),
        }
    })
}

/// The message if `line` starts a section that was defined before. Section names are not secret.
fn section_twice(line: &str) -> Option<String> {
    let section = line.trim().strip_prefix('[')?.split(']').next()?;
    let other = if section.starts_with("tokens.") {
        ", for example with `autoreceive token new --name`"
    } else {
        ""
    };
    Some(format!("[{section}] is defined twice; rename one of them{other}, or remove it"))
}

/// A TOML number, boolean, list or text in quotes; any other value is a text.
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
        // A path has at least one part.
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
