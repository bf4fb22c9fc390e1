//! Passwords out of Secrets: people log in with them, changed ones take effect, and what users chose themselves stays.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::{KratosIdentity, condition};
use kratos_operator::kratos::State;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, message_of, reason_of};
use crate::testenv::process::eventually;

pub const FIRST: &str = "first-horse-battery-4711";
pub const SECOND: &str = "second-horse-battery-4712";
const OWN: &str = "chosen-by-ada-herself-4713";

fn email(scene: &Scene) -> String {
    format!("ada@{}.example", scene.namespace)
}

/// Ada, whose password is in the Secret `ada`.
fn ada(scene: &Scene, password: Value) -> Value {
    let mut given = json!({"secretKeyRef": {"name": "ada", "key": "password"}});
    crate::scene::merge(&mut given, password);
    json!({"schemaID": "customer", "traits": {"email": email(scene)}, "credentials": {"password": given}})
}

fn secrets(scene: &Scene) -> Api<Secret> {
    Api::namespaced(scene.client.clone(), &scene.namespace)
}

/// The Secret `ada` with this data.
pub async fn put_secret(scene: &Scene, data: &[(&str, &[u8])]) {
    let data: BTreeMap<_, _> = data.iter().map(|(key, value)| (*key, ByteString(value.to_vec()))).collect();
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ada"}, "data": data});
    let params = PatchParams::apply("test").force();
    secrets(scene).patch("ada", &params, &Patch::Apply(&object)).await.expect("the Secret is accepted");
}

async fn logs_in(scene: &Scene, password: &str) -> Option<String> {
    scene.kratos.login(&email(scene), password).await.expect("Kratos answers")
}

/// Waits until a password logs in, without asking the operator for anything.
pub async fn until_it_logs_in(scene: &Scene, password: &str) -> String {
    let found = eventually("the password is in force", WITHIN, async || logs_in(scene, password).await);
    found.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log()))
}

pub async fn with_ada(scene: &Scene, password: Value) -> KratosIdentity {
    put_secret(scene, &[("password", FIRST.as_bytes())]).await;
    scene.identity("ada", ada(scene, password)).await;
    scene.ready("ada").await
}

#[tokio::test]
async fn a_secret_that_comes_late_is_waited_for_and_a_person_logs_in_with_what_it_holds() {
    let scene = Scene::settled().await;
    scene.identity("ada", ada(&scene, json!({}))).await;
    let message = scene.retrying("ada", "SecretNotReady").await;
    assert!(message.contains("Secret ada, key password"), "{message}");
    put_secret(&scene, &[("unrelated", b"value")]).await;
    scene.settle_again("beside").await;
    assert_eq!(scene.proxy.count("POST /admin/identities"), 1, "only the one beside it");
    put_secret(&scene, &[("password", format!("{FIRST}\n").as_bytes())]).await;
    let resource = scene.ready("ada").await;
    assert!(logs_in(&scene, FIRST).await.is_some());
    scene.shows_nowhere(&resource, FIRST).await;
}

