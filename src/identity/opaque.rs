//! The message for an identity that can't be read as a whole. Pure.

use super::schema::shape::Shape;
use super::{path_redaction, pointer};
use crate::api::words::{LONGEST_STATEMENT, shown};
use crate::api::{ReadyCondition, Reason};
use crate::kratos::Opaque;

/// The condition for an identity of which something can't be read. `root`: the pointer of what holds it. `owned`:
/// pointers of what the manifest owns. `shape`: what the schema says of traits.
pub fn condition((root, opaque): (&str, &Opaque), owned: &[String], shape: Option<&Shape>) -> ReadyCondition {
    let place = opaque.place().iter().fold(root.to_owned(), |at, key| pointer::join(&at, key));
    let by_manifest = path_redaction::by_manifest(owned);
    let place = path_redaction::nearest(&place, |at| by_manifest.contains(at), shape);
    let beginning = format!("{} at ", opaque.cause().as_str());
    let end = " can't be read: replace the identity in Kratos without it; until then only deactivation, revokeSessions and \
                 deletion are done";
    let longest = LONGEST_STATEMENT.saturating_sub(beginning.chars().count() + end.chars().count());
    ReadyCondition::new(Reason::KratosRejected, format!("{beginning}{}{end}", shown(&place, longest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kratos::{Content, Identity};

    #[test]
    fn where_it_is_and_no_value_is_shown() {
        let identity = r#"{"id": "1", "metadata_public": {"subscription": {"hush": 1e400}}}"#;
        let identity: Identity = serde_json::from_str(identity).unwrap();
        let unreadable = identity.readable().unwrap_err();
        let message = condition(unreadable, &["/metadata_public/subscription".to_owned()], None).message;
        assert!(message.contains(" at /metadata_public/subscription can't"), "{message}");
        assert!(!message.contains("hush") && !message.contains("1e400"), "{message}");
        assert!(matches!(identity.metadata_public, Content::Opaque(_)));
    }
}
