//! A way to the server on which something happens between the queueing of a transaction and its
//! execution.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

type Mishap = Box<dyn FnOnce() + Send>;

/// Stands in front of a server.
pub struct Proxy {
    port: u16,
    mishap: Arc<Mutex<Option<Mishap>>>,
}

impl Proxy {
    /// In front of the server on `port`.
    pub fn start(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("its address").port();
        let mishap: Arc<Mutex<Option<Mishap>>> = Arc::default();
        let armed = mishap.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let (back, to_client) = (server.try_clone(), client.try_clone());
                let armed = armed.clone();
                thread::spawn(move || forward(client, server, &armed));
                if let (Ok(mut back), Ok(mut to_client)) = (back, to_client) {
                    thread::spawn(move || std::io::copy(&mut back, &mut to_client));
                }
            }
        });
        Proxy { port: own, mishap }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What happens before the next `EXEC` goes on. The commands before it are on their way then.
    pub fn before_exec(&self, mishap: impl FnOnce() + Send + 'static) {
        *self.mishap.lock().unwrap() = Some(Box::new(mishap));
    }
}

fn forward(mut client: TcpStream, mut server: TcpStream, armed: &Mutex<Option<Mishap>>) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let mut rest = &buffer[..count];
        if rest.ends_with(EXEC) {
            let begin = rest.len() - EXEC.len();
            let mishap = armed.lock().unwrap().take();
            if let Some(mishap) = mishap {
                if server.write_all(&rest[..begin]).is_err() {
                    return;
                }
                mishap();
                rest = &rest[begin..];
            }
        }
        if server.write_all(rest).is_err() {
            return;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
}
