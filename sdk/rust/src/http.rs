//! The real transport: reqwest over rustls.

use core::time::Duration;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;

use crate::fetch::KEY_HEADER;
use crate::transport::{Body, Request, Response, Transport, TransportError};

const CONNECT: Duration = Duration::from_secs(2);

/// HTTP by reqwest, TLS by rustls with ring and the system's certificates.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    client: reqwest::Client,
}

/// TLS or the HTTP client could not be set up, say because the system has no certificates.
#[derive(Debug, thiserror::Error)]
#[error("no TLS or HTTP client")]
pub struct HttpSetupError(#[source] Box<dyn core::error::Error + Send + Sync>);

impl HttpTransport {
    /// A transport for `https` base URLs, or for plain HTTP on loopback.
    pub(crate) fn new(loopback: bool) -> Result<Self, HttpSetupError> {
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            // The others are those of a fetch, which knows how large the body may be.
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(1)
            .referer(false)
            .tls_backend_preconfigured(tls(loopback).map_err(|error| HttpSetupError(error.into()))?);
        builder = if loopback {
            // A proxy is not asked for this machine, least of all in the clear and with a key.
            builder.no_proxy()
        } else {
            builder.https_only(true)
        };
        let client = builder.build().map_err(|error| HttpSetupError(error.into()))?;
        Ok(Self { client })
    }

    fn outgoing(&self, request: Request<'_>) -> Result<reqwest::RequestBuilder, TransportError> {
        let mut outgoing = self.client.get(request.url);
        for &(name, value) in request.headers {
            let mut value =
                HeaderValue::from_str(value).map_err(|error| TransportError::Broken(error.into()))?;
            // What logs or encodes headers below here then knows to leave it out.
            value.set_sensitive(name == KEY_HEADER);
            outgoing = outgoing.header(name, value);
        }
        Ok(outgoing)
    }
}

fn tls(loopback: bool) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let mut config = if loopback {
        // Never used: a machine without certificates can still speak plain HTTP to itself.
        config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    } else {
        let verifier = rustls_platform_verifier::Verifier::new(provider)?;
        config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[async_trait]
impl Transport for HttpTransport {
    async fn get(&self, request: Request<'_>) -> Result<Response, TransportError> {
        let incoming = self.outgoing(request)?.send().await.map_err(transport_error)?;
        let mut headers = Vec::with_capacity(8);
        for (name, value) in incoming.headers() {
            if let Ok(value) = value.to_str() {
                headers.push((name.as_str().to_owned(), value.to_owned()));
            }
        }
        let status = incoming.status().as_u16();
        let mut response = Response::new(status, HttpBody(incoming));
        for (name, value) in headers {
            response = response.with_header(&name, value);
        }
        Ok(response)
    }
}

struct HttpBody(reqwest::Response);

#[async_trait]
impl Body for HttpBody {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.chunk().await.map_err(transport_error)?.map(Vec::from))
    }
}

fn transport_error(error: reqwest::Error) -> TransportError {
    // A refused connection within the connect timeout is `Connect`; a slow one is `Timeout`.
    if error.is_timeout() {
        TransportError::Timeout
    } else if error.is_connect() {
        TransportError::Connect(error.without_url().into())
    } else {
        TransportError::Broken(error.without_url().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_sent_and_not_shown() {
        let transport = HttpTransport::new(true).unwrap();
        let headers = [("accept-encoding", "identity"), (KEY_HEADER, "fsk_canary")];
        let url = "http://127.0.0.1:1/closed/shop";
        let sent = transport.outgoing(Request { url, headers: &headers }).unwrap().build().unwrap();
        assert_eq!(sent.headers()[KEY_HEADER], "fsk_canary");
        let shown = format!("{sent:?}");
        assert!(shown.contains("identity") && !shown.contains("fsk_canary"), "{shown}");
    }
}
