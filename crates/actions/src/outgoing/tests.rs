//! Forged targets: every address and spelling that must not be connected to. Listeners count the
//! connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::TcpListener;

use super::*;

/// Never allowed, with or without `allow_private`.
const NEVER: &str = "
    0.0.0.0 0.0.0.1 0.1.2.3 0.255.255.255 169.254.0.0 169.254.0.1 169.254.169.254 169.254.170.2
    169.254.255.255 192.0.0.0 192.0.0.1 192.0.0.8 192.0.0.170 192.0.0.192 192.0.0.255 192.0.2.0
    192.0.2.1 192.0.2.255 198.51.100.0 198.51.100.7 198.51.100.255 203.0.113.0 203.0.113.9
    203.0.113.255 192.88.99.0 192.88.99.1 192.88.99.255 198.18.0.0 198.18.0.1 198.19.255.255
    224.0.0.0 224.0.0.1 224.0.0.251 232.1.2.3 239.255.255.250 239.255.255.255 240.0.0.0
    240.0.0.1 250.1.2.3 254.255.255.255 255.0.0.1 255.255.255.254 255.255.255.255
    100.100.100.200 168.63.129.16 :: ::2 ::7f00:1 ::127.0.0.1 ::10.0.0.1 ::8.8.8.8
    ::ffff:0:127.0.0.1 ::ffff:0.0.0.0 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::ffff:224.0.0.1
    ::ffff:255.255.255.255 ::ffff:100.100.100.200 64:ff9b::0.0.0.0 64:ff9b::169.254.169.254
    64:ff9b::a9fe:a9fe 64:ff9b::224.0.0.1 64:ff9b:1::1 64:ff9b:1::169.254.169.254
    64:ff9b:1:ffff::1 100::1 100::ffff 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1::1
    2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1 2001:db8::1 2001:db8:ffff:ffff::1 2002::1
    2002:7f00:1::1 2002:a00:1::1 2002:a9fe:a9fe::1 2002:c0a8:101::1 2002:808:808::1 3fff::1
    3fff:fff::1 4000::1 5f00::1 8000::1 fe00::1 fe80::1 fe80::a00:27ff:fe4e:66a1 febf::1 fec0::1
    feff::1 ff00::1 ff01::1 ff02::1 ff02::fb ff05::2 ff0e::1
    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fd00:ec2::254 fd00:ec2::23";

/// Allowed only with `allow_private`.
const PRIVATE: &str = "
    10.0.0.0 10.0.0.1 10.1.2.3 10.96.0.1 10.255.255.255 127.0.0.0 127.0.0.1 127.0.0.2 127.0.1.1
    127.1.2.3 127.127.127.127 127.255.255.254 127.255.255.255 172.16.0.0 172.16.0.1 172.17.0.1
    172.20.10.1 172.31.255.255 192.168.0.0 192.168.0.1 192.168.1.1 192.168.99.100
    192.168.255.255 100.64.0.0 100.64.0.1 100.100.1.1 100.127.255.255 ::1 ::ffff:127.0.0.1
    ::ffff:7f00:1 ::ffff:7f12:3456 ::ffff:10.0.0.1 ::ffff:172.16.0.1 ::ffff:172.31.255.255
    ::ffff:192.168.1.1 ::ffff:100.64.0.1 ::ffff:c0a8:101 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1
    64:ff9b::192.168.1.1 64:ff9b::7f00:1 fc00::1 fc00:1:2:3::4 fcff:ffff::1 fd00::1
    fd12:3456:789a::1 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

const PUBLIC: &str = "
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
    169.253.1.1 169.255.1.1 172.15.255.255 172.32.0.0 192.0.1.1 192.0.3.1 192.167.1.1
    192.169.1.1 198.17.1.1 198.20.1.1 203.0.112.1 203.0.114.1 223.255.255.255 2001:200::1
    2001:4860:4860::8888 2400:cb00::1 2606:4700::1111 2a00:1450::1 3ffe::1 ::ffff:8.8.8.8
    64:ff9b::8.8.8.8";

/// Spellings of this machine that are valid in a URL.
const SPELLINGS: &str = "
    127.0.0.1 127.1 127.0.1 127.000.000.001 0177.0.0.1 0177.1 0x7f.0.0.1 0x7f.1 0X7F.0x0.0x0.0x1
    0x7f000001 0x7F000001 017700000001 2130706433 127.0.0.1. 127.1. 0x7f.1. 127.0.0.2
    127.255.255.254 127.8.8.8 127%2e0%2e0%2e1 %31%32%37.0.0.1 １２７.０.０.１ 127。0。0。1 127．0．0．1
    127｡0｡0｡1 ①②⑦.⓪.⓪.① 0x7f.0.0.0x1 0 0x0 0.0.0.0 0.0 00 000.000.000.000 localhost LOCALHOST
    LocalHost localhost. a.localhost ｌｏｃａｌｈｏｓｔ loc%61lhost [::1] [0:0:0:0:0:0:0:1]
    [0000:0000:0000:0000:0000:0000:0000:0001] [::0001] [0::1] [::] [0:0::0] [::ffff:127.0.0.1]
    [::ffff:7f00:1] [::FFFF:7F00:0001] [0:0:0:0:0:ffff:127.0.0.1] [::ffff:127.1.1.1]
    [::127.0.0.1] [::7f00:1] [::ffff:0.0.0.0] [64:ff9b::127.0.0.1] [2002:7f00:1::1]
    user@127.0.0.1 example.com@127.0.0.1 user:pass@[::1] example.com%40evil@127.1";

