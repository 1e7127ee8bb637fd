//! The OpenAPI document matches the program, and its page loads nothing from other sites.

use std::collections::BTreeSet;

use autoreceive::domain::command::Verb;
use autoreceive::domain::decide::Code;
use autoreceive::wire::command::{read_command, read_place};
use autoreceive::wire::line::read_line;
use serde_json::{Map, Value, json};

use super::client::RawClient;

async fn document(client: &RawClient) -> Value {
    let answer = client.get("/openapi.json").await;
    assert!(
        answer.status == 200 && answer.head.contains("content-type: application/json"),
        "{answer:?}"
    );
    answer.json()
}

/// Every operation: its method, its path and its description.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(|(method, said)| (method.to_uppercase(), path.clone(), said))
        })
        .collect()
}

fn schemas(document: &Value) -> &Map<String, Value> {
    document["components"]["schemas"].as_object().unwrap()
}

#[tokio::test]
async fn every_documented_route_exists_and_answers_as_documented() {
    let client = RawClient::start().await;
    let document = document(&client).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut words = BTreeSet::new();
    for (method, path, said) in operations(&document) {
        let place = path
            .replace("{order_id}", "A-1")
            .replace("{file}", "index.html")
            .replace("{name}", "shop")
            .replace("{event_id}", "A-1:1");
        let query = if path == "/v1/orders" && method == "GET" { "?view=upcoming" } else { "" };
        let answer = client
            .request(&method, &format!("{place}{query}"), "content-type: application/x-ndjson", b"")
            .await;
        let code = if answer.head.contains("problem+json") {
            answer.json()["code"].as_str().unwrap().to_owned()
        } else {
            String::new()
        };
        // A store without a test clock answers as if this route did not exist.
        let hidden = path == "/v1/test/clock"
            && answer.json()["title"].as_str().is_some_and(|title| title.contains("test clock"));
        assert!(
            hidden
                || !["not_found", "method_not_allowed", "unknown_command"].contains(&code.as_str()),
            "{method} {path}: {answer:?}"
        );
        let documented = said["responses"].as_object().unwrap();
        assert!(
            documented.contains_key(&answer.status.to_string()),
            "{method} {path} answers {}",
            answer.status
        );
        words.extend(path.strip_prefix("/v1/orders/{order_id}/").map(str::to_owned));
    }
    let verbs: BTreeSet<String> = Verb::PUBLIC.map(|verb| verb.as_str().to_owned()).into();
    assert_eq!(words, verbs);
}

