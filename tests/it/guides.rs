//! The documents match the program: every key, every error, every recipe, every printed line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use autoreceive::config::{Config, DEFAULT_FILE, Sources};
use autoreceive::domain::decide::Code;
use toml::{Table, Value};

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The texts in backticks at the start of table rows.
fn first_cells(document: &str) -> Vec<String> {
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    document.lines().filter_map(cell).collect()
}

fn once(names: Vec<String>) -> BTreeSet<String> {
    let set: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(set.len(), names.len(), "something is described twice: {names:?}");
    set
}

/// Every key of the default file, commented-out ones too.
fn every_key() -> BTreeMap<String, Value> {
    let is_key = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
    };
    let commented = |line: &str| {
        line.strip_prefix("# ").is_some_and(|rest| rest.starts_with('[') || is_key(rest))
    };
    let line = |line: &'static str| if commented(line) { &line[2..] } else { line };
    let text: Vec<&str> = DEFAULT_FILE.lines().map(line).collect();
    let mut keys = BTreeMap::new();
    flatten("", &text.join("\n").parse::<Table>().unwrap(), &mut keys);
    keys
}

fn flatten(path: &str, table: &Table, keys: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(table) => flatten(&path, table, keys),
            value => drop(keys.insert(path, value.clone())),
        }
    }
}

#[test]
fn the_configuration_document_has_exactly_the_existing_keys() {
    let name = |key: &str| match key.split('.').collect::<Vec<_>>()[..] {
        ["policies", _, rest] => format!("policies.NAME.{rest}"),
        ["actions", _, "points", rest] => format!("actions.NAME.points.{rest}"),
        // The entries of a user's table, such as `headers`, are not keys.
        ["actions", _, rest, ..] => format!("actions.NAME.{rest}"),
        ["tokens", _, rest] => format!("tokens.NAME.{rest}"),
        _ => key.to_owned(),
    };
    let expected: BTreeSet<String> = every_key().keys().map(|key| name(key)).collect();
    assert!(
        expected.contains("store.url")
            && expected.contains("policies.NAME.pay_within")
            && expected.contains("actions.NAME.secret_env")
    );
    assert_eq!(once(first_cells(&document("docs/configuration.md"))), expected);
}

#[test]
fn the_configuration_document_has_the_actual_defaults() {
    let set = DEFAULT_FILE.parse::<Table>().unwrap();
    let mut defaults = BTreeMap::new();
    flatten("", &set, &mut defaults);
    let text = document("docs/configuration.md");
    for (key, value) in defaults {
        let key = key.replace("policies.default.", "policies.NAME.");
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{key}` |")))
            .unwrap_or_else(|| panic!("{key} has no row"));
        assert!(row.contains(&format!("| `{value}` |")), "{key} is {value} by default, but: {row}");
    }
}

/// The codes of the HTTP API that are not in the domain, from its source.
fn http_codes() -> BTreeSet<String> {
    let source = document("src/http/problem.rs");
    let words = source.split('"').skip(1).step_by(2);
    let is_code =
        |word: &&str| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    // Field names are not codes.
    let others = ["cursor", "advance", "policy"];
    words
        .filter(is_code)
        .filter(|word| !others.contains(word))
        .map(str::to_owned)
        .chain(["invalid".to_owned()])
        .collect()
}

#[test]
fn the_errors_document_has_exactly_the_existing_codes() {
    let http = http_codes();
    assert!(
        ["store_unavailable", "overloaded", "malformed", "not_found"]
            .iter()
            .all(|code| http.contains(*code)),
        "{http:?}"
    );
    let expected: BTreeSet<String> =
        Code::ALL.iter().map(|code| code.as_str().to_owned()).chain(http).collect();
    let results = ["changed", "unchanged", "rejected", "invalid", "unavailable"];
    let text = document("docs/errors.md");
    let (codes, lines) = text.split_once("## Results of lines").unwrap();
    assert_eq!(once(first_cells(codes)), expected);
    assert_eq!(once(first_cells(lines)), results.map(str::to_owned).into());
}

#[test]
fn the_errors_document_says_what_to_do_for_every_code() {
    for line in document("docs/errors.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{line}");
    }
}

/// The TOML of a document's blocks.
fn recipes(document: &str) -> Vec<String> {
    let blocks = document.split("```toml\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

#[test]
fn every_recipe_is_a_valid_configuration_alone_and_together() {
    let recipes = recipes(&document("docs/policies.md"));
    assert!(recipes.len() >= 7, "{}", recipes.len());
    let load = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("autoreceive.toml"), text).unwrap();
        let sources = Sources {
            file: None,
            directory: PathBuf::from(directory.path()),
            env: BTreeMap::new(),
            flags: Vec::new(),
        };
        Config::load(&sources).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    for recipe in &recipes {
        assert!(load(recipe).policies.len() > 1, "{recipe}");
    }
    assert!(load(&recipes.join("\n")).policies.len() > recipes.len());
}

#[test]
fn the_configurations_in_the_readmes_and_examples_are_valid() {
    let secret = autoreceive::action::webhook::SigningSecret::fresh();
    let env = BTreeMap::from([
        ("SHOP_WEBHOOK_SECRET".to_owned(), secret.clone()),
        ("AUTORECEIVE_WEBHOOK_SECRET".to_owned(), secret),
    ]);
    let readmes = ["README.md", "README.ko.md"].map(|name| recipes(&document(name)).join("\n"));
    assert!(readmes.iter().all(|text| text.contains("[actions.")));
    for text in readmes.into_iter().chain([document("examples/shop.toml")]) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("autoreceive.toml"), &text).unwrap();
        let sources = Sources {
            file: None,
            directory: directory.path().to_owned(),
            env: env.clone(),
            flags: Vec::new(),
        };
        Config::load(&sources).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn every_link_between_the_documents_resolves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let mut seen = 0;
    for name in docs
        .chain(["README.md", "README.ko.md", "CONTRIBUTING.md"].map(str::to_owned))
        .filter(|name| name.ends_with(".md"))
    {
        for target in document(&name)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(target, _)| target)
        {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.starts_with("https://") {
                continue;
            }
            assert!(
                root.join(&name).parent().unwrap().join(path).exists(),
                "{name} links to {target}"
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[tokio::test]
async fn the_commands_in_the_tour_and_the_readme_print_the_documented_output() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/tour");
    let mut command = Command::new(script);
    command.arg("--check").env("AUTORECEIVE", env!("CARGO_BIN_EXE_autoreceive"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
