//! Starts a redis-server for one test, in its own directory. It stops when it is dropped.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use autoreceive_redis_connection::redis::{self, FromRedisValue, Pipeline, RedisResult, Value};
use autoreceive_redis_connection::{Address, Failure, Link, Options};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Long enough for a slow machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Server {
    pub port: u16,
    child: Child,
    dir: TempDir,
    args: Vec<String>,
}

impl Server {
    pub fn start(args: &[&str]) -> Server {
        let dir = TempDir::new().unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        // Another program may take the port before the server starts.
        for _ in 0..10 {
            let port = free_port();
            let mut child = spawn(port, &dir, &args);
            if is_up(port, &mut child) {
                return Server { port, child, dir, args };
            }
            end(&mut child);
        }
        panic!("redis-server did not start");
    }

    pub fn address(&self) -> Address {
        format!("redis://127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// A link without time-outs during a test.
    pub fn link(&self, connections: usize) -> Link {
        Link::new(&self.address(), Options::new(TIMEOUT).connections(connections)).unwrap()
    }

    pub fn kill(&mut self) {
        end(&mut self.child);
    }

    /// Starts it again, on the same port and directory.
    pub fn restart(&mut self) {
        end(&mut self.child);
        self.child = spawn(self.port, &self.dir, &self.args);
        assert!(is_up(self.port, &mut self.child), "redis-server did not start again");
    }

    /// Stops the process with a signal: the system still accepts its connections.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Runs a command on a separate connection.
    pub fn cli(&self, command: &[&str]) -> Value {
        connect(self.port)
            .and_then(|mut connection| {
                redis::cmd(command[0]).arg(&command[1..]).query(&mut connection)
            })
            .unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A pipeline of one command.
pub fn one(command: &[&str]) -> Pipeline {
    let mut pipe = Pipeline::new();
    pipe.cmd(command[0]).arg(&command[1..]);
    pipe
}

/// The only answer, converted.
pub fn only<T: FromRedisValue>(answers: Result<Vec<Value>, Failure>) -> T {
    let mut answers = answers.unwrap();
    assert_eq!(answers.len(), 1);
    redis::from_redis_value(answers.remove(0)).unwrap()
}

/// The server's number of the connection that the next call uses.
pub async fn client_id(link: &Link) -> i64 {
    only(link.send(&one(&["CLIENT", "ID"])).await)
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(port: u16, dir: &TempDir, args: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .arg("--dir")
        .arg(dir.path())
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// Whether it answers before it exits. It exits if the port is taken.
fn is_up(port: u16, child: &mut Child) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline && child.try_wait().is_ok_and(|ended| ended.is_none()) {
        // Another server may have the port, so compare the process id.
        let info: RedisResult<String> =
            connect(port).and_then(|mut connection| redis::cmd("INFO").query(&mut connection));
        match info {
            Ok(info) if info.contains(&format!("process_id:{}\r\n", child.id())) => return true,
            Err(error) if error.code() == Some("NOAUTH") => return true,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    false
}

fn connect(port: u16) -> RedisResult<redis::Connection> {
    redis::Client::open(format!("redis://127.0.0.1:{port}"))?.get_connection_with_timeout(TIMEOUT)
}

/// Also works for a frozen process.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