#[tokio::test]
async fn every_reference_of_the_document_resolves() {
    let client = RawClient::start().await;
    let document = document(&client).await;
    let text = document.to_string();
    let named: BTreeSet<&str> = text
        .split("\"#/components/schemas/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let known: BTreeSet<&str> = schemas(&document).keys().map(String::as_str).collect();
    assert!(named.len() > 20, "{named:?}");
    assert_eq!(named.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[tokio::test]
async fn every_error_code_is_documented_at_the_routes_that_return_it() {
    let client = RawClient::start().await;
    let document = document(&client).await;
    for code in Code::ALL {
        let documented = operations(&document).iter().any(|(_, _, said)| {
            said["responses"].to_string().contains(&format!("`{}`", code.as_str()))
        });
        assert!(documented, "{} is not documented", code.as_str());
    }
}

/// Only the table adds routes.
#[test]
fn every_route_is_in_the_table() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut files = vec![std::path::PathBuf::from(root).join("http.rs")];
    files.extend(
        std::fs::read_dir(format!("{root}/http")).unwrap().map(|entry| entry.unwrap().path()),
    );
    let rest: Vec<_> = files
        .iter()
        .filter(|file| !file.ends_with("routes.rs") && !file.ends_with("tests.rs"))
        .collect();
    assert!(rest.len() > 10, "{rest:?}");
    for file in rest {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for way in [".route(", ".route_service(", ".nest(", ".nest_service(", "axum::routing::"] {
            assert!(!text.contains(way), "{} adds a route with {way}", file.display());
        }
    }
}

#[tokio::test]
async fn every_field_and_parameter_has_a_meaning_and_an_example() {
    let client = RawClient::start().await;
    let document = document(&client).await;
    let mut lacking = Vec::new();
    for (name, schema) in schemas(&document) {
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        for (field, said) in
            parts.iter().filter_map(|part| part["properties"].as_object()).flatten()
        {
            lacking.extend(
                (!is_explained(said, &document)).then(|| format!("{name}.{field}: {said}")),
            );
        }
    }
    for (method, path, said) in operations(&document) {
        assert!(said["summary"].is_string() && said["tags"].is_array(), "{method} {path}");
        for parameter in said["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["name"] != "cursor")
        {
            let explained = parameter["description"].is_string()
                && (parameter["example"] != Value::Null
                    || has_example(&parameter["schema"], &document));
            lacking.extend((!explained).then(|| format!("{method} {path} {}", parameter["name"])));
        }
        for (status, answer) in said["responses"].as_object().unwrap() {
            lacking.extend(
                answer["description"]
                    .as_str()
                    .is_none_or(str::is_empty)
                    .then(|| format!("{method} {path} {status}")),
            );
        }
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
}

fn is_explained(field: &Value, document: &Value) -> bool {
    let choices = || field["oneOf"].as_array().into_iter().flatten();
    let described = field["description"].is_string()
        || choices().any(|choice| choice["description"].is_string())
        || field["$ref"].is_string();
    described
        && (has_example(field, document) || choices().any(|choice| has_example(choice, document)))
}

/// True if a schema, or each of its parts, has an example.
fn has_example(schema: &Value, document: &Value) -> bool {
    if let Some(name) =
        schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/schemas/"))
    {
        let named = &document["components"]["schemas"][name];
        return named["properties"].is_object()
            || named["allOf"].is_array()
            || has_example(named, document);
    }
    ["example", "examples", "enum"].iter().any(|key| !schema[*key].is_null())
        || (schema["items"].is_object() && has_example(&schema["items"], document))
}

#[tokio::test]
async fn the_examples_are_accepted_by_the_real_parser() {
    let client = RawClient::start().await;
    let document = document(&client).await;
    let whole = |name: &str| {
        Value::Object(
            schemas(&document)[name]["properties"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(field, said)| (field.clone(), example(said, &document)))
                .collect(),
        )
        .to_string()
    };
    read_place(whole("NewOrder").as_bytes()).unwrap();
    for (_, path, said) in operations(&document) {
        let Some(verb) = path.strip_prefix("/v1/orders/{order_id}/").and_then(Verb::parse) else {
            continue;
        };
        let schema =
            said["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
        let body = whole(schema.rsplit('/').next().unwrap());
        read_command(verb, body.as_bytes(), &[])
            .unwrap_or_else(|wrong| panic!("{path} {body}: {wrong}"));
    }
    let line = &schemas(&document)["CommandLine"]["example"];
    read_line(line.to_string().as_bytes()).unwrap();
}

fn example(schema: &Value, document: &Value) -> Value {
    if let Some(name) =
        schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/schemas/"))
    {
        return example(&document["components"]["schemas"][name], document);
    }
    let choice = || {
        schema["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|choice| choice["type"] != "null")
            .map(|choice| example(choice, document))
    };
    let first = |key: &str| schema[key].as_array().and_then(|all| all.first()).cloned();
    let own = (!schema["example"].is_null()).then(|| schema["example"].clone());
    own.or_else(|| first("examples"))
        .or_else(|| first("enum"))
        .or_else(choice)
        .unwrap_or_else(|| panic!("no example: {schema}"))
}

#[tokio::test]
async fn answers_have_only_documented_fields() {
    let client = RawClient::start().await;
    let document = document(&client).await;
    let order = json!({
        "order_id": "A-1",
        "buyer_id": "B-7",
        "amount": 1,
        "currency": "KRW",
        "data": [],
        "receive_after": "48h",
    });
    client.post("/v1/orders", &order).await;
    client.post("/v1/orders/A-1/pay", &json!({})).await;
    client.post("/v1/orders/A-1/hold", &json!({"reason": "dispute"})).await;
    for (path, name) in [
        ("/v1/orders/A-1", "Order"),
        ("/v1/orders?view=held", "Page"),
        ("/v1/stats", "Stats"),
        ("/v1/orders/A-2", "Problem"),
    ] {
        let answer = client.get(path).await.json();
        known(&answer, &json!({"$ref": format!("#/components/schemas/{name}")}), &document, path);
    }
}

/// Checks that every field of `value` is documented, and that no required one is missing.
fn known(value: &Value, schema: &Value, document: &Value, at: &str) {
    let parts = parts(schema, document);
    if let Value::Array(items) = value {
        for item in items {
            for part in &parts {
                known(item, &part["items"], document, at);
            }
        }
        return;
    }
    let Value::Object(fields) = value else { return };
    if parts
        .iter()
        .any(|part| part["additionalProperties"].is_object() || part.get("properties").is_none())
    {
        return;
    }
    for (field, value) in fields {
        let said = parts
            .iter()
            .find_map(|part| part["properties"].get(field))
            .unwrap_or_else(|| panic!("{at}.{field} is not documented"));
        known(value, said, document, &format!("{at}.{field}"));
    }
    for required in parts.iter().filter_map(|part| part["required"].as_array()).flatten() {
        assert!(fields.contains_key(required.as_str().unwrap()), "{at} has no {required}");
    }
}

/// All schemas that a value must match, with references resolved and without null.
fn parts(schema: &Value, document: &Value) -> Vec<Value> {
    if let Some(name) =
        schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/schemas/"))
    {
        return parts(&document["components"]["schemas"][name], document);
    }
    let inner = schema["allOf"].as_array().or_else(|| schema["oneOf"].as_array());
    match inner {
        Some(inner) => inner
            .iter()
            .filter(|part| part["type"] != "null")
            .flat_map(|part| parts(part, document))
            .collect(),
        None => vec![schema.clone()],
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_other_sites() {
    let client = RawClient::start().await;
    let moved = client.get("/docs").await;
    assert!(moved.status == 303 && moved.head.contains("location: /docs/index.html"), "{moved:?}");
    let page = client.get("/docs/index.html").await;
    let html = String::from_utf8(page.body).unwrap();
    assert!(
        page.head.contains("content-type: text/html")
            && page.head.contains("default-src 'none'; script-src 'self'"),
        "{}",
        page.head
    );
    let loaded: Vec<&str> =
        html.split(['"', '\'']).skip(1).step_by(2).filter(|quoted| quoted.contains('.')).collect();
    assert!(loaded.len() >= 4, "{html}");
    for file in loaded {
        assert!(!file.contains("//"), "{file} is loaded from elsewhere");
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        let answer = client.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            !file.ends_with(".css") || !text.contains("url(http") && !text.contains("@import"),
            "{file} loads from elsewhere"
        );
    }
    let setup = client.get("/docs/swagger-initializer.js").await;
    let setup = String::from_utf8_lossy(&setup.body).into_owned();
    assert!(
        setup.contains("\"/openapi.json\"")
            && setup.contains("\"none\"")
            && !setup.contains("http"),
        "{setup}"
    );
    for missing in ["/docs/nothing.js", "/docs/..%2fhttp.rs", "/docs/%FF"] {
        assert_eq!(client.get(missing).await.json()["code"], "not_found", "{missing}");
    }
}
