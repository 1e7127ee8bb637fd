//! The `email` action, against a real SMTP server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use autoreceive::action::email::{Email, EmailContent, Login, MailServer, Security, built_in};
use autoreceive::action::{Action, Outcome};
use autoreceive::domain::words::Data;
use autoreceive::domain::{Event, EventKind, Order};
use serde_json::{Value, json};

use super::{event, why};
use crate::support::smtp_server::{SmtpServer, USER};

fn content() -> EmailContent {
    EmailContent {
        from: "가게 <shop@shop.example>".parse().unwrap(),
        to_pointer: "/email".to_owned(),
        language: "ko".to_owned(),
        language_pointer: Some("/language".to_owned()),
        texts: built_in(),
        time_zone: "Asia/Seoul".to_owned(),
    }
}

fn server(port: u16, security: Security) -> MailServer {
    MailServer {
        host: "127.0.0.1".to_owned(),
        port,
        hello: "shop.example".to_owned(),
        security,
        login: None,
        authorities: None,
    }
}

fn email(port: u16) -> Email {
    Email::new(content(), server(port, Security::None), Duration::from_secs(20), None).unwrap()
}

fn event_with(id: &str, data: &Value) -> Event {
    let order =
        Order { data: Some(Data::new(&data.to_string()).unwrap()), ..(*event(id, 5).0).clone() };
    Event(Arc::new(order))
}

fn to(address: &str) -> Event {
    event_with("A-1", &json!({"email": address}))
}

async fn send(email: &Email, event: &Event) -> Outcome {
    email.attempt(std::slice::from_ref(event)).await.remove(0)
}

/// The header's values, with folded lines joined.
fn header(message: &Value, name: &str) -> Vec<String> {
    let head =
        message["raw"].as_str().unwrap().split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    let prefix = format!("{name}: ");
    head.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
}

