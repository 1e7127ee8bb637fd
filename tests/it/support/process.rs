//! The real program.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running `autoreceive serve`.
pub struct Process {
    child: Child,
    /// The URL of its API.
    pub url: String,
}

impl Process {
    /// Starts `serve` with the configuration at `config` on a free port and waits until it is
    /// ready.
    pub async fn serve(config: &Path) -> Process {
        Process::serve_with(config, &[]).await
    }

    /// The same with more flags.
    pub async fn serve_with(config: &Path, flags: &[&str]) -> Process {
        let mut process = Process::spawn(config, flags);
        process.wait_until_ready().await;
        process
    }

    /// Starts it without waiting.
    pub fn spawn(config: &Path, flags: &[&str]) -> Process {
        Process::spawn_in(config, flags, &[])
    }

    /// The same with these variables in its environment.
    pub fn spawn_in(config: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Process {
        let port = free_port();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(config.with_extension("log"))
            .unwrap();
        let child = Command::new(binary())
            .args([
                "serve",
                "--config",
                config.to_str().unwrap(),
                "--listen",
                &format!("127.0.0.1:{port}"),
            ])
            .args(flags)
            .envs(environment.iter().copied())
            .current_dir(config.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Process { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// Waits until it is ready.
    pub async fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            if let Ok(answer) = reqwest::get(format!("{}/readyz", self.url)).await
                && answer.status() == 200
            {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "serve ended before it was ready");
            assert!(start.elapsed() < Duration::from_secs(30), "serve is not ready after 30 s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal by its number.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Sends SIGTERM, and waits until it has ended.
    pub async fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.end().await
    }

    /// Waits until it ends.
    pub async fn end(mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "serve did not end within 30 s");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The tested binary. `AUTORECEIVE_TEST_BINARY` names another one, for example a release build.
pub fn binary() -> String {
    std::env::var("AUTORECEIVE_TEST_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_autoreceive").to_owned())
}

/// A free port.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `condition` holds, for at most `seconds`.
pub async fn eventually(what: &str, seconds: u64, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(seconds), "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
