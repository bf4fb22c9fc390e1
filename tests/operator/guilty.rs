//! What is wrong with a few among many: each of these gets what it would have got alone, and all others are made.

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::CreateIdentity;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::many::{all, apply, customer, everybody, hold_true, is_ready, name, reason};
use crate::scene::{Scene, message_of};

const COUNT: usize = 500;

/// What can be wrong with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guilt {
    Traits,
    Schema,
    /// Somebody else's identity has its identifier.
    Taken,
    /// Another resource has the same identifier: one of the two is made.
    Twin,
    Hash,
    /// More than the server's hash takes: only it can tell.
    Password,
    /// A mebibyte. Nothing is wrong with it, but it takes nobody down with it.
    Size,
}

const ALL: [Guilt; 7] =
    [Guilt::Traits, Guilt::Schema, Guilt::Taken, Guilt::Twin, Guilt::Hash, Guilt::Password, Guilt::Size];

impl Guilt {
    fn reason(self) -> &'static str {
        match self {
            Self::Traits => "TraitsRejected",
            Self::Schema => "SchemaNotFound",
            Self::Taken | Self::Twin => "IdentityConflict",
            Self::Hash => "InvalidSpec",
            Self::Password => "KratosRejected",
            Self::Size => "Reconciled",
        }
    }

    /// A manifest with this in it.
    fn spoil(self, scene: &Scene, mut spec: Value) -> Value {
        let email = |who: &str| json!(format!("{who}@{}.example", scene.namespace));
        let password = |key: &str, format: &str| json!({"password": {"secretKeyRef": {"name": "passwords", "key": key}, "format": format}});
        match self {
            Self::Traits => spec["traits"]["age"] = json!(-1),
            Self::Schema => spec["schemaID"] = json!("nobody-has-this"),
            Self::Taken => spec["traits"]["email"] = email("taken"),
            Self::Twin => spec["traits"]["email"] = email("twin"),
            Self::Hash => spec["credentials"] = password("hash", "Hashed"),
            Self::Password => spec["credentials"] = password("long", "Cleartext"),
            Self::Size => spec["metadataPublic"]["note"] = json!("x".repeat(1 << 20)),
        }
        spec
    }
}

/// What a resource says in the end: reason, and what is wrong.
fn said(resource: &KratosIdentity) -> (String, String) {
    (reason(resource).unwrap_or_default(), message_of(resource, "Stalled"))
}

async fn put_passwords(scene: &Scene) {
    let data = json!({"hash": "no-hash-of-any-kind", "long": "long-horse-".repeat(7)});
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "passwords"}, "stringData": data});
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let params = PatchParams::apply("test").force();
    secrets.patch("passwords", &params, &Patch::Apply(&object)).await.expect("the Secret is accepted");
}

#[rstest::rstest]
#[case::one(1)]
#[case::twenty(20)]
#[tokio::test]
async fn the_guilty_among_five_hundred_get_what_they_would_have_got_alone_and_all_others_are_made(
    #[case] guilty: usize,
) {
    let scene = Scene::own().await.with_instance().await;
    put_passwords(&scene).await;
    let email = format!("taken@{}.example", scene.namespace);
    let taken =
        CreateIdentity { schema_id: "customer".into(), traits: json!({ "email": email }), ..Default::default() };
    scene.admin().create_identity(&taken).await.expect("somebody else's");
    // The single one is a conflict: on this server it rolls back whatever is in the same request.
    let guilt_of = |number: usize| {
        let every = COUNT / guilty;
        (number % every == every / 2).then(|| if guilty == 1 { Guilt::Taken } else { ALL[number / every % ALL.len()] })
    };
    let spec_of = |number: usize| {
        let spec = customer(&scene, number);
        guilt_of(number).map_or(spec.clone(), |guilt| guilt.spoil(&scene, spec))
    };
    // What each gets alone. The twins' identifier isn't taken yet.
    for (number, guilt) in ALL.into_iter().enumerate().filter(|(_, guilt)| *guilt != Guilt::Twin) {
        scene
            .identity(&format!("alone-{guilt:?}").to_lowercase(), guilt.spoil(&scene, customer(&scene, COUNT + number)))
            .await;
        all(&scene, "it is what it will be", |resource| reason(resource).is_some()).await;
    }
    scene.proxy.down();
    apply(&scene, 0..COUNT, spec_of).await;
    scene.proxy.up().expect("it listens again");
    let resources = all(&scene, "each is what it will be", |resource| reason(resource).is_some()).await;
    for number in 0..COUNT {
        let resource = &resources[&name(number)];
        match guilt_of(number) {
            None => assert_eq!(said(resource).0, "Reconciled", "{number}"),
            Some(Guilt::Twin) => {}
            Some(guilt) => {
                let alone = said(&resources[&format!("alone-{guilt:?}").to_lowercase()]);
                assert_eq!((said(resource), guilt.reason()), (alone.clone(), alone.0.as_str()), "{number}, {guilt:?}");
            }
        }
    }
    let twins: Vec<_> = (0..COUNT).filter(|number| guilt_of(*number) == Some(Guilt::Twin)).collect();
    let made = twins.iter().filter(|number| is_ready(&resources[&name(**number)])).count();
    assert_eq!(made, usize::from(!twins.is_empty()), "one of {twins:?}");
    let others = twins.iter().map(|number| said(&resources[&name(*number)]).0).filter(|reason| reason != "Reconciled");
    assert!(others.eq(vec![Guilt::Twin.reason(); twins.len() - made]), "the others of {twins:?}");
    let ready: Vec<_> = resources.values().filter(|resource| is_ready(resource)).collect();
    hold_true(&scene, ready.iter().copied()).await;
    assert_eq!(everybody(&scene).await, ready.len() + 1, "theirs, and somebody else's");
}