fn addresses(text: &str) -> impl Iterator<Item = IpAddr> {
    text.split_whitespace()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{text} is an address")))
}

#[test]
fn more_than_two_hundred_addresses_are_classified() {
    for (list, expected) in
        [(NEVER, [false, false]), (PRIVATE, [false, true]), (PUBLIC, [true, true])]
    {
        for address in addresses(list) {
            let allowed = [false, true].map(|allow| address::check(address, allow).is_ok());
            assert_eq!(allowed, expected, "{address}");
        }
    }
    let refused = NEVER
        .split_whitespace()
        .chain(PRIVATE.split_whitespace())
        .chain(SPELLINGS.split_whitespace())
        .count();
    assert!(refused >= 200, "{refused}");
}

/// A listener on every address of this machine that counts its connections.
async fn listener() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("[::]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

fn limits(allow_private: bool) -> Limits {
    Limits { timeout: Duration::from_secs(10), allow_private, ..Limits::default() }
}

#[tokio::test]
async fn no_spelling_of_this_machine_is_connected_to() {
    let (port, connections) = listener().await;
    for host in SPELLINGS.split_whitespace() {
        let url: Url = format!("http://{host}:{port}/")
            .parse()
            .unwrap_or_else(|error| panic!("{host}: {error}"));
        if let Ok(outgoing) = Outgoing::new(&url, &limits(false)) {
            let _ = outgoing.send(outgoing.client().post(url)).await;
            panic!("{host} must be refused when the action is built");
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    // Proof that the listener counts: a permitted request reaches it.
    let url: Url = format!("http://127.1:{port}/").parse().unwrap();
    let outgoing = Outgoing::new(&url, &limits(true)).unwrap();
    assert!(outgoing.send(outgoing.client().post(url)).await.is_err());
    assert!(connections.load(Ordering::SeqCst) > 0);
}

/// Resolves every name to the next of its addresses, and after the last one always to the last.
struct Rebinding {
    addresses: Vec<IpAddr>,
    asked: Arc<AtomicUsize>,
}

impl Resolve for Rebinding {
    fn resolve(&self, _: Name) -> Resolving {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let address = self.addresses.get(asked).or(self.addresses.last()).copied();
        Box::pin(async move {
            Ok(Box::new(address.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

async fn through(
    addresses: Vec<IpAddr>,
    port: u16,
    allow_private: bool,
    times: usize,
) -> (Vec<String>, usize) {
    let asked = Arc::new(AtomicUsize::new(0));
    let url = format!("http://shop.example:{port}/").parse().unwrap();
    let limits = limits(allow_private);
    let inner = Rebinding { addresses, asked: asked.clone() };
    let client = client(&url, &limits, GuardedResolver { inner, allow_private }).unwrap();
    let mut failures = Vec::new();
    for _ in 0..times {
        let error = client.post(url.clone()).send().await.expect_err("nobody answers");
        failures.push(answer::failure(&error, limits.timeout));
    }
    (failures, asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_name_that_resolves_to_a_refused_address_is_not_connected_to() {
    let (port, connections) = listener().await;
    for address in addresses(NEVER).chain(addresses(PRIVATE)) {
        let (failures, _) = through(vec![address], port, false, 1).await;
        assert!(failures[0].starts_with(&format!("{address} is a")), "{failures:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_is_checked_again_at_every_connection() {
    let (port, connections) = listener().await;
    // The first address is permitted, so the listener is reached once. Then the name resolves to a
    // refused address.
    let (failures, asked) =
        through(vec!["127.0.0.1".parse().unwrap(), "0.0.0.0".parse().unwrap()], port, true, 3)
            .await;
    assert_eq!(asked, 3);
    assert!(
        failures[0].starts_with("connection")
            && failures[1..].iter().all(|why| why.starts_with("0.0.0.0 is an address")),
        "{failures:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_systems_resolver_is_guarded_too() {
    let resolver = GuardedResolver { inner: SystemResolver, allow_private: false };
    let resolved = resolver.resolve("localhost".parse().unwrap()).await;
    let error = resolved.err().expect("localhost is this machine");
    assert!(error.to_string().contains("allow_private = true"), "{error}");
    assert!(error.downcast_ref::<io::Error>().is_some());
}

#[tokio::test(start_paused = true)]
async fn attempts_start_at_the_configured_rate() {
    let start = tokio::time::Instant::now();
    let pace = Pace::new(50);
    for _ in 0..101 {
        pace.wait().await;
    }
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}
