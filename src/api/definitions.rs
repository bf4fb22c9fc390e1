//! The `CustomResourceDefinition`s: what the derives make, with columns, and with what they leave without words.
//!
//! Pure. `crds/` is written from here and a test fails when it is stale.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSON, JSONSchemaProps, ValidationRule,
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
    /// Shown with `-o wide` alone.
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
    Column::new("Instance", ".status.instance.name").wide(),
    MESSAGE,
    AGE,
];

const POLICY_COLUMNS: &[Column] = &[
    READY,
    REASON,
    Column::new("Mode", ".spec.mode"),
    Column::new("Matched", ".status.lastRun.matched").integer(),
    Column::new("Revoked", ".status.lastRun.revoked").integer(),
    Column { kind: "date", ..Column::new("Last run", ".status.lastRun.startedAt") },
    MESSAGE,
    AGE,
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

/// All definitions, in the order in which they are to be installed.
pub fn all() -> Vec<CustomResourceDefinition> {
    let kinds = [
        (KratosInstance::crd(), INSTANCE_COLUMNS),
        (KratosIdentity::crd(), IDENTITY_COLUMNS),
        (KratosSessionPolicy::crd(), POLICY_COLUMNS),
    ];
    let mut definitions: Vec<_> = kinds.into_iter().map(|(crd, columns)| finish(crd, columns)).collect();
    definitions.iter_mut().filter(|crd| crd.spec.names.kind == "KratosIdentity").for_each(refuse_itself);
    definitions
}

/// Names of resources are known at the root alone, which the derive doesn't reach.
fn refuse_itself(crd: &mut CustomResourceDefinition) {
    let rule = ValidationRule {
        rule: "!has(self.spec.replaces) || self.spec.replaces.name != self.metadata.name".to_owned(),
        message: Some("replaces names this resource itself: name the one whose identity it takes over".to_owned()),
        ..ValidationRule::default()
    };
    let schemas =
        crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(|root| root.x_kubernetes_validations.get_or_insert_default().push(rule.clone()));
}

/// Defaults `status` to `observedGeneration: -1` (a resource that nobody has looked at must not count as done) and
/// describes what the derive leaves without words.
fn finish(mut crd: CustomResourceDefinition, columns: &[Column]) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = Some(columns.iter().map(Column::definition).collect());
        let root = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let Some(properties) = root.and_then(|root| root.properties.as_mut()) else { continue };
        if let Some(status) = properties.get_mut("status") {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            status.nullable = None;
            // The server would add those of the parts to it.
            status.properties.iter_mut().flatten().for_each(|(_, property)| without_defaults(property));
            describe(status, "How it stands, written by the operator.");
        }
        if let Some(spec) = properties.get_mut("spec") {
            describe(spec, "What is wanted.");
        }
    }
    crd
}

fn without_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.properties.iter_mut().flatten().for_each(|(_, property)| without_defaults(property));
}

fn describe(schema: &mut JSONSchemaProps, words: &str) {
    schema.description.get_or_insert_with(|| words.to_owned());
}
