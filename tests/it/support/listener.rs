//! The real `autoreceive listen`, and messages for it.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::endpoint::SECRET;
use super::process::eventually;

/// A running `autoreceive listen`; it ends with the test.
pub struct Listener {
    child: Child,
    directory: TempDir,
    /// Its URL.
    pub url: String,
}

impl Listener {
    /// Starts one on a free port with the common secret and `args`.
    pub async fn start(args: &[&str]) -> Listener {
        Listener::start_with(&[&["--secret", SECRET], args].concat()).await
    }

    /// Starts one on a free port with `args` only.
    pub async fn start_with(args: &[&str]) -> Listener {
        let directory = TempDir::new().unwrap();
        let file = |name: &str| std::fs::File::create(directory.path().join(name)).unwrap();
        let child = Command::new(super::process::binary())
            .args(["listen", "--listen", "127.0.0.1:0"])
            .args(args)
            .env_remove("AUTORECEIVE_WEBHOOK_SECRET")
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        let mut listener = Listener { child, directory, url: String::new() };
        eventually("it listens", 30, async || listener.said().ends_with("stop with Ctrl-C\n"))
            .await;
        let said = listener.said();
        let rest = said.split_once("waiting for webhooks on ").unwrap().1;
        listener.url = rest.split_whitespace().next().unwrap().to_owned();
        listener
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Its standard output so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.path("out")).unwrap()
    }

    /// Its standard error so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.path("err")).unwrap()
    }

    /// Interrupts it like Ctrl-C. Returns its exit status and its standard error.
    pub fn interrupt(mut self) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        (self.child.wait().unwrap(), self.said())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request to `url` with a message that is signed now with the common secret.
pub fn message(url: &str, id: &str, body: &str) -> reqwest::RequestBuilder {
    let seconds = now();
    let signature =
        standardwebhooks::Webhook::new(SECRET).unwrap().sign(id, seconds, body.as_bytes()).unwrap();
    reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .body(body.to_owned())
}

/// The wall clock in seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a signature carries the sender's wall clock; no decision is made with it"
)]
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}