#[tokio::test]
async fn a_changed_secret_takes_effect_at_once_in_one_read_and_one_write_and_ends_the_sessions() {
    let scene = Scene::settled().await;
    let resource = with_ada(&scene, json!({})).await;
    scene.change_in_kratos(&resource, "/metadata_public", json!({"theirs": 1})).await;
    scene.change_in_kratos(&resource, "/metadata_admin/theirs", json!(2)).await;
    let session = logs_in(&scene, FIRST).await.expect("a session");
    scene.count_from_now();
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    until_it_logs_in(&scene, SECOND).await;
    let ended = eventually("the session ends", WITHIN, async || (!scene.is_logged_in(&session).await).then_some(()));
    ended.await.expect("it ends");
    assert!(logs_in(&scene, FIRST).await.is_none());
    scene.request_reconcile("ada").await;
    let counts = scene.proxy.counts();
    assert_eq!(counts.get("PUT /admin/identities/{id}"), Some(&1), "{counts:?}");
    assert_eq!(counts.get("DELETE /admin/identities/{id}/sessions"), Some(&1), "{counts:?}");
    assert_eq!(counts.get("PATCH /admin/identities/{id}"), Some(&1), "the note that they are ended: {counts:?}");
    assert_eq!(counts.get("GET /admin/identities/{id}"), Some(&2), "one for the look that was asked for: {counts:?}");
    let there = scene.in_kratos(&resource).await;
    assert_eq!(
        (&there.metadata_public.read().unwrap()["theirs"], &there.metadata_admin.read().unwrap()["theirs"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(there.metadata_admin.read().unwrap()["kratos-operator.dev"]["sessionsPending"], Value::Null);
    for secret in [FIRST, SECOND] {
        scene.shows_nowhere(&resource, secret).await;
    }
}

#[tokio::test]
async fn sessions_stay_where_the_manifest_says_so() {
    let scene = Scene::settled().await;
    with_ada(&scene, json!({"revokeSessions": false})).await;
    let session = logs_in(&scene, FIRST).await.expect("a session");
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    until_it_logs_in(&scene, SECOND).await;
    scene.request_reconcile("ada").await;
    assert!(scene.is_logged_in(&session).await);
    assert_eq!(scene.proxy.count("DELETE /admin/identities/{id}/sessions"), 0);
}

#[tokio::test]
async fn what_a_user_chose_survives_restarts_a_new_operators_key_and_every_unrelated_change() {
    let mut scene = Scene::own().await.with_instance().await;
    let resource = with_ada(&scene, json!({})).await;
    let session = logs_in(&scene, FIRST).await.expect("a session");
    scene.kratos.change_own_password(&session, OWN).await.expect("it is changed");

    scene.patch("ada", json!({"spec": {"traits": {"name": {"first": "Ada"}}}})).await;
    scene.ready("ada").await;
    put_secret(&scene, &[("password", FIRST.as_bytes()), ("other", b"changed")]).await;
    scene.request_reconcile("ada").await;
    scene.operator().restart().expect("it starts");
    scene.request_reconcile("ada").await;
    let keys: Api<Secret> = Api::namespaced(scene.client.clone(), "default");
    keys.delete("kratos-operator-key", &DeleteParams::default()).await.expect("the operator's key is there");
    scene.operator().restart().expect("it starts");
    scene.request_reconcile("ada").await;
    assert!(logs_in(&scene, OWN).await.is_some() && logs_in(&scene, FIRST).await.is_none());
    assert!(scene.is_logged_in(&session).await, "nobody was logged out");
    assert_eq!(scene.proxy.count("PUT /admin/identities/{id}"), 0);
    // What is noted anew under the new key is what a later change is told by.
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    until_it_logs_in(&scene, SECOND).await;
    scene.shows_nowhere(&resource, FIRST).await;
}

#[tokio::test]
async fn set_password_sends_it_once_per_token_although_nothing_changed() {
    let scene = Scene::settled().await;
    let resource = with_ada(&scene, json!({})).await;
    let session = until_it_logs_in(&scene, FIRST).await;
    scene.kratos.change_own_password(&session, OWN).await.expect("the settings page takes it");
    assert_eq!(logs_in(&scene, FIRST).await, None);
    scene.patch("ada", json!({"spec": {"actions": {"setPassword": {"token": "lost"}}}})).await;
    let done = scene.until("ada", "the action is done", |identity| {
        let done = identity.status.as_ref()?.actions.as_ref()?.set_password.as_ref()?;
        (done.token.as_deref() == Some("lost")).then_some(done.completed_at.clone()?)
    });
    let done = done.await;
    assert!(logs_in(&scene, FIRST).await.is_some());
    assert_eq!(logs_in(&scene, OWN).await, None);
    assert!(!scene.is_logged_in(&session).await, "a password that is set ends the sessions");
    scene.event(&resource, "PasswordSent").await;
    let session = logs_in(&scene, FIRST).await.expect("it logs in");
    scene.kratos.change_own_password(&session, OWN).await.expect("the settings page takes it");
    let asked = scene.request_reconcile("ada").await;
    assert!(logs_in(&scene, OWN).await.is_some(), "the same token doesn't do it again");
    let actions = |identity: &KratosIdentity| identity.status.clone().and_then(|status| status.actions);
    assert_eq!(actions(&asked), actions(&done));
}

#[tokio::test]
async fn set_password_without_a_password_says_what_is_missing() {
    let scene = Scene::settled().await;
    let spec = json!({
        "schemaID": "customer", "traits": {"email": email(&scene)}, "actions": {"setPassword": {"token": "1"}},
    });
    scene.identity("ada", spec).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("credentials.password"), "{message}");
    assert_eq!(scene.kratos_writes(), 0);
}

#[tokio::test]
async fn who_may_not_log_in_any_more_is_locked_out_although_the_secret_is_gone() {
    let scene = Scene::settled().await;
    let resource = with_ada(&scene, json!({})).await;
    let session = until_it_logs_in(&scene, FIRST).await;
    secrets(&scene).delete("ada", &DeleteParams::default()).await.expect("it can be deleted");
    scene.patch("ada", json!({"spec": {"state": "Inactive", "traits": {"name": {"first": "Ada"}}}})).await;
    scene.retrying("ada", "SecretNotReady").await;
    let locked_out = eventually("she is inactive", WITHIN, async || {
        let ada = scene.in_kratos(&resource).await;
        (ada.state == State::Inactive).then_some(ada)
    });
    let ada = locked_out.await.expect("she is locked out");
    assert_eq!(ada.traits.read().unwrap().get("name"), None, "nothing else is done before all of it can be");
    assert!(!scene.is_logged_in(&session).await);
    scene.event(&resource, "IdentityDeactivated").await;
    put_secret(&scene, &[("password", FIRST.as_bytes())]).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["name"], json!({"first": "Ada"}));
}

#[tokio::test]
async fn killed_between_the_password_and_the_end_of_sessions_it_ends_them_afterwards() {
    let mut scene = Scene::own().await.with_instance().await;
    with_ada(&scene, json!({})).await;
    let session = logs_in(&scene, FIRST).await.expect("a session");
    let ends = scene.proxy.on("DELETE /admin/identities/{id}/sessions").hold();
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    ends.held().await;
    assert!(scene.is_logged_in(&session).await && logs_in(&scene, SECOND).await.is_some());
    scene.operator().kill();
    scene.proxy.clear_faults();
    scene.count_from_now();
    scene.operator().restart().expect("it starts");
    let ended = eventually("the session ends", WITHIN, async || (!scene.is_logged_in(&session).await).then_some(()));
    ended.await.expect("it ends");
    scene.request_reconcile("ada").await;
    assert!(logs_in(&scene, SECOND).await.is_some());
    assert_eq!(scene.proxy.count("PUT /admin/identities/{id}"), 0, "the password isn't sent again");
}

#[tokio::test]
async fn where_watching_secrets_is_forbidden_a_change_is_noticed_at_the_resync() {
    let mut scene = Scene::own().await;
    let forbidden = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "no", "code": 403,
        "reason": "Forbidden",
    });
    let answer = crate::testenv::faults::Answer::status(403).json(&forbidden);
    scene.cluster.proxy.on_where(|label, _| label == "LIST secrets" || label == "WATCH secrets").answer(answer);
    scene.operator().restart().expect("it starts");
    scene.instance(json!({"resyncInterval": "10s"})).await;
    with_ada(&scene, json!({})).await;
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    until_it_logs_in(&scene, SECOND).await;
    let log = scene.whole_log();
    assert_eq!(log.matches("watching Secrets is forbidden").count(), 1, "{log}");
}

