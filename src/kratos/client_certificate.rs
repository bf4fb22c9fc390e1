//! The client certificate with its key (mutual TLS): parsed from PEM, and checked before it is used. Pure: time is an argument.
//! Never shows the key.

use std::fmt;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretSlice};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// A certificate with its chain and key.
#[derive(Clone)]
pub struct ClientCertificate {
    /// All of it, the key included.
    pem: SecretSlice<u8>,
    /// Valid from and until, each in seconds since 1970 and as a text.
    from: (i64, String),
    until: (i64, String),
}

/// Why a certificate can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("tls.crt holds no readable PEM certificate")]
    NoCertificate,
    #[error("tls.key holds no readable PEM private key (one that is encrypted can't be read)")]
    NoKey,
    #[error("the key in tls.key is of no kind that is known: RSA, ECDSA with P-256 or P-384, Ed25519")]
    UnknownKey,
    #[error("the key in tls.key isn't that of the certificate in tls.crt")]
    NoPair,
    #[error("the certificate in tls.crt is valid only from {0} on; have one issued that is valid now")]
    NotYetValid(String),
    #[error("the certificate in tls.crt expired at {0}; renew it")]
    Expired(String),
}

impl ClientCertificate {
    /// Parses a Secret of type kubernetes.io/tls: a certificate, its chain after it, and its key.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|_| CertificateError::NoCertificate)?;
        let first = chain.first().cloned().ok_or(CertificateError::NoCertificate)?;
        let (_, read) = X509Certificate::from_der(&first).map_err(|_| CertificateError::NoCertificate)?;
        let validity = read.validity();
        let told = |at: x509_parser::time::ASN1Time| (at.timestamp(), at.to_string());
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::NoPair,
            rustls::Error::InvalidCertificate(_) => CertificateError::NoCertificate,
            _ => CertificateError::UnknownKey,
        })?;
        let pem = [certificate, b"\n", key].concat();
        Ok(Self { pem: pem.into(), from: told(validity.not_before), until: told(validity.not_after) })
    }

    /// Checks that it is valid at `now`, in seconds since 1970.
    pub fn ensure_valid(&self, now: i64) -> Result<(), CertificateError> {
        let ((from, from_words), (until, until_words)) = (&self.from, &self.until);
        if now < *from {
            return Err(CertificateError::NotYetValid(from_words.clone()));
        }
        if now > *until { Err(CertificateError::Expired(until_words.clone())) } else { Ok(()) }
    }

    /// All of it, the key included.
    pub(super) fn pem(&self) -> &SecretSlice<u8> {
        &self.pem
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.pem.expose_secret() == other.pem.expose_secret()
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientCertificate(until {})", self.until.1)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["operator.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 2, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// Seconds since 1970.
    const WITHIN: i64 = 1_768_435_200;
    const DAY: i64 = 86_400;

    #[test]
    fn a_pair_is_valid_in_its_time_alone_and_shows_no_key() {
        let (certificate, key) = made();
        let read = ClientCertificate::read(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(read.ensure_valid(WITHIN), Ok(()));
        let early = read.ensure_valid(WITHIN - 20 * DAY).unwrap_err();
        let late = read.ensure_valid(WITHIN + 20 * DAY).unwrap_err();
        assert!(matches!(early, CertificateError::NotYetValid(_)) && early.to_string().contains("2026"), "{early}");
        assert!(matches!(late, CertificateError::Expired(_)) && late.to_string().contains("2026"), "{late}");
        assert!(!format!("{read:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_lacks_is_said() {
        let ((certificate, key), (_, another)) = (made(), made());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let odd = "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
        for (certificate, key, expected) in [
            ("", key.as_str(), CertificateError::NoCertificate),
            ("rubbish", &key, CertificateError::NoCertificate),
            (no_certificate, &key, CertificateError::NoCertificate),
            (&key, &key, CertificateError::NoCertificate),
            (&certificate, "", CertificateError::NoKey),
            (&certificate, &certificate, CertificateError::NoKey),
            (&certificate, encrypted, CertificateError::NoKey),
            (&certificate, odd, CertificateError::UnknownKey),
            (&certificate, &another, CertificateError::NoPair),
        ] {
            let found = ClientCertificate::read(certificate.as_bytes(), key.as_bytes()).map(drop);
            assert_eq!(found, Err(expected), "{certificate} {key}");
        }
    }
}
