//! What the tests here share: one Kratos, unique names, and identities made in one line.

use futures::TryStreamExt;
use kratos_operator::kratos::{
    Client, CreateIdentity, CredentialImport, Error, Identity, IdentityFilter, PasswordImport, PatchOperation, Secret,
    Writer,
};
use serde_json::{Value, json};

use crate::testenv::kratos::Kratos;

/// A UUID that no identity has.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// The password of whoever has one. No dictionary knows it.
pub const PASSWORD: &str = "vX7-correct-horse-battery-staple";

/// The Kratos that all tests share, and a client of this test's runtime.
pub async fn kratos() -> (&'static Kratos, Writer) {
    let kratos = Kratos::shared().await;
    (kratos, kratos.client())
}

/// A mail address that no other test has.
pub fn email(who: &str) -> String {
    format!("{who}.{:016x}@example.com", rand::random::<u64>())
}

/// A customer, not yet created.
pub fn customer(email: &str) -> CreateIdentity {
    CreateIdentity { schema_id: "customer".into(), traits: json!({"email": email}), ..CreateIdentity::default() }
}

/// An identity without anything unique, not yet created.
pub fn plain(traits: Value) -> CreateIdentity {
    CreateIdentity { schema_id: "plain".into(), traits, ..CreateIdentity::default() }
}

/// An identity with nothing but a verifiable and recoverable address, not yet created.
pub fn contact(email: &str) -> CreateIdentity {
    CreateIdentity { schema_id: "contact".into(), traits: json!({"email": email}), ..CreateIdentity::default() }
}

/// A customer who can log in with [`PASSWORD`], not yet created.
pub fn customer_with_password(email: &str) -> CreateIdentity {
    CreateIdentity { credentials: password(PASSWORD), ..customer(email) }
}

/// A cleartext password.
pub fn password(text: &str) -> CredentialImport {
    CredentialImport { password: Some(PasswordImport::Cleartext(Secret::new(text))), ..CredentialImport::default() }
}

/// Reads an identity that is there.
pub async fn read(client: &Client, id: &str) -> Identity {
    client.get_identity(id, &[]).await.unwrap().expect("the identity is there")
}

/// All identities that a filter lets through, over all pages.
pub async fn list(client: &Client, filter: IdentityFilter) -> Result<Vec<Identity>, Error> {
    let pages: Vec<_> = client.list_identities(filter).try_collect().await?;
    Ok(pages.into_iter().flat_map(|page| page.items).collect())
}

pub fn add(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Add { path: path.into(), value }
}

pub fn replace(path: &str, value: Value) -> PatchOperation {
    PatchOperation::Replace { path: path.into(), value }
}

pub fn remove(path: &str) -> PatchOperation {
    PatchOperation::Remove { path: path.into() }
}
