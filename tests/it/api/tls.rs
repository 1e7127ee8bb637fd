//! TLS at the listener.

use std::path::PathBuf;
use std::time::Duration;

use autoreceive::access::Tokens;
use autoreceive::http::{Access, Tls};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::service::Service;

/// A self-signed certificate for localhost and its key, as files.
struct Files {
    directory: TempDir,
    pem: String,
}

impl Files {
    fn new() -> Files {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Files { directory: tempfile::tempdir().unwrap(), pem: made.cert.pem() };
        std::fs::write(files.cert(), &files.pem).unwrap();
        std::fs::write(files.key(), made.signing_key.serialize_pem()).unwrap();
        files
    }

    fn cert(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }
}

async fn serving(files: &Files) -> Service {
    let tls = Tls::load(&files.cert(), &files.key()).unwrap();
    Service::start_for(Access { tokens: Tokens::default(), tls: Some(tls) }).await
}

#[tokio::test]
async fn with_a_certificate_the_api_accepts_only_tls() {
    let files = Files::new();
    let service = serving(&files).await;
    let root = reqwest::Certificate::from_pem(files.pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
    let url = service.url.replace("127.0.0.1", "localhost");
    let health = client.get(format!("{url}/healthz")).send().await.unwrap();
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "ok\n"));
    let body = r#"{"order_id":"A-1","buyer_id":"B-7"}"#;
    let placed = client
        .post(format!("{url}/v1/orders"))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(placed.status(), 201);
    let plain = reqwest::get(service.url.replace("https", "http") + "/healthz").await;
    assert!(plain.is_err(), "{plain:?}");
}

#[tokio::test]
async fn a_stalled_handshake_is_closed() {
    let service = serving(&Files::new()).await;
    let address = service.url.trim_start_matches("https://").to_owned();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest));
        let _ = read.await.expect("the connection stays open");
    }
}

#[tokio::test]
async fn an_unfinished_handshake_does_not_delay_the_shutdown() {
    let service = serving(&Files::new()).await;
    let mut silent = TcpStream::connect(service.url.trim_start_matches("https://")).await.unwrap();
    service.stop_api.cancel();
    service.serving.await.unwrap().unwrap();
    let _ = silent.read_to_end(&mut Vec::new()).await;
}

#[test]
fn unusable_files_are_refused_with_the_reason_and_their_content_is_never_shown() {
    let files = Files::new();
    let other = Files::new();
    let nowhere = PathBuf::from("/nowhere/a.pem");
    let garbage = files.directory.path().join("garbage.pem");
    std::fs::write(&garbage, "canary").unwrap();
    let broken = files.directory.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN PRIVATE KEY-----\ncanary!\n-----END PRIVATE KEY-----\n")
        .unwrap();
    for (cert, key, expected) in [
        (&nowhere, &files.key(), "http.tls_cert (/nowhere/a.pem): No such file"),
        (&files.cert(), &nowhere, "http.tls_key (/nowhere/a.pem): No such file"),
        (&garbage, &files.key(), "it has no certificate"),
        (&files.key(), &files.key(), "it has no certificate"),
        (&files.cert(), &files.cert(), "it has no private key"),
        (&files.cert(), &broken, "it is not PEM"),
        (&files.cert(), &other.key(), "http.tls_cert and http.tls_key cannot be used together"),
    ] {
        let Err(error) = Tls::load(cert, key) else {
            panic!("{} with {}", cert.display(), key.display())
        };
        assert!(
            error.to_string().contains(expected) && !error.to_string().contains("canary"),
            "{error}"
        );
    }
}
