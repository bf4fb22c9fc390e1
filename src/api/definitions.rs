//! The `CustomResourceDefinition`s: the derived ones, with columns, defaults, and descriptions that the derive leaves out.
//!
//! Pure. `crds/` is generated from here, and a test fails when it is stale.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::{KratosIdentity, KratosInstance, KratosSessionPolicy};

/// A column of `kubectl get`.
struct Column {
    name: &'static str,
    /// `string`, `integer` or `date`.
    kind: &'static str,
    path: &'static str,
    /// Only shown with `-o wide`.
    is_wide: bool,
}

const READY: Column = Column::new("Ready", ".status.conditions[?(@.type=='Ready')].status");
const REASON: Column = Column::new("Reason", ".status.conditions[?(@.type=='Ready')].reason");
const MESSAGE: Column = Column::new("Message", ".status.conditions[?(@.type=='Ready')].message").wide();
const AGE: Column = Column { kind: "date", ..Column::new("Age", ".metadata.creationTimestamp") };

const INSTANCE_COLUMNS: &[Column] = &[
    READY,
    REASON,
    Column::new("Owner", ".spec.ownerName"),
    Column::new("Managed", ".status.identities.managed").integer(),
    Column::new("Drifted", ".status.identities.drifted").integer(),
    Column::new("Orphaned", ".status.identities.orphaned").integer().wide(),
    Column::new("Unmanaged", ".status.identities.unmanaged").integer().wide(),
    Column::new("Pending deletions", ".status.pendingDeletions.count").integer().wide(),
    Column::new("Mode", ".spec.mode").wide(),
    Column::new("Admin URL", ".spec.adminURL").wide(),
    MESSAGE,
    AGE,
];

const IDENTITY_COLUMNS: &[Column] = &[
    READY,
    REASON,
    Column::new("Schema", ".spec.schemaID"),
    Column::new("State", ".status.state"),
    Column::new("Identity", ".status.identityID"),
    Column::new("Drift", ".status.driftCount").integer(),
    Column::new("Instance", ".status.instanceNamespacedName").wide(),
    MESSAGE,
    AGE,
];

const POLICY_COLUMNS: &[Column] = &[
    READY,
    REASON,
    Column::new("Mode", ".spec.mode"),
    Column::new("Matched", ".status.lastRun.matched").integer(),
    Column::new("Failed", ".status.lastRun.failed").integer(),
    Column::new("Revoked", ".status.revokedTotal").integer(),
    Column { kind: "date", ..Column::new("Last run", ".status.lastRun.startedAt") },
    MESSAGE,
    AGE,
];

/// Defaults that the definition fills in, so that `kubectl explain`, columns and error messages show them. Only defaults that
/// depend on nothing else. Those that depend on another field, the instance or the mark are the operator's: a deletion's
/// policy, intervals that limit each other, a field that is only valid with another one.
///
/// The operator treats an absent field the same way: objects that are older than these defaults mean the same.
const DEFAULTS: &[(&str, &[&str], &str)] = &[
    ("KratosIdentity", &["traitsPolicy"], "Merge"),
    ("KratosIdentity", &["mode"], "Enforce"),
    ("KratosIdentity", &["adoption", "policy"], "Never"),
    ("KratosIdentity", &["credentials", "password", "format"], "Cleartext"),
    ("KratosIdentity", &["credentials", "password", "updatePolicy"], "OnSecretChange"),
    ("KratosIdentity", &["recovery", "expiresIn"], "1h"),
    ("KratosInstance", &["mode"], "Enforce"),
    ("KratosInstance", &["adoptionFrom"], "Same"),
    ("KratosInstance", &["requestTimeout"], "30s"),
    ("KratosSessionPolicy", &["mode"], "Enforce"),
    ("KratosSessionPolicy", &["interval"], "5m"),
];

impl Column {
    const fn new(name: &'static str, path: &'static str) -> Self {
        Self { name, kind: "string", path, is_wide: false }
    }

    const fn integer(self) -> Self {
        Self { kind: "integer", ..self }
    }

    const fn wide(self) -> Self {
        Self { is_wide: true, ..self }
    }

    fn definition(&self) -> CustomResourceColumnDefinition {
        CustomResourceColumnDefinition {
            name: self.name.to_owned(),
            type_: self.kind.to_owned(),
            json_path: self.path.to_owned(),
            priority: self.is_wide.then_some(1),
            ..CustomResourceColumnDefinition::default()
        }
    }
}

/// All definitions, in the order in which to install them.
pub fn all() -> Vec<CustomResourceDefinition> {
    let kinds = [
        (KratosInstance::crd(), INSTANCE_COLUMNS),
        (KratosIdentity::crd(), IDENTITY_COLUMNS),
        (KratosSessionPolicy::crd(), POLICY_COLUMNS),
    ];
    let mut definitions: Vec<_> = kinds.into_iter().map(|(crd, columns)| finish(crd, columns)).collect();
    definitions.iter_mut().filter(|crd| crd.spec.names.kind == "KratosIdentity").for_each(add_rules_of_the_root);
    definitions.iter_mut().for_each(fill_in);
    definitions
}

