//! Which addresses are connected to. An event holds what a shop knows about its buyers; whoever can
//! choose a receiver must not be able to send it to, or probe, what only this machine can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// A target that is not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is reached from inside only.
    #[error(
        "{0} is a private address; set allow_private = true on this action if its events are \
            meant to go there"
    )]
    Private(String),
    /// Nobody's receiver can be there.
    #[error(
        "{0} is an address that nothing is ever sent to (link-local, multicast, reserved or made \
            for translation)"
    )]
    Never(String),
    /// It is no address at all; it is not repeated, as it may hold a password.
    #[error("expected https:// or http://, and a host")]
    NotAnAddress,
}

#[derive(PartialEq)]
enum Standing {
    Public,
    Private,
    Never,
}

/// Checks a resolved address.
///
/// # Errors
/// Says what kind of address it is.
pub fn check(address: IpAddr, allow_private: bool) -> Result<(), Refused> {
    let standing = match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    };
    match standing {
        Standing::Public => Ok(()),
        Standing::Private if allow_private => Ok(()),
        Standing::Private => Err(Refused::Private(address.to_string())),
        Standing::Never => Err(Refused::Never(address.to_string())),
    }
}

/// Checks the address that stands in a URL, if one does. Parsing has brought every spelling
/// (hexadecimal, octal, a single number, full-width digits) into one form. A name is only checked
/// for being this machine's own.
///
/// # Errors
/// See [`check`].
pub fn check_url(url: &str, allow_private: bool) -> Result<(), Refused> {
    check_parsed(&parse(url)?, allow_private)
}

/// Reads the address of an endpoint.
pub(crate) fn parse(url: &str) -> Result<Url, Refused> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or(Refused::NotAnAddress)
}

/// [`check_url`] of a URL that was parsed.
pub(crate) fn check_parsed(url: &Url, allow_private: bool) -> Result<(), Refused> {
    let host = url.host_str().unwrap_or_default();
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return check(address, allow_private);
    }
    let name = host.trim_end_matches('.');
    let is_local = name == "localhost" || name.ends_with(".localhost");
    if is_local && !allow_private { Err(Refused::Private(host.to_owned())) } else { Ok(()) }
}

fn v4(address: Ipv4Addr) -> Standing {
    match address.octets() {
        // Where clouds keep what their machines may know: credentials among it. 169.254.169.254 is
        // link-local anyway.
        [100, 100, 100, 200] | [168, 63, 129, 16] => Standing::Never,
        // This network, link-local, protocol assignments, documentation (three), 6to4 relays,
        // benchmarks, multicast, reserved.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Standing::Never
        }
        [192, 88, 99, _] | [198, 18 | 19, ..] | [224..=255, ..] => Standing::Never,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Standing::Private
        }
        _ => Standing::Public,
    }
}

fn v6(address: Ipv6Addr) -> Standing {
    if let Some(inner) = translated(address) {
        return v4(inner);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Standing::Private,
        // Amazon's metadata service, within the range of private addresses.
        [0xfd00, 0xec2, ..] => Standing::Never,
        [0xfc00..=0xfdff, ..] => Standing::Private,
        // Protocol assignments with Teredo, documentation (two), 6to4.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2002, ..] => {
            Standing::Never
        }
        [0x2000..=0x3fff, ..] => Standing::Public,
        // Everything else is link-local, multicast, unspecified, a form of IPv4 long abandoned, or
        // not assigned to anybody.
        _ => Standing::Never,
    }
}

/// The IPv4 address in one that is mapped (`::ffff:0:0/96`) or goes through a translator
/// (`64:ff9b::/96`), as every name does in a network that has IPv6 only.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}
