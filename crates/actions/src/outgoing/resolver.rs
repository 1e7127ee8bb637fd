//! Resolves names for connections and removes refused addresses from each result. This stops DNS
//! rebinding, in which a name resolves to another address the next time.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{self, RefusedAddress};

/// A resolver that returns permitted addresses only.
pub struct GuardedResolver<R> {
    pub inner: R,
    pub allow_private: bool,
}

/// The system's resolver.
pub struct SystemResolver;

impl<R: Resolve> Resolve for GuardedResolver<R> {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        let found = self.inner.resolve(name);
        Box::pin(async move { Ok(permitted(found.await?, allow_private)?) })
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The permitted addresses of `found`; an error if all are refused.
fn permitted(found: Addrs, allow_private: bool) -> Result<Addrs, io::Error> {
    let mut permitted: Vec<SocketAddr> = Vec::new();
    let mut refused: Option<RefusedAddress> = None;
    for address in found {
        match address::check(address.ip(), allow_private) {
            Ok(()) => permitted.push(address),
            Err(why) => refused = Some(why),
        }
    }
    match refused {
        Some(why) if permitted.is_empty() => Err(io::Error::other(why)),
        _ => Ok(Box::new(permitted.into_iter())),
    }
}