/// Writes the defaults into a kind's definition.
fn fill_in(crd: &mut CustomResourceDefinition) {
    let kind = crd.spec.names.kind.clone();
    let schemas =
        crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for root in schemas {
        for (_, path, value) in DEFAULTS.iter().filter(|(of, ..)| *of == kind) {
            let mut path = std::iter::once(&"spec").chain(*path);
            let field = path.try_fold(&mut *root, |at, name| at.properties.as_mut()?.get_mut(*name));
            if let Some(field) = field {
                field.default = Some(JSON(json!(value)));
                field.nullable = None;
            }
        }
    }
}

/// `replaces` names another resource.
const ANOTHER: (&str, &str) = (
    "!has(self.spec.replaces) || self.spec.replaces.name != self.metadata.name",
    "replaces names this resource itself: name the one whose identity it takes over",
);
/// The instance can't be changed once anything may have been created in it. `identity::status::is_open` decides this from the
/// status too: both must agree.
const PINNED: (&str, &str) = (
    "!has(oldSelf.spec.instanceRef) \
     || (has(self.spec.instanceRef) && self.spec.instanceRef == oldSelf.spec.instanceRef) \
     || (has(oldSelf.status) && !has(oldSelf.status.identityID) && !has(oldSelf.status.instance) \
     && has(oldSelf.status.conditions) && oldSelf.status.conditions.exists(c, c.type == 'Ready' \
     && c.status == 'False' && c.reason in ['InstanceNotReady', 'NotPermitted']))",
    "instanceRef can't be changed: delete the resource (deletion.policy Orphan keeps the identity) and make a new one",
);

/// Rules about the resource's name or status are only possible at the root, which the derive doesn't reach.
fn add_rules_of_the_root(crd: &mut CustomResourceDefinition) {
    let rules = [ANOTHER, PINNED].map(|(rule, message)| ValidationRule {
        rule: rule.to_owned(),
        message: Some(message.to_owned()),
        ..ValidationRule::default()
    });
    let schemas =
        crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(|root| root.x_kubernetes_validations.get_or_insert_default().extend_from_slice(&rules));
}

/// Defaults `status` to `observedGeneration: -1` (a resource that was never reconciled must not count as done), and adds
/// descriptions that the derive leaves out.
fn finish(mut crd: CustomResourceDefinition, columns: &[Column]) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = Some(columns.iter().map(Column::definition).collect());
        let root = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let Some(root) = root else { continue };
        let properties = root.properties.get_or_insert_default();
        if let Some(status) = properties.get_mut("status") {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            status.nullable = None;
            // Else the server would add the defaults of its parts.
            status.properties.iter_mut().flatten().for_each(|(_, property)| without_defaults(property));
            describe(status, "How it stands, written by the operator.");
        }
        if let Some(spec) = properties.get_mut("spec") {
            describe(spec, "What is wanted.");
        }
        each(root, &mut |part| {
            without_null_words(part);
            part.description = part.description.as_deref().map(in_paragraphs);
        });
    }
    crd
}

/// Changes a schema and all schemas in it.
fn each(schema: &mut JSONSchemaProps, change: &mut impl FnMut(&mut JSONSchemaProps)) {
    change(schema);
    schema.properties.iter_mut().flatten().for_each(|(_, property)| each(property, change));
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut schema.items {
        each(item, change);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        each(value, change);
    }
}

/// Joins the lines of a comment: `kubectl explain` wraps text itself.
fn in_paragraphs(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

/// Removes null from enumerations: the API server refuses a definition that lists it; it drops a null where none is allowed, or
/// fills in the default. Other fields without a default accept null: with server-side apply the API server drops none.
fn without_null_words(schema: &mut JSONSchemaProps) {
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
        schema.nullable = None;
    }
}

fn without_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.properties.iter_mut().flatten().for_each(|(_, property)| without_defaults(property));
}

fn describe(schema: &mut JSONSchemaProps, words: &str) {
    schema.description.get_or_insert_with(|| words.to_owned());
}

/// A spec as the API server stores it: with the defaults of absent fields, where their parent exists.
#[cfg(test)]
pub fn filled(kind: &str, spec: &serde_json::Value) -> serde_json::Value {
    let mut spec = spec.clone();
    for (_, path, value) in DEFAULTS.iter().filter(|(of, ..)| *of == kind) {
        let Some((name, parents)) = path.split_last() else { continue };
        let parent = parents.iter().try_fold(&mut spec, |at, name| at.get_mut(*name));
        if let Some(parent) = parent.and_then(serde_json::Value::as_object_mut) {
            parent.entry(*name).or_insert_with(|| json!(value));
        }
    }
    spec
}
