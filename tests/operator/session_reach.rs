//! Whom a policy reaches: everybody beside the instance, elsewhere only identities whose mark names its namespace, and
//! of those only whom labels select. Nobody counts or guesses the sessions of others.

use kratos_operator::kratos::PatchOperation;
use serde_json::{Value, json};

use crate::policing::{LIST, PASSWORD, about_all, condition_of, counts, everything, whose};
use crate::scene::{Scene, id_of};

/// A managed identity that is logged in. Returns the session's token.
async fn managed(scene: &Scene, namespace: &str, name: &str, labels: Value) -> String {
    let email = format!("{name}@{namespace}.example");
    scene.identity_in(namespace, name, json!({"schemaID": "customer", "traits": {"email": email}})).await;
    let patch = kube::api::Patch::Merge(json!({"metadata": {"labels": labels}}));
    let params = kube::api::PatchParams::default();
    scene.identities_in(namespace).patch(name, &params, &patch).await.expect("labels");
    let resource = scene.ready_in(namespace, name).await;
    scene.give_password(&resource, PASSWORD).await;
    scene.log_in(&email).await
}

#[allow(clippy::needless_pass_by_value, reason = "written where it stands")]
fn selecting(identities: Value) -> Value {
    json!({"identities": identities, "interval": "1h", "rules": everything()})
}

#[tokio::test]
async fn a_strangers_policy_reaches_its_own_and_counts_nobody_else() {
    let scene = Scene::policing().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let team = scene.other_namespace("team", &[]).await;
    let neighbours = scene.other_namespace("neighbours", &[]).await;
    let home = managed(&scene, &scene.namespace, "ada", json!({})).await;
    let neighbour = managed(&scene, &neighbours, "grace", json!({"team": "ops"})).await;
    scene.person("nobody@example.com").await;
    let unmanaged = scene.log_in("nobody@example.com").await;
    // Marked as the team's, but of a namespace of that name that is gone.
    let former = managed(&scene, &team, "former", json!({})).await;
    let resource = scene.identities_in(&team).get("former").await.expect("it is there");
    let path = "/metadata_admin/kratos-operator.dev/namespaceUID".to_owned();
    let forge = [PatchOperation::Replace { path, value: json!("00000000-0000-0000-0000-000000000000") }];
    scene.admin().patch_identity(&id_of(&resource), &forge).await.expect("it is changed");
    let others = [&home, &neighbour, &unmanaged, &former];

    for (name, identities) in [
        ("nothing-yet", json!({"all": true})),
        ("labels-of-others", json!({"selector": {"matchLabels": {"team": "ops"}}})),
        ("by-expression", json!({"expression": "identity.traits.email.contains('@')"})),
        ("by-schema", json!({"schemaIDs": ["customer"]})),
    ] {
        scene.count_from_now();
        let policy = scene.policy_in(&team, name, selecting(identities)).await;
        assert_eq!(counts(&policy), [0; 5], "{name}");
        let (reason, message) = condition_of(&policy, "Ready").expect("Ready");
        assert_eq!(
            (reason.as_str(), message.as_str()),
            ("Reconciled", "no identity within reach is selected by spec.identities")
        );
        assert_eq!(scene.proxy.count(LIST), 0, "{:?}", scene.proxy.counts());
    }
    let own = managed(&scene, &team, "own", json!({})).await;
    let second = scene.log_in(&format!("own@{team}.example")).await;
    let mut looking = about_all(everything());
    looking["mode"] = json!("Observe");
    let policy = scene.policy_in(&team, "own", looking).await;
    let resource = scene.identities_in(&team).get("own").await.expect("it is there");
    assert_eq!(whose(&policy), [(id_of(&resource), 2)], "and nobody else's");
    let policy = scene.policy_in(&team, "own", about_all(everything())).await;
    assert_eq!(counts(&policy), [2, 2, 2, 0, 0]);
    assert_eq!(whose(&policy), [], "what is done is in the audit log");
    assert_eq!(scene.alive(&[&own, &second]).await, [false, false]);
    assert_eq!(scene.alive(&others).await, [true; 4]);

    // Nor by revokeAll; nor may it extend.
    let mut spec = about_all(json!([]));
    spec["actions"] = json!({"revokeAll": {"token": "one"}});
    scene.policy_in(&team, "own", spec).await;
    assert_eq!(scene.alive(&others).await, [true; 4]);
    let keep = json!([{"name": "keep", "expiresWithin": "48h", "maxAge": "48h", "action": "Extend"}]);
    scene.try_policy_in(&team, "keep", about_all(keep)).await.expect("it is accepted");
    let message = scene.policy_stalled(&team, "keep", "NotPermitted").await;
    assert!(message.contains("beside the KratosInstance"), "{message}");
}

