//! Every benchmark runs with a few orders, and its JSON has the documented figures. `bench/report`
//! measures the speed for docs/benchmarks.md.

use std::process::Command;

use serde_json::Value;

use crate::support::redis_server::RedisServer;

fn bench(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_autoreceive")).arg("bench").args(arguments).output().unwrap()
}

fn figures(arguments: &[&str]) -> Value {
    let output = bench(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn is_positive(figures: &Value, pointers: &[&str]) {
    for pointer in pointers {
        let figure = figures.pointer(pointer).and_then(Value::as_f64);
        assert!(figure.is_some_and(|figure| figure > 0.0), "{pointer} is {figure:?} in {figures}");
    }
}

#[test]
fn a_herd_reports_speed_and_lag_and_draws_a_chart() {
    let directory = tempfile::tempdir().unwrap();
    let found = figures(&[
        "herd",
        "--orders",
        "300",
        "--runs",
        "2",
        "--plot",
        directory.path().to_str().unwrap(),
    ]);
    is_positive(
        &found,
        &["/orders_per_second", "/min/orders_per_second", "/cpu_seconds_per_100k/own"],
    );
    assert_eq!(
        (&found["lag_ms"]["count"], &found["lag_ms"]["early"], &found["runs"]),
        (&300.into(), &0.into(), &2.into())
    );
    for percentile in ["p50", "p99", "max"] {
        assert!(found["lag_ms"][percentile].is_number(), "{found}");
    }
    let drawn = std::fs::read_to_string(directory.path().join("herd.svg")).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("polyline"), "{drawn}");
}

#[test]
fn several_workers_on_redis_report_duplicates_and_ping_and_leave_no_key() {
    let server = RedisServer::start(&[]);
    let found = figures(&["herd", "--orders", "300", "--workers", "4", "--store", &server.url()]);
    is_positive(&found, &["/orders_per_second", "/ping_ms/count", "/cpu_seconds_per_100k/redis"]);
    assert!(found["duplicates_percent"].is_number(), "{found}");
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), redis::Value::Int(0));
}

#[test]
fn a_steady_stream_and_an_idle_worker_are_measured() {
    let steady = figures(&["steady", "--rate", "200", "--seconds", "1"]);
    is_positive(&steady, &["/orders_per_second", "/cores/total"]);
    assert_eq!(steady["lag_ms"]["count"], 200);
    let idle = figures(&["idle", "--orders", "100", "--seconds", "1"]);
    assert!(idle["cores"]["own"].is_number(), "{idle}");
}

#[test]
fn commands_over_http_are_measured() {
    let api = figures(&["api", "--orders", "50", "--clients", "4"]);
    is_positive(
        &api,
        &["/single/commands_per_second", "/single/latency_ms/p99", "/bulk/commands_per_second"],
    );
    assert_eq!(api["single"]["latency_ms"]["count"], 100);
}

#[test]
fn the_size_and_the_cost_of_waiting_orders_are_measured() {
    let server = RedisServer::start(&[]);
    let memory = figures(&["memory", "--orders", "2000", "--store", &server.url()]);
    is_positive(&memory, &["/bytes_per_order", "/kinds/5/bytes_per_order"]);
    let waiting = figures(&["waiting", "--steps", "100", "--store", &server.url()]);
    is_positive(&waiting, &["/steps/0/seconds", "/last_costs_times_first"]);
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), redis::Value::Int(0));
}

#[test]
fn the_limit_and_both_versions_of_the_pattern_are_measured_and_leave_no_key() {
    let server = RedisServer::start(&[]);
    let url = server.url();
    is_positive(
        &figures(&["limit", "--orders", "1000", "--store", &url]),
        &["/orders_per_second", "/cpu_seconds_per_100k/total"],
    );
    for form in [&["pattern"][..], &["pattern", "--tuned"]] {
        let found = figures(&[form, &["--orders", "1500", "--store", &url]].concat());
        is_positive(&found, &["/orders_per_second", "/bytes_per_order"]);
    }
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), redis::Value::Int(0));
}

#[test]
fn a_database_with_a_single_key_is_refused_and_not_changed() {
    let server = RedisServer::start(&[]);
    server.cli(&["SET", "shop", "open"]).unwrap();
    let output = bench(&["herd", "--orders", "10", "--store", &server.url()]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1)
            && stderr.contains("has 1 keys")
            && stderr.contains("needs an empty database"),
        "{stderr}"
    );
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), redis::Value::Int(1));
}

#[test]
fn a_benchmark_that_needs_redis_says_so() {
    let output = bench(&["limit", "--orders", "10"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && stderr.contains("--store redis://"), "{stderr}");
}

#[test]
fn every_table_of_the_benchmarks_document_has_its_marks() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/benchmarks.md")).unwrap();
    let report = std::fs::read_to_string(root.join("bench/report")).unwrap();
    let (_, tables) = report.split_once("TABLES = {").unwrap();
    let names: Vec<&str> = tables
        .split('}')
        .next()
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().split('"').nth(1))
        .collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let (_, rest) = document
            .split_once(&format!("<!-- {name} -->\n"))
            .unwrap_or_else(|| panic!("{name} has no place"));
        assert!(rest.contains(&format!("<!-- /{name} -->")), "{name} has no end");
    }
}

#[test]
fn the_effect_of_a_hot_order_on_others_is_measured() {
    let server = RedisServer::start(&[]);
    let hot = ["hot", "--orders", "20", "--workers", "2", "--seconds", "1"];
    let found = figures(&[&hot[..], &["--store", &server.url()]].concat());
    is_positive(&found, &["/without_ms/count", "/with_hot_ms/count", "/with_hot_ms/p99"]);
}
