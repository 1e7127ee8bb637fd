//! Starts a real SMTP server on a free port. It ends with the test.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::tls::Authority;

/// A running server.
pub struct SmtpServer {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The authority that signed its certificate.
    pub authority: Authority,
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    _directory: TempDir,
}

/// The user name and password of a server with authentication.
pub const USER: (&str, &str) = ("shop", "right horse");

impl SmtpServer {
    /// Starts one; `tls` is `none`, `starttls` or `tls`.
    pub fn start(tls: &str, with_user: bool) -> SmtpServer {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new();
        let (certificate, key) = authority.certificate("127.0.0.1", 2099).pem();
        let certificate_file = directory.path().join("certificate.pem");
        let key_file = directory.path().join("key.pem");
        std::fs::write(&certificate_file, certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let (user, password) = if with_user { USER } else { ("", "") };
        let options = json!({
            "tls": tls,
            "user": user,
            "password": password,
            "certificate": certificate_file,
            "key": key_file,
        });
        // Debian's package works only with Debian's Python.
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", include_str!("smtp_server.py"), &options.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 with aiosmtpd is installed (package python3-aiosmtpd)");
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = output.next().expect("the SMTP server starts").unwrap().parse().unwrap();
        SmtpServer { port, authority, child, output, _directory: directory }
    }

    /// The next accepted email.
    pub fn next_email(&mut self) -> Value {
        serde_json::from_str(&self.output.next().expect("the SMTP server is there").unwrap())
            .unwrap()
    }

    /// Stops it. Returns the accepted emails that were not read.
    pub fn stop(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.output.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
