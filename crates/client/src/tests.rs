use autoreceive_wire::command::AtFields;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;

/// A service that answers one request with `answer`, and returns that request.
async fn service(answer: String) -> (String, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = tell.send(String::from_utf8_lossy(&request[..length]).into_owned());
    });
    (url, asked)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn a_call_sends_a_percent_encoded_path_and_the_token() {
    let (url, asked) = service(answer("200 OK", r#"{"was_disabled":true}"#)).await;
    let client = Client::new(&format!("{url}/shop/"), Some("ar_secret")).unwrap();
    assert!(client.enable("a/b").await.unwrap().was_disabled);
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /shop/v1/actions/a%2Fb/enable HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer ar_secret\r\n"), "{asked}");
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn a_refusal_has_the_text_of_the_service_and_a_kind() {
    let problem = r#"{"code":"not_payable","title":"no","allowed":["cancel"]}"#;
    for (status, kind) in [
        ("409 Conflict", ErrorKind::Rejected),
        ("503 Service Unavailable", ErrorKind::Unavailable),
        ("401 Unauthorized", ErrorKind::Other),
    ] {
        let (url, _) = service(answer(status, problem)).await;
        let client = Client::new(&url, None).unwrap();
        let error = client.pay("A-1", &AtFields::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, "no (possible now: cancel)"));
        assert_eq!(error.problem().unwrap().code, "not_payable");
        assert_eq!(error.body(), problem.as_bytes());
    }
}

#[tokio::test]
async fn an_answer_of_another_service_is_an_error() {
    let (url, _) = service(answer("200 OK", "<html>")).await;
    let error = Client::new(&url, None).unwrap().stats().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.to_string().contains("is not autoreceive"), "{error}");
    let (url, _) = service(answer("502 Bad Gateway", "<html>")).await;
    let error = Client::new(&url, None).unwrap().stats().await.unwrap_err();
    assert_eq!((error.kind(), error.problem()), (ErrorKind::Unavailable, None));
}

#[tokio::test]
async fn a_closed_port_is_reported_as_not_running() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::new(&url, None).unwrap().stats().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotRunning, "{error}");
}

#[tokio::test]
async fn unsafe_paths_and_headers_are_refused() {
    let client = Client::new("http://127.0.0.1:1", None).unwrap();
    assert_eq!(client.order("..").await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(
        Client::new("http://127.0.0.1:1", Some("a\nb")).unwrap_err().kind(),
        ErrorKind::NoToken
    );
    assert_eq!(Client::new("no address", None).unwrap_err().kind(), ErrorKind::Other);
}

#[tokio::test]
async fn lines_are_read_in_chunks_of_any_size() {
    let body = "{\"line\":1,\"order_id\":\"A-1\",\"result\":\"changed\"}\n\
                {\"line\":2,\"order_id\":null,\"result\":\"invalid\"}\n";
    let (url, _) = service(answer("200 OK", body)).await;
    let client = Client::new(&url, None).unwrap();
    let mut lines = client.commands(Once(Some("{}\n"))).await.unwrap();
    for number in [1, 2] {
        assert_eq!(lines.next().await.unwrap().unwrap().0.line, number);
    }
    assert!(lines.next().await.unwrap().is_none());
}

/// A stream of one chunk.
struct Once(Option<&'static str>);

impl Stream for Once {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(|chunk| Ok(chunk.into())))
    }
}
