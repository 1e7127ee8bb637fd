//! Starts a real redis-server on a free port, in its own directory.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server for tests. It stops when it is dropped.
pub struct RedisServer {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    child: Child,
    dir: TempDir,
    args: Vec<String>,
}

impl RedisServer {
    /// Starts a server with `extra_args` after the usual ones, and waits until it answers.
    pub fn start(extra_args: &[&str]) -> RedisServer {
        let dir = TempDir::new().expect("a directory for redis-server");
        let args: Vec<String> = extra_args.iter().map(|&arg| arg.to_owned()).collect();
        // Another program may take the port before the server starts.
        for _ in 0..10 {
            let port = free_port();
            let mut child = spawn(port, &dir, &args);
            if answers(port, &mut child) {
                return RedisServer { port, child, dir, args };
            }
            end(&mut child);
        }
        panic!("redis-server did not start; its log: {}", log(&dir));
    }

    /// The process.
    #[allow(dead_code, reason = "only the tests that stop the process need it")]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address, as the configuration takes it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it without a shutdown.
    pub fn kill(&mut self) {
        end(&mut self.child);
    }

    /// Starts it again after a kill, on the same port and directory.
    pub fn restart(&mut self) {
        end(&mut self.child);
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            self.child = spawn(self.port, &self.dir, &self.args);
            if answers(self.port, &mut self.child) {
                return;
            }
            end(&mut self.child);
        }
        panic!("redis-server did not start again; its log: {}", log(&self.dir));
    }

    /// Like [`RedisServer::restart`], but does not wait until it answers.
    pub fn begin_restart(&mut self) {
        end(&mut self.child);
        self.child = spawn(self.port, &self.dir, &self.args);
    }

    /// Runs a command and returns its answer.
    pub fn cli(&self, command: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut cmd = redis::cmd(command[0]);
        cmd.arg(&command[1..]);
        cmd.query(&mut connect(self.port)?)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn spawn(port: u16, dir: &TempDir, args: &[String]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
        ])
        .args(["--logfile", "log", "--dir"])
        .arg(dir.path())
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// Whether it answers before it exits. It exits if the port is taken.
fn answers(port: u16, child: &mut Child) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline && child.try_wait().is_ok_and(|ended| ended.is_none()) {
        let answer = connect(port)
            .and_then(|mut connection| redis::cmd("INFO").query::<String>(&mut connection));
        // Another server may have the port, so compare the process id. INFO is also answered while
        // the server still loads its data. A server that requires a password is ready, too.
        let own = format!("process_id:{}\r\n", child.id());
        match answer {
            Ok(info) if info.contains(&own) && info.contains("\nloading:0\r\n") => return true,
            Err(error) if error.code() == Some("NOAUTH") => return true,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    false
}

fn connect(port: u16) -> redis::RedisResult<redis::Connection> {
    redis::Client::open(format!("redis://127.0.0.1:{port}"))?
        .get_connection_with_timeout(Duration::from_secs(5))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn log(dir: &TempDir) -> String {
    std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
}
