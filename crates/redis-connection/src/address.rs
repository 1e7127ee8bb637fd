//! The address of a server, with user and password.

use std::fmt;
use std::str::FromStr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// The address of one Redis server, `redis://user:password@host:port/db`; `rediss` asks for TLS.
///
/// User, password, port (6379) and database (0) are optional. `Debug` and `Display` show scheme,
/// host, port and database only: they never show the user, the password or the query.
#[derive(Clone)]
pub struct Address {
    info: ConnectionInfo,
    host: String,
    port: u16,
    is_tls: bool,
}

/// The text is not the address of a Redis server. The error does not repeat the text, because it
/// may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected redis://user:password@host:port/db, user, password, port and db optional")]
#[non_exhaustive]
pub struct AddressError;

impl Address {
    /// The host's name or IP address, without the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, as used in messages; an IPv6 address is in brackets.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        let Address { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The number of the database.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// Whether the connection uses TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.info
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        if !["redis://", "rediss://"].iter().any(|scheme| has_scheme(text, scheme)) {
            return Err(AddressError);
        }
        // A bare `?` or `#` in a password would end it there, and the user would be parsed as the
        // host. The only fragment that `redis` knows, `#insecure`, is not supported.
        let query = text.split_once('?').map_or("", |(_, query)| query);
        if text.contains('#') || query.contains('@') {
            return Err(AddressError);
        }
        // Drop the error: it may contain a part of the text.
        let info = text.into_connection_info().map_err(|_| AddressError)?;
        if info.redis_settings().db() < 0 {
            return Err(AddressError);
        }
        let (host, port, is_tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port, false),
            ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port, true),
            _ => return Err(AddressError),
        };
        Ok(Address { info, host, port, is_tls })
    }
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}/{}", self.host_and_port(), self.database())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Address>().unwrap().to_string()
    }

    #[test]
    fn only_the_host_is_required() {
        for (text, want) in [
            ("redis://example.com", "redis://example.com:6379/0"),
            ("redis://example.com/", "redis://example.com:6379/0"),
            ("redis://example.com:7000/3", "redis://example.com:7000/3"),
            ("redis://user@example.com", "redis://example.com:6379/0"),
            ("redis://:password@example.com", "redis://example.com:6379/0"),
            ("redis://user:password@example.com:7000/3", "redis://example.com:7000/3"),
            ("rediss://user:password@example.com:7000/3", "rediss://example.com:7000/3"),
            ("REDISS://example.com", "rediss://example.com:6379/0"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_has_brackets_only_with_its_port() {
        let address: Address = "rediss://:p@[2001:db8::1]:7000/3".parse().unwrap();
        assert_eq!((address.host(), address.port()), ("2001:db8::1", 7000));
        assert_eq!((address.database(), address.is_tls()), (3, true));
        assert_eq!(address.host_and_port(), "[2001:db8::1]:7000");
        assert_eq!(address.to_string(), "rediss://[2001:db8::1]:7000/3");
        assert_eq!(shown("redis://[::1]"), "redis://[::1]:6379/0");
    }

    #[test]
    fn user_password_and_query_are_used_and_never_shown() {
        let text = "redis://us3r:s3cr%2Ft%40@example.com/1?protocol=resp2&hint=s3cr3t";
        let address: Address = text.parse().unwrap();
        let settings = address.info().redis_settings();
        assert_eq!(settings.username(), Some("us3r"));
        assert_eq!(settings.password(), Some("s3cr/t@"));
        for shown in [address.to_string(), format!("{address:?}"), format!("{address:#?}")] {
            assert!(!["us3r", "s3cr", "protocol", "hint"].iter().any(|word| shown.contains(word)));
        }
    }

    #[test]
    fn an_invalid_address_is_refused_without_repeating_it() {
        let long = format!("redis://h/{}", "9".repeat(100_000));
        for text in [
            "",
            "c4n4ry",
            "redis",
            "redis:",
            "redis://",
            "redis:c4n4ry",
            "redis:///0",
            "redis://:c4n4ry@",
            "redis://:c4n4ry@/0",
            "c4n4ry://example.com",
            "http://:c4n4ry@example.com",
            "unix:///c4n4ry",
            "redis+unix:///c4n4ry",
            "redis://example.com/c4n4ry",
            "redis://example.com/-1",
            "redis://example.com/1/2",
            "redis://example.com:65536",
            "redis://example.com:c4n4ry",
            "redis://:%ff@example.com",
            "redis://:c4n4ry/5@example.com",
            "redis://user:12?c4n4ry@example.com",
            "redis://user:12#c4n4ry@example.com",
            "redis://user:12/3?c4n4ry@example.com",
            "rediss://example.com#insecure",
            "redis://example.com?protocol=c4n4ry",
            "redis://[::1",
            "redis://[c4n4ry]",
            "redis://0.0.0.0",
            "redis://exa mple.com",
            "redis://\u{0}",
            "레디스://호스트",
            "redi\u{301}://h",
            &long,
        ] {
            let error = text.parse::<Address>().expect_err(text);
            let said = format!("{error} {error:?}");
            assert!(said.contains("expected redis://") && !said.contains("c4n4ry"), "{said}");
        }
    }

    #[test]
    fn control_characters_of_a_host_are_in_no_message() {
        let address = "redis://a\u{1b}[2Jb".parse::<Address>();
        assert!(address.map_or(true, |address| !address.to_string().contains('\u{1b}')));
    }
}