#[rstest]
#[case::no_text(json!({}), b"\xff\xfe\x00".to_vec(), "InvalidSpec", "UTF-8")]
#[case::nothing(json!({}), Vec::new(), "InvalidSpec", "empty")]
#[case::a_book(json!({}), vec![b'a'; 1 << 20], "InvalidSpec", "64 KiB")]
#[case::no_hash(json!({"format": "Hashed"}), b"hunter2-hunter2".to_vec(), "InvalidSpec", "hash")]
#[case::more_than_bcrypt_takes(json!({}), "long-horse-".repeat(7).into_bytes(), "KratosRejected", "72 bytes")]
#[tokio::test]
async fn a_password_of_no_use_is_told_without_showing_it_and_its_correction_noticed(
    #[case] password: Value,
    #[case] value: Vec<u8>,
    #[case] reason: &str,
    #[case] word: &str,
) {
    let scene = Scene::settled().await;
    put_secret(&scene, &[("password", &value)]).await;
    let resource = scene.identity("ada", ada(&scene, password.clone())).await;
    let message = scene.stalled("ada", reason).await;
    assert!(message.contains(word), "{message}");
    scene.settle_again("beside").await;
    if let Some(text) = std::str::from_utf8(&value).ok().filter(|text| text.len() > 10) {
        scene.shows_nowhere(&resource, &text[..11]).await;
    }
    let good = if password.get("format").is_some() { "$md5$CY9rzUYh03PK3k6DJie09g==" } else { FIRST };
    put_secret(&scene, &[("password", good.as_bytes())]).await;
    scene.ready("ada").await;
    let password = if good == FIRST { FIRST } else { "test" };
    assert!(logs_in(&scene, password).await.is_some());
}

