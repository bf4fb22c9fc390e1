//! Changes identities with unreadable content. Kratos itself can't patch an identity with a number beyond a double; then it is
//! replaced as a whole, with its own texts. It may change only the state and members of `metadata_admin`.

use reqwest::Method;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::error::Error;
use super::types::{Content, Identity, PatchOperation};
use super::writer::Writer;

/// A whole identity, its contents as texts.
#[derive(Serialize)]
struct Verbatim<'a> {
    schema_id: &'a str,
    state: String,
    traits: Box<RawValue>,
    metadata_public: Box<RawValue>,
    metadata_admin: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
}

impl Writer {
    /// Patches an identity. Where the server can't because of its content, and the change is of the state or of a member of
    /// `metadata_admin`, reads it and replaces it as a whole. Changes that somebody makes between the two are undone; bytes
    /// that aren't text are written as an escape that isn't text either.
    pub async fn patch_verbatim(&self, id: &str, operations: &[PatchOperation]) -> Result<Identity, Error> {
        let refusal = match self.patch_identity(id, operations).await {
            Err(error) if error.is_patch_inapplicable() => error,
            answer => return answer,
        };
        let Some(identity) = self.get_identity(id, &[]).await? else { return Err(refusal) };
        let Some(changed) = Verbatim::of(&identity).and_then(|verbatim| verbatim.changed(operations)) else {
            return Err(refusal);
        };
        let path = ["admin", "identities", id];
        let write = self.about(id).to(operations.iter().map(|operation| operation.path().to_owned()));
        self.identity(&self.with("update_identity", Method::PUT, &path, &changed, write)?).await
    }
}

impl<'a> Verbatim<'a> {
    /// `None`: all of it can be read, so a patch will do.
    fn of(identity: &'a Identity) -> Option<Self> {
        identity.readable().err()?;
        Some(Self {
            schema_id: &identity.schema_id,
            state: identity.state.as_str().to_owned(),
            traits: text(&identity.traits)?,
            metadata_public: text(&identity.metadata_public)?,
            metadata_admin: text(&identity.metadata_admin)?,
            external_id: identity.external_id.as_deref(),
        })
    }

    /// With these changes. `None`: one of them isn't possible here.
    fn changed(mut self, operations: &[PatchOperation]) -> Option<Self> {
        for operation in operations {
            let (PatchOperation::Add { path, value } | PatchOperation::Replace { path, value }) = operation else {
                return None;
            };
            if path == "/state" {
                value.as_str()?.clone_into(&mut self.state);
            } else {
                let key = path.strip_prefix("/metadata_admin/").filter(|key| !key.contains(['/', '~']))?;
                self.metadata_admin = with_member(&self.metadata_admin, key, value)?;
            }
        }
        Some(self)
    }
}

fn text(content: &Content) -> Option<Box<RawValue>> {
    match content {
        Content::Readable(value) => to_raw_value(value).ok(),
        Content::Opaque(opaque) => RawValue::from_string(opaque.text().to_owned()).ok(),
    }
}

/// An object, or null, with one member set and all others as their texts.
fn with_member(object: &RawValue, key: &str, value: &Value) -> Option<Box<RawValue>> {
    let members = if object.get() == "null" { Vec::new() } else { super::types::members(object.get())? };
    let others =
        members.into_iter().filter(|(name, _)| serde_json::from_str::<String>(name).ok().as_deref() != Some(key));
    let others = others.map(|(name, text)| format!("{name}:{text}"));
    let all: Vec<_> = others.chain([format!("{}:{value}", json!(key))]).collect();
    RawValue::from_string(format!("{{{}}}", all.join(","))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(identity: &str, operations: &[PatchOperation]) -> Option<String> {
        let identity: Identity = serde_json::from_str(identity).unwrap();
        let changed = Verbatim::of(&identity)?.changed(operations)?;
        serde_json::to_string(&changed).ok()
    }

    fn set(path: &str, value: Value) -> PatchOperation {
        PatchOperation::Replace { path: path.to_owned(), value }
    }

    #[test]
    fn everything_but_the_change_keeps_its_text() {
        let identity = r#"{"id": "1", "schema_id": "s", "state": "active", "external_id": "e",
            "traits": {"x":1e400,"y":"\ud800"}, "metadata_admin": {"m":{"a":1}, "\udfff":2, "z":-1e999}}"#;
        let operations = [set("/state", json!("inactive")), set("/metadata_admin/m", json!({"b": 2}))];
        let expected = r#"{"schema_id":"s","state":"inactive","traits":{"x":1e400,"y":"\ud800"},"metadata_public":null,"metadata_admin":{"\udfff":2,"z":-1e999,"m":{"b":2}},"external_id":"e"}"#;
        assert_eq!(changed(identity, &operations).as_deref(), Some(expected));
    }

    #[test]
    fn only_what_cannot_be_patched_is_written_so_and_only_state_and_metadata_change() {
        let set_state = [set("/state", json!("inactive"))];
        assert_eq!(changed(r#"{"id": "1", "traits": {"x": 1}}"#, &set_state), None);
        let odd = r#"{"id": "1", "traits": {"x": 1e400}}"#;
        for path in ["/traits/x", "/metadata_admin", "/metadata_admin/a/b", "/schema_id"] {
            assert_eq!(changed(odd, &[set(path, json!("y"))]), None, "{path}");
        }
        assert_eq!(changed(odd, &[PatchOperation::Remove { path: "/state".to_owned() }]), None);
        let marked = changed(odd, &[set("/metadata_admin/m", json!(1))]).unwrap();
        assert!(marked.contains(r#""metadata_admin":{"m":1}"#), "{marked}");
    }
}
