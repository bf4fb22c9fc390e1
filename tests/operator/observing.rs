//! Looking without touching: mode Observe, of a resource and of an instance, and suspended resources.

use kratos_operator::api::{KratosIdentity, condition};
use kratos_operator::kratos::State;
use serde_json::{Value, json};

use crate::scene::{Scene, id_of, message_of, reason_of};

fn customer(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}, "metadataPublic": {"plan": "gold"}})
}

fn drift(resource: &KratosIdentity) -> Vec<String> {
    resource.status.as_ref().map(|status| status.drift.clone()).unwrap_or_default()
}

fn condition_of<'a>(resource: &'a KratosIdentity, type_: &str) -> Option<&'a str> {
    let status = resource.status.as_ref()?;
    condition::find(&status.conditions, type_).map(|found| found.reason.as_str())
}

#[tokio::test]
async fn an_observing_resource_reports_what_would_be_created_and_creates_nothing() {
    let scene = Scene::settled().await;
    let mut spec = customer("ada@observe-new.example");
    spec["mode"] = json!("Observe");
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    assert_eq!(reason_of(&ada, "Ready", "True").as_deref(), Some("Observed"));
    assert_eq!(condition_of(&ada, "Drifted"), Some("DriftObserved"));
    let mut found = drift(&ada);
    found.sort();
    assert_eq!(found, ["/metadata_public/plan", "/schema_id", "/traits/email"]);
    assert!(message_of(&ada, "Ready").starts_with("the identity would be created"), "{}", message_of(&ada, "Ready"));
    assert_eq!(ada.status.as_ref().and_then(|status| status.drift_count), Some(3));
    assert_eq!(ada.status.as_ref().and_then(|status| status.identity_id.clone()), None);
    assert_eq!(ada.metadata.finalizers, None, "it may go at any time");
    assert_eq!(scene.kratos_writes(), 0);

    scene.patch("ada", json!({"spec": {"mode": "Enforce"}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(reason_of(&ada, "Ready", "True").as_deref(), Some("Reconciled"));
    assert_eq!((drift(&ada), condition_of(&ada, "Drifted")), (vec![], None));
    let status = ada.status.as_ref().expect("it has one");
    assert!(status.drift_count.is_none() && status.last_changed_at.is_some(), "{status:?}");
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({"email": "ada@observe-new.example"}));
}

#[tokio::test]
async fn an_observing_resource_reports_drift_and_corrects_none() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@observe-drift.example")).await;
    scene.ready("ada").await;
    scene.patch("ada", json!({"spec": {"mode": "Observe"}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!((drift(&ada), condition_of(&ada, "Drifted")), (vec![], None), "nothing differs yet");
    assert_eq!(ada.status.as_ref().and_then(|status| status.drift_count), Some(0));
    assert!(message_of(&ada, "Ready").starts_with("nothing would change"), "{}", message_of(&ada, "Ready"));

    scene.change_in_kratos(&ada, "/metadata_public/plan", json!("marker-silver")).await;
    scene.change_in_kratos(&ada, "/metadata_public/other", json!("theirs")).await;
    scene.count_from_now();
    scene.patch("ada", json!({"spec": {"traits": {"age": 36}, "state": "Inactive"}})).await;
    let ada = scene.ready("ada").await;
    let mut found = drift(&ada);
    found.sort();
    assert_eq!(found, ["/metadata_public/plan", "/state", "/traits/age"]);
    assert!(message_of(&ada, "Ready").starts_with("3 field(s) would change"), "{}", message_of(&ada, "Ready"));
    assert_eq!(condition_of(&ada, "Drifted"), Some("DriftObserved"));
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    scene.shows_nowhere(&ada, "marker-silver").await;
    let identity = scene.in_kratos(&ada).await;
    assert_eq!(
        (identity.state, &identity.metadata_public.read().unwrap()["plan"]),
        (State::Active, &json!("marker-silver"))
    );

    scene.patch("ada", json!({"spec": {"mode": "Enforce"}})).await;
    let ada = scene.ready("ada").await;
    let identity = scene.in_kratos(&ada).await;
    assert_eq!((identity.state, identity.traits.read().unwrap()["age"].clone()), (State::Inactive, json!(36)));
    assert_eq!(identity.metadata_public, json!({"plan": "gold", "other": "theirs"}));
    assert_eq!((drift(&ada), condition_of(&ada, "Drifted")), (vec![], None));
}

#[tokio::test]
async fn an_observing_resource_notices_drift_by_itself() {
    let scene = Scene::shared().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    let mut spec = customer("ada@observe-resync.example");
    scene.identity("ada", spec.clone()).await;
    let ada = scene.ready("ada").await;
    spec["mode"] = json!("Observe");
    scene.identity("ada", spec).await;
    scene.ready("ada").await;
    scene.change_in_kratos(&ada, "/metadata_public/plan", json!("silver")).await;
    scene.until("ada", "drift", |ada| (drift(ada) == ["/metadata_public/plan"]).then_some(())).await;
    scene.change_in_kratos(&ada, "/metadata_public/plan", json!("gold")).await;
    scene.until("ada", "no drift", |ada| (drift(ada).is_empty()).then_some(())).await;
    scene.admin().delete_identity(&id_of(&ada)).await.expect("it is deleted");
    scene.until("ada", "its absence", |ada| ada.status.as_ref()?.identity_id.is_none().then_some(())).await;
}

#[tokio::test]
async fn an_observed_instance_is_never_written_to() {
    let scene = Scene::shared().await;
    scene.instance(json!({})).await;
    scene.identity("ada", customer("ada@observed.example")).await;
    scene.identity("gone", customer("gone@observed.example")).await;
    let (ada, gone) = (scene.ready("ada").await, scene.ready("gone").await);
    scene.settle().await;

    let instance = scene.instance(json!({"mode": "Observe"})).await;
    let status = instance.status.expect("it has one");
    assert_eq!(condition::find(&status.conditions, "Ready").map(|ready| ready.reason.as_str()), Some("Observed"));
    scene.count_from_now();
    scene.change_in_kratos(&ada, "/metadata_public/plan", json!("silver")).await;
    let ada = scene.request_reconcile("ada").await;
    assert_eq!(reason_of(&ada, "Ready", "True").as_deref(), Some("Observed"));
    assert_eq!(drift(&ada), ["/metadata_public/plan"]);
    scene.identity("new", customer("new@observed.example")).await;
    let new = scene.ready("new").await;
    assert_eq!(condition_of(&new, "Drifted"), Some("DriftObserved"));
    scene.delete("gone").await;
    scene.gone("gone").await;
    scene.event(&gone, "IdentityKept").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert!(scene.admin().get_identity(&id_of(&gone), &[]).await.unwrap().is_some());

    scene.instance(json!({"mode": "Enforce"})).await;
    let is_enforced =
        |resource: &KratosIdentity| reason_of(resource, "Ready", "True").filter(|reason| reason == "Reconciled");
    let ada = scene.until("ada", "enforced", is_enforced).await;
    assert_eq!(scene.in_kratos(&ada).await.metadata_public, json!({"plan": "gold"}));
    scene.until("new", "enforced", is_enforced).await;
}

#[tokio::test]
async fn a_suspended_resource_is_neither_looked_at_nor_changed() {
    let scene = Scene::settled().await;
    scene.identity("ada", customer("ada@suspended.example")).await;
    let ada = scene.ready("ada").await;
    let before = scene.in_kratos(&ada).await;
    scene.count_from_now();
    scene.patch("ada", json!({"spec": {"suspend": true, "metadataPublic": {"plan": "silver"}}})).await;
    let suspended = scene.request_reconcile("ada").await;
    let status = suspended.status.as_ref().expect("it has one");
    assert_eq!(status.observed_generation, suspended.metadata.generation);
    assert!(condition::is_true(&status.conditions, "Suspended"));
    assert_eq!(reason_of(&suspended, "Ready", "True").as_deref(), Some("Suspended"), "as ready as it was");
    assert_eq!(id_of(&suspended), before.id);
    assert_eq!(scene.proxy.counts(), [].into());
    assert_eq!(scene.in_kratos(&ada).await, before);

    scene.patch("ada", json!({"spec": {"suspend": null}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(condition_of(&ada, "Suspended"), None);
    assert_eq!(scene.in_kratos(&ada).await.metadata_public, json!({"plan": "silver"}));
}

#[tokio::test]
async fn a_resource_suspended_from_the_start_is_not_made_and_holds_up_nobody_who_waits_for_health() {
    let scene = Scene::settled().await;
    let mut spec = customer("ada@suspended-new.example");
    spec["suspend"] = json!(true);
    scene.identity("ada", spec).await;
    let ada = scene
        .until("ada", "suspended", |ada| {
            let status = ada.status.as_ref()?;
            let is_current = status.observed_generation == ada.metadata.generation;
            (is_current && condition::is_true(&status.conditions, "Suspended")).then_some(())
        })
        .await;
    assert_eq!(condition_of(&ada, "Ready"), None, "kstatus takes it for current, as it is meant");
    scene.request_reconcile("ada").await;
    assert_eq!(scene.proxy.counts(), [].into());
    scene.patch("ada", json!({"spec": {"suspend": false}})).await;
    scene.ready("ada").await;
}
