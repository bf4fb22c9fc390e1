//! Traits whose values come from Secrets, set where their pointers say. Pure. Values are never shown; pointers are.

use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::pointer;
use super::secrets::Secrets;
use crate::api::depth::MAX_DEPTH;
use crate::api::identity::TraitFrom;
use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};

/// The traits of a manifest with those from Secrets among them. `InvalidSpec` where a pointer leads nowhere or meets
/// another value, whether the Secret is there or not.
pub fn fill(
    traits: &Map<String, Value>,
    from: &[TraitFrom],
    secrets: &Secrets,
) -> Result<Map<String, Value>, ReadyCondition> {
    let mut filled = traits.clone();
    let mut places: Vec<&str> = Vec::new();
    for TraitFrom { path, .. } in from {
        let meets = |other: &&&str| pointer::is_within(path, other) || pointer::is_within(other, path);
        if let Some(other) = places.iter().find(meets) {
            return Err(invalid(path, &format!("meets {}; name each place once", shown(other, NAME))));
        }
        places.push(path);
        set(&mut filled, path, Value::Null, traits)?;
    }
    for TraitFrom { path, secret_key_ref } in from {
        let text = secrets.text(secret_key_ref)?.expose_secret();
        set(&mut filled, path, Value::String(text.to_owned()), &Map::new())?;
    }
    Ok(filled)
}

/// Sets a value, making the objects on the way. `taken`: what stands there already by another word of the manifest.
fn set(
    traits: &mut Map<String, Value>,
    path: &str,
    value: Value,
    taken: &Map<String, Value>,
) -> Result<(), ReadyCondition> {
    let keys = pointer::split(path);
    let Some((last, parents)) = keys.split_last() else { return Err(invalid(path, "names no trait")) };
    if keys.len() > MAX_DEPTH {
        return Err(invalid(path, &format!("leads deeper than {MAX_DEPTH} levels; make the traits flatter")));
    }
    let (mut members, mut taken) = (traits, Some(taken));
    for key in parents {
        let child = members.entry(key).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = child else {
            return Err(invalid(path, "leads through something in spec.traits that is no object"));
        };
        members = inner;
        taken = taken.and_then(|taken| taken.get(key)?.as_object());
    }
    if taken.is_some_and(|taken| taken.contains_key(last)) {
        return Err(invalid(path, "is set by spec.traits too; keep one of them"));
    }
    members.insert(last.clone(), value);
    Ok(())
}

fn invalid(path: &str, what: &str) -> ReadyCondition {
    let path = shown(path, NAME);
    ReadyCondition::new(Reason::InvalidSpec, format!("the path {path} of spec.traitsFrom {what}"))
}
