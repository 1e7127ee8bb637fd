//! Behaviour while the server works.

use std::collections::HashSet;

use autoreceive_redis_connection::redis::{self, Pipeline, Value};
use autoreceive_redis_connection::{Failure, Link, Script};

use crate::server::{Server, client_id, one, only};

const ADD: &str = "return redis.call('INCRBY', KEYS[1], ARGV[1])";

#[tokio::test]
async fn each_command_has_its_own_answer_which_may_be_an_error() {
    let server = Server::start(&[]);
    let mut pipe = Pipeline::new();
    pipe.cmd("SET").arg("a").arg(1);
    pipe.cmd("LPUSH").arg("a").arg(1);
    pipe.cmd("GET").arg("a");
    let answers = server.link(1).send(&pipe).await.unwrap();
    assert_eq!((answers.len(), &answers[0]), (3, &Value::Okay));
    assert!(matches!(&answers[1], Value::ServerError(error) if error.code() == "WRONGTYPE"));
    assert_eq!(answers[2], Value::BulkString(b"1".to_vec()));
}

#[tokio::test]
async fn connections_are_opened_when_first_used_and_used_in_turn() {
    let server = Server::start(&[]);
    let link = server.link(3);
    assert!(link.send(&Pipeline::new()).await.unwrap().is_empty());
    let before = clients(&server);
    let mut ids = Vec::new();
    for _ in 0..9 {
        ids.push(client_id(&link).await);
    }
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!(ids[..3], ids[3..6]);
    assert_eq!(clients(&server) - before, 3);
    assert_eq!(link.era(), 0);
}

/// The number of connections.
fn clients(server: &Server) -> usize {
    let list: String = redis::from_redis_value(server.cli(&["CLIENT", "LIST"])).unwrap();
    // Leave out this connection, and an earlier one that may not be closed yet.
    list.lines()
        .filter(|line| !line.contains("cmd=client|list") && !line.contains("cmd=info"))
        .count()
}

#[tokio::test]
async fn a_dedicated_connection_watches_separately_from_the_shared_ones() {
    let server = Server::start(&[]);
    let link = server.link(1);
    let mut connection = link.connect_by(link.deadline()).await.unwrap();
    let own: i64 = only(connection.exchange(link.deadline(), &one(&["CLIENT", "ID"])).await);
    assert_ne!(own, client_id(&link).await);
    only::<()>(connection.exchange(link.deadline(), &one(&["WATCH", "a"])).await);
    only::<()>(link.send(&one(&["SET", "a", "1"])).await);
    let mut transaction = one(&["MULTI"]);
    transaction.cmd("SET").arg("b").arg(1);
    transaction.cmd("EXEC");
    let answers = connection.exchange(link.deadline(), &transaction).await.unwrap();
    assert_eq!(answers[2], Value::Nil, "another connection changed a watched key");
}

#[tokio::test]
async fn a_script_that_the_server_lost_is_sent_again_once_with_its_source() {
    let server = Server::start(&[]);
    let link = server.link(2);
    let add = Script::new(ADD);
    for round in 1..=3 {
        server.cli(&["SCRIPT", "FLUSH"]);
        let answers = run(&link, &add, &["1", "10", "100"]).await;
        let sums: Vec<Value> = answers.into_iter().map(Result::unwrap).collect();
        let before = (round - 1) * 111;
        assert_eq!(sums, [1, 11, 111].map(|by| Value::Int(before + by)));
    }
    let answers = run(&link, &add, &["1", "many", "1"]).await;
    assert!(answers[0].is_ok() && answers[2].is_ok());
    let Err(refused @ Failure::Refused(_)) = &answers[1] else { panic!("{answers:?}") };
    assert!(refused.to_string().starts_with("ERR value is not an integer"), "{refused}");
    assert!(!refused.is_passing());
    assert_eq!(server.cli(&["GET", "sum"]), Value::BulkString(b"335".to_vec()));
}

async fn run(link: &Link, script: &Script, numbers: &[&str]) -> Vec<Result<Value, Failure>> {
    let mut calls = Pipeline::new();
    for number in numbers {
        let mut call = script.call(&["sum".to_owned()]);
        call.arg(number);
        calls.add_command(call);
    }
    link.run(script, &calls).await
}

#[tokio::test]
async fn published_messages_arrive_until_the_connection_ends() {
    let mut server = Server::start(&[]);
    let link = server.link(1);
    let mut subscription = link.subscribe_by(link.deadline(), "orders.*").await.unwrap();
    server.cli(&["PUBLISH", "others", "no"]);
    server.cli(&["PUBLISH", "orders.1", "yes"]);
    let message = subscription.next().await.unwrap();
    assert_eq!((&*message.channel, &*message.payload), (&b"orders.1"[..], &b"yes"[..]));
    server.kill();
    assert_eq!(subscription.next().await, None);
}