#[rstest]
#[case("test", "$2a$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6")]
#[case("test", "$argon2id$v=19$m=32,t=2,p=4$cm94YnRVOW5jZzFzcVE4bQ$MNzk5BtR2vUhrp6qQEjRNw")]
#[case("test", "$argon2i$v=19$m=65536,t=3,p=4$kk51rW/vxIVCYn+EG4kTSg$NyT88uraJ6im6dyha/M5jhXvpqlEdlS/9fEm7ScMb8c")]
#[case(
    "test",
    "$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI"
)]
#[case(
    "test",
    "$pbkdf2-sha512$i=100000,l=32$bdHBpn7OWOivJMVJypy2UqR0UnaD5prQXRZevj/05YU$+wArTfv1a+bNGO1iZrmEdVjhA+lL11wF4/IxpgYfPwc"
)]
#[case(
    "test",
    "$scrypt$ln=16384,r=8,p=1$2npRo7P03Mt8keSoMbyD/tKFWyUzjiQf2svUaNDSrhA=$MiCzNcIplSMqSBrm4HckjYqYhaVPPjTARTzwB1cVNYE="
)]
#[case(
    "8x4WjoDbSxJZdR",
    "$firescrypt$ln=14,r=8,p=1$sPtDhWcd1MfdAw==$xbSou7FOl6mChCyzpCPIQ7tku7nsQMTFtyOZSXXd7tjBa4NtimOx7v42Gv2SfzPQu1oxM2/k4SsbOu73wlKe1A==$Bw==$YE0dO4bwD4JnJafh6lZZfkp1MtKzuKAXQcDCJNJNyeCHairWHKENOkbh3dzwaCdizzOspwr/FITUVlnOAwPKyw=="
)]
#[case("test123", "{SSHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a")]
#[case("test123", "{SSHA256}czO44OTV17PcF1cRxWrLZLy9xHd7CWyVYplr1rOhuMlx/7IK")]
#[case(
    "test123",
    "{SSHA512}xPUl/px+1cG55rUH4rzcwxdOIPSB2TingLpiJJumN2xyDWN4Ix1WQG3ihnvHaWUE8MYNkvMi5rf0C9NYixHsE6Yh59M="
)]
#[case("test", "$sha1$pf=e1NBTFR9e1BBU1NXT1JEfQ==$NW9wbWtnejAzcg==$2qU2SGWP8viTM1md3FiI3+rjWXQ=")]
#[case("test", "$sha256$pf=e1NBTFR9e1BBU1NXT1JEfQ==$NW9wbWtnejAzcg==$0gfRVLCvtBCk20udLDEY5vNhujWx7RGjwRIS1ebMsLY=")]
#[case(
    "test",
    "$sha512$pf=e1NBTFR9e1BBU1NXT1JEfQ==$NW9wbWtnejAzcg==$6ctpVuApMNp0CgBXcdHw/GC562eFEFGr4gpgANX8ZYsX+j5B19IkdmOY2Fytsz3QUwSWdGcUjbqwgJGTH0UYvw=="
)]
#[case("test", "$md5$CY9rzUYh03PK3k6DJie09g==")]
#[case("test", "$md5$pf=e1NBTFR9e1BBU1NXT1JEfQ==$MTIz$q+RdKCgc+ipCAcm5ChQwlQ==")]
#[case("test", "$md5-crypt$TVEiiKNb$SN6/pUaRQS/E8Jh46As2C/")]
#[case("test", "$sha256-crypt$rounds=535000$05R.9KB6UC2kLI3w$Q/zslzx./JjkAVPTwp6th7nW5l7JU91Gte/UmIh.U78")]
#[case(
    "test",
    "$sha512-crypt$rounds=656000$3LVbIAVxR//cRajw$uuNasMW.RYxlGzIRFU1Was70BPSa933AjxhZIGJdJBOlqJAHlgqa0yuiuq5JHF/ryNGryJkj87G9i3G2HPSXg1"
)]
#[case("test", "$hmac-md4$MWQ5ZTI4Nzc2Zjg4YmE2MTQ5YjQ0OTMyOGE4NWU4YjA=$MTIzNDU=")]
#[case("test", "$hmac-md5$ZmU4Njk3Zjc0MmQwODA0MDVkMTI3MGU2MTYzMzE2Zjk=$MTIzNDU=")]
#[case("test", "$hmac-sha1$NDMyNjcxZTUyY2Y2YTBmYjZjZDE2NjQxYjAwNjFiZjAwOGEzNWM5MA==$MTIzNDU=")]
#[case("test", "$hmac-sha224$YmUwYmYzM2EwNGRlNDE0YjQzNjBhNmIyOThmNmIyYzI4OWQyMzk3MDUwZDFjMzliYjVmMDMyOTQ=$MTIzNDU=")]
#[case(
    "test",
    "$hmac-sha256$ZTAzMWJhMWMyOTM4YjFkMjgzZjkxOWExZGY5YWM2NmMxOTJhN2RkNzQ0MzJkNWZkNGFkYTI5OTk0MWJhMTA5Zg==$MTIzNDU="
)]
#[case(
    "test",
    "$hmac-sha384$ZWEyMGM3NGE4Y2UzMTljNTdjZTlhZGQyYTZjNDE0MGQ4YjMwYWIwOWM4OTRiNWQ4MmZjODlhMzBhMmQzNGE5NmQ0NDY1NWRhYjQ2ZjhiYjBkNTRmYjk5YWZkZTA1MGY1$MTIzNDU="
)]
#[case(
    "test",
    "$hmac-sha512$OTFmODY0ZTI1NmU0ZjVhYjhiMDViZGFmNGVmNGZmMGVlNTY4ODYwNWJhYTk4MTk2OTgyMzc3NzI1YTc4MzcxMTMzNzZmY2YxYTk5MGMxM2RiZDk2MGFmMmQ1YzRmODdlMGMwYTNkYjcyNjY0NjM4NGE4YzQ2MjNhZDZkN2UxZTE=$MTIzNDU="
)]
#[tokio::test]
async fn a_person_logs_in_with_a_password_whose_hash_was_imported(#[case] password: &str, #[case] hash: &str) {
    let scene = Scene::shared().await.with_instance().await;
    put_secret(&scene, &[("password", format!("{hash}\n").as_bytes())]).await;
    scene.identity("ada", ada(&scene, json!({"format": "Hashed"}))).await;
    let resource = scene.ready("ada").await;
    assert!(logs_in(&scene, password).await.is_some(), "{hash}");
    scene.shows_nowhere(&resource, hash).await;
}

