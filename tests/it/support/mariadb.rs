//! Starts a real MariaDB on a free port, in its own directory.

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use super::daemon;
use super::process::free_port;

const USER: &str = "mysql";
const MAKE_USER: &str = "CREATE DATABASE shop CHARACTER SET latin1; \
    CREATE USER ar@'%' IDENTIFIED BY 'secret'; GRANT ALL ON shop.* TO ar@'%';\n";

/// A server for one test, or shared by tests that run at the same time. It ends with the last one.
pub struct MariaDbProcess {
    port: u16,
    child: Child,
    directory: TempDir,
}

static SHARED: Mutex<Weak<MariaDbProcess>> = Mutex::new(Weak::new());

impl MariaDbProcess {
    /// The running server, or a new one. Its data is not safe against a power loss.
    pub fn shared() -> Arc<MariaDbProcess> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(MariaDbProcess::start(&[
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-flush-method=nosync",
            ]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a server with these arguments, and waits until it answers.
    pub fn start(extra_args: &[&str]) -> MariaDbProcess {
        let directory = TempDir::new().unwrap();
        let init = directory.path().join("init.sql");
        std::fs::write(&init, MAKE_USER.replace("; ", ";\n")).unwrap();
        daemon::give(directory.path(), USER);
        let mut install = daemon::command(USER, Path::new("mariadb-install-db"));
        install.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        install.arg(format!("--datadir={}", directory.path().join("data").display()));
        // Servers that share a directory for temporary tables remove each other's.
        daemon::run(install.arg(format!("--tmpdir={}", directory.path().display())));
        // Another program can take the free port before the server starts.
        for _ in 0..10 {
            let port = free_port();
            let mut child = spawn(
                directory.path(),
                port,
                &[extra_args, &[&format!("--init-file={}", init.display())]].concat(),
            );
            if listens(&mut child, port) {
                return MariaDbProcess { port, child, directory };
            }
        }
        panic!("mariadbd did not start: {}", log(directory.path()));
    }

    /// The URL of a database with another default character set than ours.
    pub fn url(&self) -> String {
        format!("mysql://ar:secret@127.0.0.1:{}/shop", self.port)
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        daemon::end(&mut self.child, "KILL");
    }

    /// Starts it again, on the same port and directory.
    pub fn restart(&mut self) {
        for _ in 0..10 {
            self.child = spawn(self.directory.path(), self.port, &[]);
            if listens(&mut self.child, self.port) {
                return;
            }
        }
        panic!("mariadbd did not start again: {}", log(self.directory.path()));
    }
}

impl Drop for MariaDbProcess {
    fn drop(&mut self) {
        daemon::end(&mut self.child, "KILL");
    }
}

fn spawn(directory: &Path, port: u16, extra_args: &[&str]) -> Child {
    let log =
        std::fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
    daemon::command(USER, Path::new("mariadbd"))
        .args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            &format!("--port={port}"),
        ])
        .arg(format!("--datadir={}", directory.join("data").display()))
        .arg(format!("--tmpdir={}", directory.display()))
        .arg(format!("--socket={}", directory.join("socket").display()))
        .args(extra_args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn listens(child: &mut Child, port: u16) -> bool {
    daemon::answers(child, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("log")).unwrap_or_default()
}
