//! A proxy that can run a fault between the queueing and the EXEC of a transaction.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

type Fault = Box<dyn FnOnce() + Send>;

/// A proxy in front of a server.
pub struct Proxy {
    port: u16,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Proxy {
    /// In front of the server on `port`.
    pub fn start(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("its address").port();
        let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
        let armed = fault.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let back = server.try_clone();
                let to_client = client.try_clone();
                let armed = armed.clone();
                thread::spawn(move || forward(client, server, &armed));
                if let (Ok(mut back), Ok(mut to_client)) = (back, to_client) {
                    thread::spawn(move || std::io::copy(&mut back, &mut to_client));
                }
            }
        });
        Proxy { port: own, fault }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs `fault` before the next `EXEC` is forwarded. The commands before it have been forwarded
    /// then.
    pub fn before_exec(&self, fault: impl FnOnce() + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }
}

fn forward(mut client: TcpStream, mut server: TcpStream, armed: &Mutex<Option<Fault>>) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let mut rest = &buffer[..count];
        if rest.ends_with(EXEC) {
            let begin = rest.len() - EXEC.len();
            let fault = armed.lock().unwrap().take();
            if let Some(fault) = fault {
                if server.write_all(&rest[..begin]).is_err() {
                    return;
                }
                fault();
                rest = &rest[begin..];
            }
        }
        if server.write_all(rest).is_err() {
            return;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
}