#[tokio::test]
async fn that_a_secret_or_the_instance_is_gone_shows_at_once_on_whoever_stays_ready() {
    let scene = Scene::settled().await;
    let ada = with_ada(&scene, json!({})).await;
    let sent = ada.status.as_ref().and_then(|status| status.password_sent_at.clone());
    assert!(sent.is_some());
    scene.count_from_now();
    // Ready, while it is retried.
    let lacks = |reason: &'static str| {
        move |ada: &KratosIdentity| {
            reason_of(ada, "Reconciling", "True").filter(|found| found == reason)?;
            let ready = condition::find(&ada.status.as_ref()?.conditions, "Ready")?;
            (ready.status == "True" && ready.reason == reason).then_some(())
        }
    };
    secrets(&scene).delete("ada", &DeleteParams::default()).await.expect("it can be deleted");
    let told = scene.until("ada", "Ready, and told what lacks", lacks("SecretNotReady")).await;
    assert!(message_of(&told, "Ready").contains("Secret ada, key password"), "{}", message_of(&told, "Ready"));
    put_secret(&scene, &[("password", FIRST.as_bytes())]).await;
    let is_well = |ada: &KratosIdentity| reason_of(ada, "Ready", "True").filter(|reason| reason == "Reconciled");
    let ada = scene.until("ada", "all is well", is_well).await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(ada.status.and_then(|status| status.password_sent_at), sent);

    scene.instances().delete("default", &DeleteParams::default()).await.expect("it can be deleted");
    let told = scene.until("ada", "Ready, and told what lacks", lacks("InstanceNotReady")).await;
    assert!(message_of(&told, "Ready").contains("is being deleted"), "{}", message_of(&told, "Ready"));
}

#[tokio::test]
async fn no_password_is_sent_that_is_shorter_than_the_operator_was_told() {
    let mut scene = Scene::own().await.with_instance().await;
    with_ada(&scene, json!({})).await;
    let least = ["--min-password-length".to_owned(), "40".to_owned()];
    scene.operator().restart_with(|settings| settings.arguments.extend(least)).expect("it starts");
    // What was sent already stays.
    scene.request_reconcile("ada").await;
    scene.ready("ada").await;
    scene.count_from_now();
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("Secret ada, key password") && message.contains("40 characters"), "{message}");
    assert!(logs_in(&scene, FIRST).await.is_some());
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    put_secret(&scene, &[("password", format!("{SECOND}-{SECOND}").as_bytes())]).await;
    until_it_logs_in(&scene, &format!("{SECOND}-{SECOND}")).await;
    scene.ready("ada").await;
}
