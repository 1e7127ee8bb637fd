//! Names, resolved for a connection: what must not be connected to is taken out after the
//! resolving, so that a name that points somewhere else the next time (DNS rebinding) gains nothing
//! by it.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{self, Refused};

/// A resolver that gives nothing but addresses that may be connected to.
pub struct Guard<R> {
    pub inner: R,
    pub allow_private: bool,
}

/// The system's resolver.
pub struct System;

impl<R: Resolve> Resolve for Guard<R> {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, allow_private) = (self.inner.resolve(name), self.allow_private);
        Box::pin(async move { Ok(permitted(found.await?, allow_private)?) })
    }
}

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            Ok(Box::new(
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect::<Vec<_>>().into_iter(),
            ) as Addrs)
        })
    }
}

fn permitted(found: Addrs, allow_private: bool) -> Result<Addrs, io::Error> {
    let (mut permitted, mut refused): (Vec<SocketAddr>, Option<Refused>) = (Vec::new(), None);
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
