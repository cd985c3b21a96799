//! Certificate and key, checked before anything listens.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::failure::Failure;

/// TLS with a chain of certificates and the key of the first one, both PEM.
pub(in crate::verbs) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let chain = certificates(certificate)?;
    let private = private_key(key)?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::refused("tls-setup", format!("no TLS: {error}")))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| refused(&error, certificate, key))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(PemError::NoItemsFound) => {
            let detail = format!("{} holds no PEM certificate", path.display());
            Err(Failure::refused("tls-certificate-malformed", detail))
        }
        Err(error) => Err(unreadable("tls-certificate", path, &error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        PemError::NoItemsFound => {
            Failure::refused("tls-key-malformed", format!("{} holds no PEM private key", path.display()))
                .hint("PKCS #8, PKCS #1, and SEC1 are read; a key with a passphrase is not")
        }
        error => unreadable("tls-key", path, &error),
    })?;
    if is_exposed(path) {
        let detail = format!("{} can be read by everybody", path.display());
        return Err(Failure::refused("key-exposed", detail).hint(format!("chmod o= {}", path.display())));
    }
    Ok(key)
}

/// Whether more than owner and group may read it: a group of its own for certificates is common.
#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o007 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_path: &Path) -> bool {
    false
}

fn unreadable(what: &str, path: &Path, error: &PemError) -> Failure {
    match error {
        PemError::Io(error) => Failure::refused(
            &format!("{what}-unreadable"),
            format!("{} cannot be read: {error}", path.display()),
        ),
        error => Failure::refused(
            &format!("{what}-malformed"),
            format!("{} is no PEM file: {error}", path.display()),
        ),
    }
}

fn refused(error: &rustls::Error, certificate: &Path, key: &Path) -> Failure {
    let (certificate, key) = (certificate.display(), key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => Failure::refused(
            "tls-mismatch",
            format!("the key in {key} is not the one that the first certificate in {certificate} is for"),
        )
        .hint("the server's own certificate comes first in the file, those of authorities after it"),
        rustls::Error::InvalidCertificate(_) => Failure::refused(
            "tls-certificate-malformed",
            format!("the first certificate in {certificate} cannot be used: {error}"),
        ),
        error => Failure::refused("tls-key-malformed", format!("the key in {key} cannot be used: {error}")),
    }
}
