//! Checks addresses before a connection (SSRF protection). Events hold data of buyers, and the URL
//! of an endpoint may come from somebody who must not reach this machine's internal network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Why an address must not be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedAddress {
    /// It is reachable from a private network only.
    #[error(
        "{0} is a private address; set allow_private = true on this action if its events are \
            meant to go there"
    )]
    Private(String),
    /// No endpoint can have this address.
    #[error(
        "{0} is an address that nothing is ever sent to (link-local, multicast, reserved or for \
         translation)"
    )]
    Never(String),
    /// It is no URL. The error does not repeat it: it may hold a password.
    #[error("expected https:// or http://, and a host")]
    NotAnAddress,
}

#[derive(PartialEq)]
enum AddressClass {
    Public,
    Private,
    Never,
}

/// Checks a resolved address.
///
/// # Errors
/// If the address must not be connected to.
pub fn check(address: IpAddr, allow_private: bool) -> Result<(), RefusedAddress> {
    let class = match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    };
    match class {
        AddressClass::Public => Ok(()),
        AddressClass::Private if allow_private => Ok(()),
        AddressClass::Private => Err(RefusedAddress::Private(address.to_string())),
        AddressClass::Never => Err(RefusedAddress::Never(address.to_string())),
    }
}

/// Checks the host of a URL. The URL parser has already normalised every spelling of an IP address
/// (hexadecimal, octal, a single number, full-width digits). Of names, only `localhost` is refused
/// here; the resolver checks the others.
///
/// # Errors
/// See [`check`].
pub fn check_url(url: &str, allow_private: bool) -> Result<(), RefusedAddress> {
    check_parsed(&parse(url)?, allow_private)
}

/// Parses the URL of an endpoint.
pub(crate) fn parse(url: &str) -> Result<Url, RefusedAddress> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or(RefusedAddress::NotAnAddress)
}

/// [`check_url`] for a parsed URL.
pub(crate) fn check_parsed(url: &Url, allow_private: bool) -> Result<(), RefusedAddress> {
    let host = url.host_str().unwrap_or_default();
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return check(address, allow_private);
    }
    let name = host.trim_end_matches('.');
    let is_local = name == "localhost" || name.ends_with(".localhost");
    if is_local && !allow_private { Err(RefusedAddress::Private(host.to_owned())) } else { Ok(()) }
}

fn v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        // Metadata services of clouds; they give out credentials. 169.254.169.254 is link-local.
        [100, 100, 100, 200] | [168, 63, 129, 16] => AddressClass::Never,
        // This network, link-local, protocol assignments, documentation (three), 6to4 relays,
        // benchmarks, multicast, reserved.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            AddressClass::Never
        }
        [192, 88, 99, _] | [198, 18 | 19, ..] | [224..=255, ..] => AddressClass::Never,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            AddressClass::Private
        }
        _ => AddressClass::Public,
    }
}

fn v6(address: Ipv6Addr) -> AddressClass {
    if let Some(inner) = translated(address) {
        return v4(inner);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Private,
        // Amazon's metadata service, inside the private range.
        [0xfd00, 0xec2, ..] => AddressClass::Never,
        [0xfc00..=0xfdff, ..] => AddressClass::Private,
        // Protocol assignments with Teredo, documentation (two), 6to4.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2002, ..] => {
            AddressClass::Never
        }
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        // Link-local, multicast, unspecified, an abandoned form of IPv4, or not assigned.
        _ => AddressClass::Never,
    }
}

/// The IPv4 address inside an IPv6 address: mapped (`::ffff:0:0/96`), or NAT64 (`64:ff9b::/96`),
/// which IPv6-only networks use for every IPv4 host.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}
