//! The smallest build: one SQLite file, and no action but the log. `scripts/test` runs this with
//! `--no-default-features --features sqlite`; in the full build it passes, too.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A running `autoreceive serve`; it ends with the test.
struct Service {
    child: Child,
    url: String,
    log: Lines<BufReader<ChildStderr>>,
}

impl Service {
    /// Starts one on a free port, with a store in `directory` whose time can be put forward.
    fn start(directory: &Path) -> Service {
        let mut child = autoreceive(directory)
            .args(["serve", "--store", "sqlite:orders.db", "--test-clock"])
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url =
            said.find_map(|line| Some(line.strip_prefix("API on ")?.split_once(',')?.0.to_owned()));
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Service { child, url: url.expect("it says where its API is"), log }
    }

    /// Asks it by the command line.
    fn ask(&self, args: &[&str]) -> Output {
        let directory = std::env::temp_dir();
        let mut command = autoreceive(&directory);
        command.args(args).env("AUTORECEIVE_URL", &self.url).output().unwrap()
    }

    /// The same; it has to succeed.
    fn answer(&self, args: &[&str]) -> String {
        let output = self.ask(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn autoreceive(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoreceive"));
    command.current_dir(directory).stdin(Stdio::null());
    command
}

#[test]
fn an_order_that_was_placed_and_paid_is_received_a_day_later() {
    let directory = tempfile::tempdir().unwrap();
    let mut service = Service::start(directory.path());
    let place =
        ["order", "place", "A-1", "--buyer-id", "u-7", "--amount", "59000", "--currency", "KRW"];
    let begun = Instant::now();
    // Exit code 4: its store is not open yet, and a repeat is safe.
    while service.ask(&place).status.code() == Some(4) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the store is not open after 30 s");
    }
    assert!(service.answer(&["order", "show", "A-1"]).contains("PENDING_PAYMENT"));
    service.answer(&["order", "pay", "A-1"]);
    assert!(service.answer(&["order", "show", "A-1"]).contains("PAID"));
    service.answer(&["clock", "advance", "25h"]);
    let received = |line: &String| line.contains("order.received") && line.contains("A-1");
    service.log.by_ref().map_while(Result::ok).find(received).expect("the log action says so");
    assert!(service.answer(&["order", "show", "A-1"]).contains("RECEIVED"));
}

/// What `config check` says about `config`.
#[cfg(not(any(feature = "redis", feature = "webhook", feature = "database", feature = "intake")))]
fn refusal(config: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("autoreceive.toml"), config).unwrap();
    let output = autoreceive(directory.path()).args(["config", "check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
#[cfg(not(any(feature = "redis", feature = "webhook", feature = "database", feature = "intake")))]
fn what_the_build_lacks_is_refused_at_the_start_with_the_feature_that_brings_it() {
    let webhook = "[actions.shop]\ntype = \"webhook\"\nurl = \"https://shop.example/\"\n";
    let database =
        "[actions.books]\ntype = \"database\"\nurl = \"postgres://user:secret@db/shop\"\n";
    let redis = "[store]\nurl = \"redis://user:secret@db:6379/0\"\n";
    let intake = "[intake]\nenabled = true\nurl = \"redis://user:secret@db:6379/0\"\n";
    for (config, key, part, feature) in [
        (webhook, "actions.shop.type", "webhook action", "webhook"),
        (database, "actions.books.type", "database action", "database"),
        (redis, "store.url", "Redis store", "redis"),
        (intake, "intake.enabled", "intake", "intake"),
    ] {
        let said = refusal(config);
        let lacks = format!(
            "this build of autoreceive has no {part}; build it with --features {feature}, or use \
                the full build"
        );
        assert!(said.contains(key) && said.contains(&lacks), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
