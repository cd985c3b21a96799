//! The address that clients see, and the connection strings made of it.

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use flagstone_bundle::root::Pin;
use flagstone_model::key::{EnvironmentId, ProjectId};
use reqwest::Url;

use crate::failure::Failure;

/// Where the bucket is served, without a final slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verbs) struct PublicUrl(String);

impl PublicUrl {
    /// The bucket of a process that listens here, without TLS.
    pub(in crate::verbs) fn of(address: SocketAddr) -> Self {
        Self(format!("http://{address}/cdn"))
    }

    /// HTTPS or, on loopback, HTTP; no user name, query, or fragment.
    pub(in crate::verbs) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("public-url: `{text}` {why}"));
        let url = Url::parse(text).map_err(|error| wrong(&format!("is no URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::usage("public-url: it holds a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment"));
        }
        let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(wrong("is plain HTTP, which clients speak on loopback only")),
            _ => return Err(wrong("begins with neither https:// nor http://")),
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The connection string of a stream.
    pub(in crate::verbs) fn connection(
        &self,
        project: &ProjectId,
        environment: &EnvironmentId,
        view: &str,
        pin: Pin,
    ) -> String {
        let (scheme, rest) = match self.0.split_once("://") {
            Some(("http", rest)) => ("flagstone+http", rest),
            Some((_, rest)) => ("flagstone", rest),
            None => ("flagstone", self.0.as_str()),
        };
        format!("{scheme}://{rest}?project={project}&environment={environment}&view={view}&root={pin}")
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_says_which_scheme_the_address_has() {
        let pin = Pin::parse(&format!("1:{}", "ab".repeat(32))).unwrap();
        let (project, environment) =
            (ProjectId::parse("acme").unwrap(), EnvironmentId::parse("production").unwrap());
        for (url, begins) in [
            ("https://flags.example.com/cdn/", "flagstone://flags.example.com/cdn?project=acme&"),
            ("http://127.0.0.1:8080/cdn", "flagstone+http://127.0.0.1:8080/cdn?project=acme&"),
        ] {
            let text = PublicUrl::parse(url).unwrap().connection(&project, &environment, "server", pin);
            assert!(text.starts_with(begins), "{text}");
            let read = flagstone::Connection::parse(&text).unwrap();
            assert_eq!((read.stream().project.clone(), *read.pin()), (project.clone(), pin));
        }
    }

    #[test]
    fn what_clients_could_not_use_is_refused() {
        for wrong in [
            "flags.example.com",
            "http://flags.example.com/cdn",
            "https://u:p@x/",
            "https://x/?a=1",
            "ftp://x/",
        ] {
            assert_eq!(PublicUrl::parse(wrong).unwrap_err().code, "usage", "{wrong}");
        }
    }
}