/// Somebody becomes a person whom the instance's rules leave to others.
async fn promoted(scene: &Scene, namespace: &str, name: &str) {
    let resource = scene.identities_in(namespace).get(name).await.expect("it is there");
    scene.change_in_kratos(&resource, "/traits/email", json!("ceo@example.com")).await;
}

#[tokio::test]
async fn whom_the_instances_rules_leave_to_others_is_reached_by_what_looks_at_no_trait() {
    let scene = Scene::policing().await;
    let rule = json!([{"expression": "!identifiers.exists(i, i.startsWith('ceo@'))", "message": "not the CEO"}]);
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "rules": rule})).await;
    let team = scene.other_namespace("team", &[]).await;
    let neighbours = scene.other_namespace("neighbours", &[]).await;
    let neighbour = managed(&scene, &neighbours, "grace", json!({})).await;
    let first = managed(&scene, &team, "chief", json!({})).await;
    let second = scene.log_in(&format!("chief@{team}.example")).await;
    promoted(&scene, &team, "chief").await;

    // What would tell her traits doesn't even count her.
    for expression in ["true", "identity.traits.email == 'ceo@example.com'", "identity.traits.nothing == 1"] {
        let rules = json!([{"name": "few", "maxConcurrent": 1, "action": "Revoke"}]);
        let spec = json!({"identities": {"expression": expression}, "interval": "1h", "rules": rules});
        assert_eq!(counts(&scene.policy_in(&team, "by-trait", spec).await), [0; 5], "{expression}");
    }
    assert_eq!(scene.alive(&[&first, &second]).await, [true; 2]);

    let rules = json!([
        {"name": "by-trait", "expression": "identity.traits.email.startsWith('ceo')", "action": "Revoke"},
        {"name": "few", "maxConcurrent": 1, "action": "Revoke"},
    ]);
    let policy = scene.policy_in(&team, "few", about_all(rules)).await;
    assert_eq!(counts(&policy), [2, 1, 1, 0, 0]);
    assert_eq!(scene.alive(&[&first, &second]).await, [false, true], "the newest stays");

    // An administrator's typo in the rules is no consent withdrawn.
    let broken = scene.instance_spec(
        json!({"allowedNamespaces": {"from": "All"}, "rules": [{"expression": "identity.", "message": "no"}]}),
    );
    scene.apply_instance(&scene.namespace, "default", broken).await;
    let third = scene.log_in("ceo@example.com").await;
    scene.policy_stalled(&team, "few", "NotPermitted").await;
    scene.run_in(&team, "few").await;
    assert_eq!(scene.alive(&[&second, &third]).await, [false, true]);

    let mut spec = about_all(json!([]));
    spec["actions"] = json!({"revokeAll": {"token": "one"}});
    scene.try_policy_in(&team, "few", spec).await.expect("it is accepted");
    let is_done = |policy: &kratos_operator::api::KratosSessionPolicy| {
        policy.status.as_ref()?.actions.as_ref()?.revoke_all.as_ref()?.completed_at.clone()
    };
    scene.policy_until(&team, "few", "all have ended", is_done).await;
    assert_eq!(scene.alive(&[&third, &neighbour]).await, [false, true]);
}

