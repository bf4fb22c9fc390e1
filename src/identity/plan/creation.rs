//! The plan where there is no identity: one request that creates it whole. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::step::{METADATA_ADMIN, METADATA_PUBLIC, PASSWORD, Plan, RECOVERY, SCHEMA_ID, Step, TRAITS};
use crate::api::GROUP;
use crate::identity::actions;
use crate::identity::addresses::VERIFIABLE_ADDRESSES;
use crate::identity::claim::Claimant;
use crate::identity::desired::Desired;
use crate::identity::json::{self, Null};
use crate::identity::mark::PasswordMark;
use crate::identity::{links, pointer, recovery};
use crate::kratos::{CreateIdentity, CredentialImport, CredentialType, State};

/// The plan where there is no identity.
pub(super) fn plan(claimant: &Claimant, desired: &Desired, owned_paths: Vec<String>, now: Timestamp) -> Plan {
    let mut mark = claimant.mark(owned_paths.clone(), None);
    mark.actions = actions::at_creation(&desired.actions, now);
    let no_password = desired.absent.contains(&CredentialType::Password).then(PasswordMark::of_none);
    let at = Time(recovery::whole_second(now));
    let noted = desired.password.as_ref().map(|password| password.sent(&claimant.uid, &at));
    mark.password = noted.or(no_password);
    mark.links = desired.links.clone();
    mark.identifiers = desired.identifiers.note(None, &claimant.uid);
    mark.auto_links = links::automatic(&desired.auto_links, &[], &desired.auto_subject);
    let state = desired.state.unwrap_or(State::Active);
    recovery::begin(&mut mark, desired.recovery.as_ref(), state, now);
    let public = json::merge(METADATA_PUBLIC, &Value::Null, &desired.metadata_public, &[], Null::Absent);
    let mut admin = json::merge(METADATA_ADMIN, &Value::Null, &desired.metadata_admin, &[], Null::Absent);
    admin[GROUP] = mark.to_value();
    let create = CreateIdentity {
        schema_id: desired.schema_id.clone(),
        traits: Value::Object(desired.traits.clone()),
        state: Some(state),
        metadata_public: (!desired.metadata_public.is_empty()).then_some(public),
        metadata_admin: Some(admin),
        external_id: desired.external_id.clone(),
        organization_id: desired.organization_id.clone(),
        credentials: CredentialImport {
            password: desired.password.as_ref().map(|password| password.import.clone()),
            oidc: desired.links.oidc.clone(),
            auto_links: mark.auto_links.clone(),
            saml: desired.links.saml.clone(),
        },
        verifiable_addresses: desired.verified_addresses.clone(),
        ..CreateIdentity::default()
    };
    let mut changes = vec![SCHEMA_ID.to_owned()];
    changes.extend(json::leaves(TRAITS, &desired.traits));
    changes.extend(owned_paths.iter().filter(|path| !pointer::is_within(path, TRAITS)).cloned());
    changes.extend(desired.password.as_ref().map(|_| PASSWORD.to_owned()));
    if !desired.verified_addresses.is_empty() {
        changes.push(VERIFIABLE_ADDRESSES.to_owned());
    }
    changes.extend(mark.recovery.as_ref().map(|_| RECOVERY.to_owned()));
    let traits = create.traits.clone();
    let refusal = desired.password.as_ref().and_then(|password| password.refusal().cloned());
    Plan { steps: vec![Step::Create(Box::new(create))], changes, owned_paths, traits, refusal, ..Plan::default() }
}
