//! Opens connections. No other module does, so other topologies and TLS options need changes in
//! this file only.

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, TlsCertificates};
use tokio::time::timeout_at;

use crate::options::check_authorities;
use crate::{Address, Deadline, Failure, Options, OptionsError};

/// Opens connections to one server.
pub(crate) struct Connector(Client);

impl Connector {
    pub(crate) fn new(address: &Address, options: &Options) -> Result<Connector, OptionsError> {
        let authorities = options.authorities.as_ref().filter(|_| address.is_tls());
        let info = address.info().clone();
        let client = match authorities {
            None => Client::open(info),
            Some(pem) => {
                check_authorities(pem)?;
                let root_cert = Some(pem.clone());
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
            }
        };
        // The address is already parsed, so the only possible error is in the certificates.
        client.map(Connector).map_err(|_| OptionsError::Authorities)
    }

    pub(crate) async fn open(&self, deadline: Deadline) -> Result<MultiplexedConnection, Failure> {
        // Disable the client's own limits, which are shorter. Only the deadline counts.
        let config =
            AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let opening = self.0.get_multiplexed_async_connection_with_config(&config);
        match timeout_at(deadline.at(), opening).await {
            Ok(opened) => opened.map_err(Failure::of_connecting),
            Err(_) => Err(Failure::no_connection_by(deadline)),
        }
    }

    pub(crate) async fn open_pubsub(&self, deadline: Deadline) -> Result<PubSub, Failure> {
        match timeout_at(deadline.at(), self.0.get_async_pubsub()).await {
            Ok(opened) => opened.map_err(Failure::of_connecting),
            Err(_) => Err(Failure::no_connection_by(deadline)),
        }
    }
}
