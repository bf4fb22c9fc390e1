//! The files with which the control plane and its clients authenticate: the administrator's token, the keys of service
//! accounts, the server's CA, kubeconfigs. Writes files, starts nothing.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::Result;

/// The prefix of a P-256 public key in X.509 (RFC 5480): lengths and the two identifiers.
const P256_PUBLIC_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The administrator's token, and the key that tokens of service accounts are signed with.
pub fn write(dir: &Path, token: &str) -> Result<()> {
    std::fs::write(dir.join("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
    let random = ring::rand::SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| "no key was made")?;
    let pair =
        EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).map_err(|_| "the key that was made is of no use")?;
    let public = [&P256_PUBLIC_KEY, pair.public_key().as_ref()].concat();
    let to_file = |name, tag, der: &[u8]| {
        let pem = pem::encode(&pem::Pem::new(tag, der));
        std::fs::write(dir.join(name), pem)
    };
    to_file("service-accounts.key", "PRIVATE KEY", key.as_ref())?;
    to_file("service-accounts.pub", "PUBLIC KEY", &public)?;
    Ok(())
}

/// A token of a service account with these claims.
pub fn sign_token(dir: &Path, claims: &serde_json::Value) -> Result<String> {
    let key = pem::parse(std::fs::read(dir.join("service-accounts.key"))?)?;
    let random = ring::rand::SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.contents(), &random)
        .map_err(|_| "the key of service accounts is of no use")?;
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(claims));
    let signature = key.sign(&random, signed.as_bytes()).map_err(|_| "it can't be signed")?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The CA that the server has created for itself: it is last in the file, after the server's own certificate.
pub fn last_certificate(path: &Path) -> Option<String> {
    let all = pem::parse_many(std::fs::read(path).ok()?).ok()?;
    let ca = all.get(1..)?.last()?;
    // The private key is written after the certificate: once it is there, the certificate is complete.
    path.with_extension("key").is_file().then(|| pem::encode(ca))
}

pub fn write_kubeconfig(dir: &Path, server: &str, token: &str) -> Result<()> {
    let cluster = json!({"server": server, "certificate-authority": dir.join("ca.crt")});
    let user = json!({"token": token});
    write_json(&dir.join("kubeconfig"), &kubeconfig(&cluster, &user))
}

pub fn kubeconfig(cluster: &serde_json::Value, user: &serde_json::Value) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testenv", "cluster": cluster}],
        "users": [{"name": "admin", "user": user}],
        "contexts": [{"name": "testenv", "context": {"cluster": "testenv", "user": "admin"}}],
        "current-context": "testenv",
    })
}

pub fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    Ok(std::fs::write(path, serde_json::to_string_pretty(value)?)?)
}