#[tokio::test]
async fn who_isnt_admitted_any_more_asks_nothing() {
    let scene = Scene::policing().await;
    let rule = json!([{"expression": "!identifiers.exists(i, i.startsWith('ceo@'))", "message": "not the CEO"}]);
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "rules": rule})).await;
    let team = scene.other_namespace("team", &[]).await;
    let ada = managed(&scene, &team, "ada", json!({})).await;
    let ceo = managed(&scene, &team, "chief", json!({})).await;
    promoted(&scene, &team, "chief").await;
    let policy = scene.policy_in(&team, "all", about_all(everything())).await;
    // Her sessions are still read, but no expression reads her traits.
    assert_eq!((counts(&policy), scene.alive(&[&ada, &ceo]).await), ([2, 1, 1, 0, 0], vec![false, true]));
    let (reason, message) = condition_of(&policy, "Ready").expect("Ready");
    assert_eq!(reason, "Reconciled");
    assert!(message.contains("by rules without expression alone"), "{message}");

    scene.instance(json!({"rules": null})).await;
    scene.count_from_now();
    let request = scene.ask_for_a_run(&team, "all").await;
    let message = scene.policy_stalled(&team, "all", "NotPermitted").await;
    assert!(message.contains("doesn't admit namespace"), "{message}");
    scene
        .policy_until(&team, "all", "the request is handled", |policy| {
            (policy.status.as_ref()?.last_handled_reconcile_at.as_ref()? == &request).then_some(())
        })
        .await;
    assert_eq!(scene.proxy.count(LIST), 0, "{:?}", scene.proxy.counts());
    assert!(scene.is_logged_in(&ceo).await);
}

#[tokio::test]
async fn labels_select_resources_and_their_marks_the_identities() {
    let scene = Scene::policing().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let internal = scene.other_namespace("internal", &[("tier", "internal")]).await;
    let ops = managed(&scene, &scene.namespace, "ada", json!({"team": "ops"})).await;
    let sales = managed(&scene, &scene.namespace, "grace", json!({"team": "sales"})).await;
    let inside = managed(&scene, &internal, "ada", json!({"team": "ops"})).await;
    scene.person("nobody@example.com").await;
    let unmanaged = scene.log_in("nobody@example.com").await;
    let sessions = [&ops, &sales, &inside, &unmanaged];
    let by_team = |team: &str| json!({"matchLabels": {"team": team}});
    let tier = json!({"matchLabels": {"tier": "internal"}});
    let policy = scene.policy("nobody", selecting(json!({"selector": by_team("none")}))).await;
    assert_eq!(counts(&policy), [0; 5]);
    assert!(condition_of(&policy, "Ready").expect("Ready").1.contains("no identity within reach is selected"));
    let both = json!({"selector": by_team("ops"), "namespaceSelector": tier});
    assert_eq!(counts(&scene.policy("both", selecting(both)).await), [1, 1, 1, 0, 0]);
    assert_eq!(scene.alive(&sessions).await, [true, true, false, true]);
    let elsewhere = json!({"selector": by_team("sales"), "schemaIDs": ["employee"]});
    assert_eq!(counts(&scene.policy("elsewhere", selecting(elsewhere)).await), [0; 5]);
    assert_eq!(counts(&scene.policy("team", selecting(json!({"selector": by_team("ops")}))).await), [1, 1, 1, 0, 0]);
    assert_eq!(scene.alive(&sessions).await, [false, true, false, true]);
    let again = scene.log_in(&format!("ada@{internal}.example")).await;
    assert_eq!(counts(&scene.policy("tier", selecting(json!({"namespaceSelector": tier}))).await), [1, 1, 1, 0, 0]);
    assert_eq!(scene.alive(&[&again, &sales, &unmanaged]).await, [false, true, true]);
}

#[tokio::test]
async fn a_namespace_that_gets_other_labels_comes_into_reach_without_being_asked_for() {
    let scene = Scene::policing().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let team = scene.other_namespace("team", &[]).await;
    let token = managed(&scene, &team, "ada", json!({})).await;
    let internal = json!({"namespaceSelector": {"matchLabels": {"tier": "internal"}}});
    let policy = scene.policy("internal", selecting(internal)).await;
    assert_eq!(counts(&policy), [0; 5]);
    let labels = kube::api::Patch::Merge(json!({"metadata": {"labels": {"tier": "internal"}}}));
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(scene.client.clone());
    namespaces.patch(&team, &kube::api::PatchParams::default(), &labels).await.expect("labels");
    // The regular run is an hour away.
    scene
        .policy_until(&scene.namespace, "internal", "it reaches the namespace", |policy| {
            (counts(policy) == [1, 1, 1, 0, 0]).then_some(())
        })
        .await;
    assert_eq!(scene.alive(&[&token]).await, [false]);
}
