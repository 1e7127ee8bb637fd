//! TLS with the authorities of the options.

use std::error::Error;
use std::time::Duration;

use autoreceive_redis_connection::redis::Value;
use autoreceive_redis_connection::{Address, Failure, Link, Options, OptionsError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::server::{Server, TIMEOUT, free_port, one, only};

/// An authority for one test.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn the_certificate_is_checked_against_the_authorities_of_the_options() {
    let authority = authority();
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let server = Server::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &write("certificate.pem", certificate.pem()),
        "--tls-key-file",
        &write("key.pem", key.serialize_pem()),
        "--tls-ca-cert-file",
        &write("authority.pem", authority.pem()),
    ]);
    let address: Address = format!("rediss://127.0.0.1:{port}").parse().unwrap();
    let with = |pem: Option<String>| {
        let options = Options::new(TIMEOUT).authorities(pem.map(String::into_bytes));
        Link::new(&address, options).unwrap()
    };

    let link = with(Some(authority.pem()));
    assert_eq!(only::<String>(link.send(&one(&["PING"])).await), "PONG");
    link.connect_by(link.deadline()).await.unwrap();
    let mut subscription = link.subscribe_by(link.deadline(), "orders").await.unwrap();
    assert_eq!(server.cli(&["PUBLISH", "orders", "1"]), Value::Int(1));
    assert_eq!(subscription.next().await.unwrap().payload, b"1");

    for untrusting in [with(None), with(Some(self::authority().pem()))] {
        let failure = untrusting.send(&one(&["PING"])).await.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
        assert!(failure.to_string().contains("certificate"), "{failure}");
        assert!(failure.source().is_some(), "the TLS error is the source of the failure");
    }
}

#[tokio::test]
async fn a_tls_address_sends_nothing_in_plain_text() {
    let server = Server::start(&[]);
    let address = format!("rediss://127.0.0.1:{}", server.port).parse().unwrap();
    // The server waits for the end of a line, which a TLS greeting may not contain.
    let link = Link::new(&address, Options::new(Duration::from_millis(500))).unwrap();
    let failure = link.send(&one(&["SET", "a", "1"])).await.unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
    assert_eq!(server.cli(&["DBSIZE"]), Value::Int(0));
}

#[test]
fn authorities_without_a_usable_certificate_are_refused_before_connecting() {
    let address: Address = "rediss://127.0.0.1".parse().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "no certificate", broken] {
        let options = Options::new(TIMEOUT).authorities(Some(pem.into()));
        assert_eq!(Link::new(&address, options).err(), Some(OptionsError::Authorities), "{pem}");
    }
}