/// The subject and the text as Python's own parser, an independent program, reads them.
fn read(message: &Value) -> (String, String) {
    let program = "import sys, json, email, email.policy\nm = \
        email.message_from_string(sys.argv[1], \
        policy=email.policy.default)\nprint(json.dumps([m['subject'], m.get_content(), \
        sorted(m.keys())]))";
    let output = std::process::Command::new("/usr/bin/python3")
        .args(["-c", program, message["raw"].as_str().unwrap()])
        .output()
        .unwrap();
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys = [
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ];
    assert_eq!(read[2], json!(keys), "{read}");
    (read[0].as_str().unwrap().to_owned(), read[1].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_email_is_written_in_the_language_of_the_order() {
    let mut server = SmtpServer::start("none", false);
    let email = email(server.port);
    let cases = [
        (
            json!({"email": "kim@buyer.example"}),
            "[주문 주문-7] 구매가 확정되었습니다",
            "KST에 확정되었습니다",
        ),
        (
            json!({"email": "kim@buyer.example", "language": "en-US"}),
            "Order 주문-7 is complete",
            "KST",
        ),
        (
            json!({"email": "kim@buyer.example", "language": "fr"}),
            "[주문 주문-7] 구매가 확정되었습니다",
            "주문-7의 구매가",
        ),
    ];
    for (data, subject, within) in cases {
        let event = event_with("주문-7", &data);
        assert_eq!(send(&email, &event).await, Outcome::Done);
        let message = server.next_email();
        let (read_subject, text) = read(&message);
        assert_eq!(read_subject, subject);
        assert!(text.contains(within), "{text}");
        assert_eq!(
            (&message["from"], &message["to"]),
            (&json!("shop@shop.example"), &json!(["kim@buyer.example"]))
        );
    }
}

#[tokio::test]
async fn a_repeat_has_the_same_message_id_and_another_event_has_another() {
    let mut server = SmtpServer::start("none", false);
    let email = email(server.port);
    let long = "가".repeat(42);
    let buyer = json!({"email": "kim@buyer.example"});
    let mut ids = Vec::new();
    for (id, times) in [("A-1", 2), ("A-2", 1), (long.as_str(), 1)] {
        for _ in 0..times {
            assert_eq!(send(&email, &event_with(id, &buyer)).await, Outcome::Done);
            ids.extend(header(&server.next_email(), "Message-ID"));
        }
    }
    assert_eq!(
        send(&email, &event_with("A-1", &json!({"email": "lee@buyer.example"}))).await,
        Outcome::Done
    );
    ids.extend(header(&server.next_email(), "Message-ID"));
    assert_eq!(ids.len(), 5);
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].starts_with("<A-1/5/") && ids[0].ends_with("@shop.example>"), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
}

#[tokio::test]
async fn order_data_cannot_add_a_header_or_a_recipient() {
    let mut server = SmtpServer::start("none", false);
    let texts = BTreeMap::from([(
        (EventKind::Received, "ko".to_owned()),
        "Subject: {{ data.order.data.x }}\n\n{{ data.order.data.x }}\n".to_owned(),
    )]);
    let email = Email::new(
        EmailContent { texts, ..content() },
        self::server(server.port, Security::None),
        Duration::from_secs(20),
        None,
    )
    .unwrap();
    for hostile in [
        "a\r\nBcc: evil@evil.example\r\n\r\nb",
        "a\nTo: evil@evil.example",
        "\r\n.\r\nMAIL FROM:<evil@evil.example>\r\n",
        "=?utf-8?q?=0d=0aBcc:_x?=",
        "가\u{2028}나\u{85}다",
        &"긴 제목 ".repeat(300),
    ] {
        let event = event_with("A-1", &json!({"email": "kim@buyer.example", "x": hostile}));
        assert_eq!(send(&email, &event).await, Outcome::Done, "{hostile:?}");
        let message = server.next_email();
        assert_eq!(message["to"], json!(["kim@buyer.example"]));
        // `read` also checks that there are only the usual headers.
        let (_, text) = read(&message);
        let same = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
        assert_eq!(same(&text), same(hostile));
    }
    assert_eq!(server.stop(), Vec::<Value>::new());
}

#[tokio::test]
async fn an_order_without_an_email_address_is_final() {
    const NOT_AN_ADDRESS: &str = "the value at /email of the order's data is not an email address";
    let mut server = SmtpServer::start("none", false);
    let email = email(server.port);
    let cases = [
        (json!({}), "the order's data has no address at /email"),
        (json!({"email": null}), "the order's data has no address at /email"),
        (json!({"email": ["a@b.example"]}), "the order's data has no address at /email"),
        (json!({"email": ""}), NOT_AN_ADDRESS),
        (json!({"email": "nobody"}), NOT_AN_ADDRESS),
        (json!({"email": "a@b.example, c@d.example"}), NOT_AN_ADDRESS),
        (json!({"email": "a@b.example>\r\nRCPT TO:<c@d.example"}), NOT_AN_ADDRESS),
        (json!({"email": "A <a@b.example>"}), NOT_AN_ADDRESS),
    ];
    let mut events: Vec<Event> = cases.iter().map(|(data, _)| event_with("A-1", data)).collect();
    events.push(event("no-data", 5));
    events.push(to("kim@buyer.example"));
    let outcomes = email.attempt(&events).await;
    for (outcome, (_, expected)) in outcomes.iter().zip(&cases) {
        assert_eq!(*outcome, Outcome::Dead { why: (*expected).to_owned() });
    }
    assert_eq!(
        outcomes[8],
        Outcome::Dead { why: "the order's data has no address at /email".to_owned() }
    );
    assert_eq!((outcomes.len(), &outcomes[9]), (10, &Outcome::Done));
    assert_eq!(server.next_email()["to"], json!(["kim@buyer.example"]));
}

#[tokio::test]
async fn a_4xx_is_retried_a_5xx_is_final_and_neither_affects_the_next_email() {
    let server = SmtpServer::start("none", false);
    let email = email(server.port);
    let recipients = ["kim", "busy", "gone", "spam", "flaky", "lee"];
    let events: Vec<Event> =
        recipients.iter().map(|name| to(&format!("{name}@buyer.example"))).collect();
    let outcomes = email.attempt(&events).await;
    let dead = |why: &str| Outcome::Dead { why: why.to_owned() };
    assert_eq!(
        outcomes,
        [
            Outcome::Done,
            Outcome::retry("the mail server answered 451: 4.3.2 come back later"),
            dead("the mail server answered 550: 5.1.1 nobody of that name"),
            dead("the mail server answered 554: 5.7.1 not wanted"),
            Outcome::retry("the mail server answered 451: 4.3.2 come back later"),
            Outcome::Done,
        ]
    );
    assert_eq!(send(&email, &events[4]).await, Outcome::Done);
    let accepted: Vec<Value> =
        server.stop().into_iter().map(|message| message["to"][0].clone()).collect();
    assert_eq!(accepted, ["kim@buyer.example", "lee@buyer.example", "flaky@buyer.example"]);
}

#[tokio::test]
async fn a_hanging_or_unavailable_server_delays_a_batch_once() {
    let server = SmtpServer::start("none", false);
    let hanging = Email::new(
        content(),
        self::server(server.port, Security::None),
        Duration::from_millis(400),
        None,
    )
    .unwrap();
    let events = [to("kim@buyer.example"), to("hang@buyer.example"), to("lee@buyer.example")];
    let outcomes = hanging.attempt(&events).await;
    let late = Outcome::retry("the mail server did not answer in time");
    assert_eq!(outcomes, [Outcome::Done, late.clone(), late]);
    drop(server);
    let away = email(crate::support::process::free_port());
    assert!(away.attempt(&events).await.iter().all(|outcome| why(outcome).contains("refused")));
}

#[tokio::test]
async fn connections_use_tls_and_a_login() {
    for (word, security) in [("starttls", Security::Starttls), ("tls", Security::Tls)] {
        let mut smtp = SmtpServer::start(word, true);
        let through = |password: &str, authorities| {
            let login = Some(Login::new(USER.0.to_owned(), password.to_owned()));
            let server = MailServer { login, authorities, ..server(smtp.port, security) };
            Email::new(content(), server, Duration::from_secs(20), None).unwrap()
        };
        let trusted = Some(smtp.authority.pem().into_bytes());
        let good = through(USER.1, trusted.clone());
        let wrong_password = through("canary", trusted);
        let untrusted = through(USER.1, None);
        let message = to("kim@buyer.example");
        assert_eq!(send(&good, &message).await, Outcome::Done, "{word}");
        assert_eq!(smtp.next_email()["secured"], true);
        // A wrong password is not the email's fault, so it is retried.
        let outcome = send(&wrong_password, &message).await;
        assert!(
            why(&outcome).starts_with("the mail server answered 535")
                && !why(&outcome).contains("canary"),
            "{outcome:?}"
        );
        assert!(
            why(&send(&untrusted, &message).await)
                .starts_with("TLS: the server's certificate is self-signed")
        );
        assert_eq!(smtp.stop(), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let smtp = SmtpServer::start("none", false);
    let email =
        Email::new(content(), server(smtp.port, Security::Starttls), Duration::from_secs(20), None)
            .unwrap();
    let outcome = send(&email, &to("kim@buyer.example")).await;
    assert!(why(&outcome).contains("STARTTLS"), "{outcome:?}");
    assert_eq!(smtp.stop(), Vec::<Value>::new());
}
