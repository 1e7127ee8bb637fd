//! The errors for an endpoint with a wrong certificate.

use std::time::Duration;

use autoreceive::action::outgoing::Limits;
use autoreceive::action::webhook::{SigningSecret, Webhook};
use autoreceive::action::{Action, Outcome};

use super::{event, why};
use crate::support::tls::{Authority, serve};

async fn post(port: u16, trusted: Option<&Authority>) -> Outcome {
    let authorities = trusted.map(|authority| authority.pem().into_bytes());
    let limits = Limits {
        timeout: Duration::from_secs(20),
        allow_private: true,
        authorities,
        ..Limits::default()
    };
    let url = format!("https://127.0.0.1:{port}/");
    let webhook = Webhook::new(&url, &[SigningSecret::fresh().parse().unwrap()], &limits).unwrap();
    webhook.attempt(&[event("A-1", 5)]).await.remove(0)
}

#[tokio::test]
async fn an_endpoint_with_a_certificate_of_a_configured_authority_is_trusted() {
    let authority = Authority::new();
    let port = serve(authority.certificate("127.0.0.1", 2099)).await;
    assert_eq!(post(port, Some(&authority)).await, Outcome::Done);
}

#[tokio::test]
async fn an_invalid_certificate_is_named_as_the_cause() {
    let authority = Authority::new();
    let cases = [
        (
            authority.certificate("127.0.0.1", 2099),
            None,
            "is self-signed, or its authority is not trusted; name the authority's certificate \
             in ca_file",
        ),
        (authority.certificate("127.0.0.1", 2001), Some(&authority), "has expired"),
        (authority.certificate("shop.example", 2099), Some(&authority), "is for another name"),
    ];
    for (certificate, trusted, cause) in cases {
        let outcome = post(serve(certificate).await, trusted).await;
        assert_eq!(why(&outcome), format!("TLS: the server's certificate {cause}"));
    }
}

#[tokio::test]
async fn an_endpoint_without_tls_is_reported() {
    let plain = crate::support::endpoint::ShopEndpoint::start().await;
    let port = plain.url.parse::<reqwest::Url>().unwrap().port().unwrap();
    assert_eq!(why(&post(port, None).await), "TLS: the server does not speak TLS");
}
