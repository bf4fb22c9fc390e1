//! Issues one recovery: Kratos makes it, the Secret gets it, the mark notes it. Decides nothing. Kratos' answer is stored in
//! the Secret alone.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::apply_error::ApplyError;
use crate::engine::cluster::Secrets;
use crate::identity::plan;
use crate::identity::recovery::{Issue, RecoveryMethod};
use crate::kratos::{Error, Identity, WriteCause, Writer};

/// What Kratos made.
struct Issued {
    link: SecretString,
    code: Option<SecretString>,
    expires_at: Option<Timestamp>,
}

/// Issues it. Returns the identity, whose mark says so. Where it ends in between it is issued once more; what was issued
/// before then works until it expires, and nobody has it.
pub async fn run(client: &Writer, secrets: &dyn Secrets, issue: &Issue) -> Result<Identity, ApplyError> {
    let Issue { id, method: _, expires_in: _, secret, replaces, mark: _ } = issue;
    let is_by_token = issue.mark.recovery.as_ref().is_some_and(|recovery| recovery.token.is_some());
    let client = if is_by_token { &client.with_cause(WriteCause::Action("recovery")) } else { client };
    // Kratos isn't asked for what couldn't be kept.
    secrets.write(secret, replaces.as_ref(), BTreeMap::new(), true).await?;
    let issued = ask(client, issue).await?;
    let now = Timestamp::now();
    let expires_at = issued.expires_at.unwrap_or_else(|| issue.expires_by(now));
    let data = content(&issued, id, expires_at);
    secrets.write(secret, replaces.as_ref(), data, false).await?;
    Ok(client.patch_identity(id, &[plan::note(issue, expires_at, now)]).await?)
}

async fn ask(client: &Writer, issue: &Issue) -> Result<Issued, Error> {
    let expires_in = Some(issue.expires_in);
    Ok(match &issue.method {
        RecoveryMethod::Link { return_to } => {
            let made = client.create_recovery_link_for_identity(&issue.id, expires_in, return_to.as_deref()).await?;
            Issued { link: made.recovery_link, code: None, expires_at: made.expires_at }
        }
        RecoveryMethod::Code { is_api } => {
            let made = client.create_recovery_code_for_identity(&issue.id, expires_in, *is_api).await?;
            Issued { link: made.recovery_link, code: Some(made.recovery_code), expires_at: made.expires_at }
        }
    })
}

fn content(issued: &Issued, id: &str, expires_at: Timestamp) -> BTreeMap<String, ByteString> {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let mut data = BTreeMap::from([
        ("link".to_owned(), bytes(issued.link.expose_secret())),
        ("expiresAt".to_owned(), bytes(&expires_at.to_string())),
        ("identityID".to_owned(), bytes(id)),
    ]);
    data.extend(issued.code.as_ref().map(|code| ("code".to_owned(), bytes(code.expose_secret()))));
    data
}
