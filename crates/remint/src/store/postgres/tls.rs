//! Whom a connection to the database believes: chain and name of the server are checked wherever there is TLS. What an
//! operator can do where that fails. Never goes on in clear where a check failed.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio_postgres::Error;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::error::OpenError;

/// How connections are encrypted. Without a file the authorities of the system are believed; where there is to be no TLS,
/// nobody.
pub(super) fn connector(mode: SslMode, ca_file: Option<&Path>) -> Result<MakeRustlsConnect, OpenError> {
    let unusable = |error: rustls::Error| OpenError::NoAuthorities { what: error.to_string() };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?;
    let config = match (mode, ca_file) {
        (SslMode::Disable, _) => builder.with_root_certificates(RootCertStore::empty()),
        (_, Some(file)) => builder.dangerous().with_custom_certificate_verifier(of_file(file, provider)?),
        (_, None) => {
            let system = Verifier::new(provider).map_err(unusable)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(system))
        }
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

/// Whom the authorities of a file vouch for, and nobody else.
fn of_file(file: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, OpenError> {
    let unusable = |what: String| OpenError::BadCaFile { path: file.to_owned(), what };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("no certificate is in it".to_owned()));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(verifier.map_err(|error| unusable(error.to_string()))?)
}

/// What is to be done about a connection that could not be encrypted, where that is known.
pub(super) fn advice(error: &Error) -> Option<&'static str> {
    let source = error.source()?;
    if source.to_string() == "server does not support TLS" {
        return Some(
            "the server takes no TLS: set `ssl = on` there. Where nobody else can listen on the way, `sslmode=disable` \
             in the URL lets Remint go on in clear",
        );
    }
    let failed = source.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(why) = failed else { return None };
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "nobody who is believed vouches for its certificate: name the file of the authority that issued it in \
             `database_ca_file`",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("its certificate has expired: renew it at the database, and look at the clocks of both machines")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("its certificate is not valid yet: look at the clocks of both machines")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Some(
            "its certificate is for another name: write the name of the certificate into the URL (with `hostaddr` where \
             it does not resolve), or have one issued for this name (`subjectAltName`)",
        ),
        _ => None,
    }
}
