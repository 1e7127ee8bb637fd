//! Starts a real PostgreSQL on a free port, in its own directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use super::daemon;
use super::process::free_port;

const USER: &str = "postgres";

/// A server for one test, or shared by tests that run at the same time. It ends with the last one.
pub struct PostgresProcess {
    port: u16,
    child: Child,
    directory: TempDir,
}

static SHARED: Mutex<Weak<PostgresProcess>> = Mutex::new(Weak::new());

impl PostgresProcess {
    /// The running server, or a new one. Its data is not safe against a power loss.
    pub fn shared() -> Arc<PostgresProcess> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(PostgresProcess::start(&["-c", "fsync=off"]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a server with these arguments, and waits until it answers.
    pub fn start(extra_args: &[&str]) -> PostgresProcess {
        let directory = TempDir::new().unwrap();
        daemon::give(directory.path(), USER);
        let data = directory.path().join("data");
        let mut initdb = daemon::command(USER, &binary("initdb"));
        daemon::run(
            initdb
                .args(["-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
                .arg(&data),
        );
        // Another program can take the free port before the server starts.
        for _ in 0..10 {
            let port = free_port();
            let mut child = spawn(directory.path(), port, extra_args);
            if is_ready(&mut child, port) {
                return PostgresProcess { port, child, directory };
            }
        }
        panic!("postgres did not start: {}", log(directory.path()));
    }

    /// The URL of the default database.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills it, like a crash: unwritten data is lost.
    pub fn kill(&mut self) {
        daemon::end(&mut self.child, "QUIT");
    }

    /// Starts it again, on the same port and directory.
    pub fn restart(&mut self) {
        for _ in 0..10 {
            self.child = spawn(self.directory.path(), self.port, &[]);
            if is_ready(&mut self.child, self.port) {
                return;
            }
        }
        panic!("postgres did not start again: {}", log(self.directory.path()));
    }
}

impl Drop for PostgresProcess {
    fn drop(&mut self) {
        daemon::end(&mut self.child, "QUIT");
    }
}

fn spawn(directory: &Path, port: u16, extra_args: &[&str]) -> Child {
    let log =
        std::fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
    daemon::command(USER, &binary("postgres"))
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-p",
            &port.to_string(),
            "-D",
        ])
        .arg(directory.join("data"))
        .args(extra_args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The server listens a moment before it accepts connections.
fn is_ready(child: &mut Child, port: u16) -> bool {
    daemon::answers(child, || {
        let mut probe = Command::new(binary("pg_isready"));
        probe
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// Debian has a separate directory for the programs of each version.
fn binary(name: &str) -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("the package postgresql is installed");
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin").join(name)));
    programs
        .filter(|path| path.exists())
        .max()
        .unwrap_or_else(|| panic!("the package postgresql is installed, with {name}"))
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}
