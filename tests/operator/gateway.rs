//! A gateway before Kratos that wants to know who asks: headers, and certificates of clients. What it wants is sent to it
//! alone, read again when it changes, and shown nowhere.

use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::{KratosInstance, condition};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Cluster, Scene, Server, WITHIN};
use crate::testenv::authority::{Authority, Pair};
use crate::testenv::certificates::Terminator;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;
use crate::traces;

const FIRST: &str = "first-S3CRET-of-the-gateway";
const SECOND: &str = "second-S3CRET-of-the-gateway";

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

impl Scene {
    /// Makes a Secret, or changes what it holds.
    async fn secret(&self, name: &str, type_: &str, data: Value) {
        for value in data.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()) {
            traces::of_this_run().uses_secret(value);
        }
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": type_,
            "metadata": {"name": name, "namespace": self.namespace}, "stringData": data,
        });
        let params = PatchParams::apply("test").force();
        self.secrets().patch(name, &params, &Patch::Apply(&secret)).await.expect("the Secret is accepted");
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn certificate(&self, name: &str, Pair { certificate, key }: &Pair) {
        self.secret(name, "kubernetes.io/tls", json!({"tls.crt": certificate, "tls.key": key})).await;
    }

    /// Waits until an instance says this, by a condition that is True. Returns the message.
    async fn says(&self, name: &str, type_: &str, reason: &str) -> String {
        let says = |instance: &KratosInstance| {
            let found = condition::find(&instance.status.as_ref()?.conditions, type_)?;
            let is_current = instance.status.as_ref()?.observed_generation == instance.metadata.generation;
            (is_current && found.status == "True" && found.reason == reason).then_some(())
        };
        let instance = self.instance_until(name, reason, says).await;
        let conditions = instance.status.map(|status| status.conditions).unwrap_or_default();
        condition::find(&conditions, type_).map(|found| found.message.clone()).unwrap_or_default()
    }

    /// A new identity is made: the whole way is open, for writes too.
    async fn works(&self, name: &str) {
        self.identity(name, plain(name)).await;
        self.ready(name).await;
    }
}

#[tokio::test]
async fn headers_reach_the_admin_url_alone_and_change_with_their_secret() {
    let scene = Scene::shared().await;
    let public = Proxy::before_kratos(scene.kratos.public_url().as_str()).expect("a proxy");
    scene.proxy.wants(&[("x-gateway", "kratos operator"), ("x-key", FIRST)]);
    let headers = json!([
        {"name": "X-Gateway", "value": "kratos operator"},
        {"name": "X-Key", "secretKeyRef": {"name": "gateway", "key": "key"}},
    ]);
    let spec = scene.instance_spec(json!({"publicURL": public.url(), "headers": headers}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    let message = scene.says("default", "Reconciling", "SecretNotReady").await;
    assert!(message.contains("Secret gateway, key key"), "{message}");
    scene.secret("gateway", "Opaque", json!({"key": format!("{FIRST}\n")})).await;
    scene.instance_ready("default").await;
    scene.works("ada").await;
    assert!(public.seen().iter().all(|seen| !seen.headers.iter().any(|name| name.starts_with("x-"))));
    assert!(!public.seen().is_empty(), "schemas are read there");
    let without = scene.proxy.seen().into_iter().filter(|seen| !seen.headers.contains(&"x-key".to_owned())).count();
    assert_eq!(without, 0, "each request has them");

    // Another value, that the gateway wants a moment later.
    scene.proxy.wants(&[("x-gateway", "kratos operator"), ("x-key", SECOND)]);
    scene.identity("bob", plain("bob")).await;
    let message = scene.says("default", "Reconciling", "KratosUnavailable").await;
    assert!(message.contains("HTTP 403, not in Kratos' form") && message.contains("spec.headers"), "{message}");
    scene.secret("gateway", "Opaque", json!({"key": SECOND})).await;
    scene.instance_ready("default").await;
    scene.ready("bob").await;

    scene.secret("gateway", "Opaque", json!({"key": "S3CRET\nof two lines"})).await;
    let message = scene.says("default", "Stalled", "InvalidSpec").await;
    assert!(message.contains("Secret gateway, key key") && !message.contains("S3CRET"), "{message}");
    scene.secret("gateway", "Opaque", json!({"key": SECOND})).await;
    scene.instance_ready("default").await;
    scene.works("cyd").await;
}

#[tokio::test]
async fn without_a_public_url_headers_follow_the_admin_ports_redirects_as_far_as_its_origin() {
    let scene = Scene::shared().await;
    scene.proxy.wants(&[("x-gateway", "a")]);
    let mut spec = scene.instance_spec(json!({"headers": [{"name": "X-Gateway", "value": "a"}]}));
    spec.as_object_mut().expect("an object").remove("publicURL");
    scene.apply_instance(&scene.namespace, "default", spec).await;
    // Kratos' admin port redirects within itself, and then to its public one.
    scene.instance_ready("default").await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@gateway.example"}})).await;
    scene.ready("ada").await;
}

#[tokio::test]
async fn a_secret_that_changes_is_read_at_once_although_what_was_read_still_works() {
    let scene = Scene::shared().await;
    scene.secret("gateway", "Opaque", json!({"key": FIRST})).await;
    let headers = json!([{"name": "X-Key", "secretKeyRef": {"name": "gateway", "key": "key"}}]);
    scene.instance(json!({ "headers": headers })).await;
    scene.settle().await;
    scene.secret("gateway", "Opaque", json!({"key": SECOND})).await;
    // Its new connections begin with a probe.
    let probed = eventually("it is used", WITHIN, async || (!scene.proxy.seen().is_empty()).then_some(()));
    probed.await.expect("within moments, and not at the next resync in an hour");
    scene.proxy.wants(&[("x-key", SECOND)]);
    scene.works("ada").await;
    scene.instance_ready("default").await;
}

#[tokio::test]
async fn where_a_label_is_wanted_a_header_and_a_certificate_come_out_of_labelled_secrets_alone() {
    let kratos = Kratos::start(Options::default()).await.expect("Kratos starts");
    let cluster = std::sync::Arc::new(Cluster::start().await);
    let mut settings = cluster.operator(vec!["labelled".to_owned()]);
    settings.arguments.push("--require-secret-label".to_owned());
    if cluster.id().is_some() {
        cluster.make_namespace("labelled", &[]).await;
    }
    let operator = crate::testenv::operator::Operator::start(settings).expect("it starts");
    let server = Server::Own(std::sync::Arc::new(kratos));
    let scene = Scene::set(std::sync::Arc::clone(&cluster), server, Some(operator), "labelled".to_owned()).await;
    let pair = Authority::new().and_then(|authority| authority.issue("operator")).expect("a certificate");
    scene.certificate("own", &pair).await;
    scene.secret("gateway", "Opaque", json!({"key": FIRST})).await;
    let headers = json!([{"name": "X-Key", "secretKeyRef": {"name": "gateway", "key": "key"}}]);
    let certificate = json!({"clientCertificate": {"secretRef": {"name": "own"}}});
    let spec = scene.instance_spec(json!({"headers": headers, "tls": certificate}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"kratos-operator.dev/use": "true"}}}));
    for name in ["own", "gateway"] {
        let lacks = |instance: &KratosInstance| {
            let found = condition::find(&instance.status.as_ref()?.conditions, "Reconciling")?;
            let words = [format!("Secret {name}, key"), "kratos-operator.dev/use: \"true\"".to_owned()];
            (found.reason == "SecretNotReady" && words.iter().all(|word| found.message.contains(word))).then_some(())
        };
        scene.instance_until("default", "the label is asked for", lacks).await;
        scene.secrets().patch(name, &PatchParams::default(), &labelled).await.expect("it is labelled");
    }
    scene.instance_ready("default").await;
}

#[tokio::test]
async fn a_gateway_that_turns_strangers_away_is_shown_the_certificate_of_a_secret() {
    let scene = Scene::shared().await;
    let (ours, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let (ours, clients, others) = (ours.expect("one"), clients.expect("one"), others.expect("one"));
    let tls = ours.server(Some(&clients)).expect("TLS");
    let gateway = Terminator::before(scene.proxy.address(), tls).expect("it listens");
    scene.secret("trust", "Opaque", json!({"ca.crt": ours.pem()})).await;
    let ca = json!({"secretKeyRef": {"name": "trust", "key": "ca.crt"}});
    let with = |tls: Value| scene.instance_spec(json!({"adminURL": gateway.url(), "tls": tls}));
    scene.apply_instance(&scene.namespace, "stranger", with(json!({ "ca": ca }))).await;
    let message = scene.says("stranger", "Reconciling", "KratosUnavailable").await;
    assert!(message.contains("TLS handshake") && message.contains("spec.tls.clientCertificate"), "{message}");

    let certificate = json!({"secretRef": {"name": "own"}});
    let spec = with(json!({"ca": ca, "clientCertificate": certificate}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    let message = scene.says("default", "Reconciling", "SecretNotReady").await;
    assert!(message.contains("Secret own, key tls.crt"), "{message}");

    let good = clients.issue("operator").expect("a certificate");
    let in_year = |year| {
        clients.issue_with("operator", move |params| {
            params.not_before = rcgen::date_time_ymd(year, 1, 1);
            params.not_after = rcgen::date_time_ymd(year + 1, 1, 1);
        })
    };
    let (early, expired) = (in_year(2999).expect("a certificate"), in_year(2020).expect("a certificate"));
    let no_pair = Pair { key: expired.key.clone(), ..good.clone() };
    for (pair, words) in
        [(&no_pair, "isn't that of the certificate"), (&early, "valid only from"), (&expired, "expired at")]
    {
        // Another kind of Secret can't be made of one.
        let _ = scene.secrets().delete("own", &DeleteParams::default()).await;
        scene.certificate("own", pair).await;
        let told = |instance: &KratosInstance| {
            let found = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?;
            (found.reason == "InvalidSpec" && found.message.contains(words)).then_some(())
        };
        scene.instance_until("default", words, told).await;
    }
    scene.certificate("own", &good).await;
    scene.instance_ready("default").await;
    scene.works("ada").await;

    // One that the gateway doesn't know is refused by it, and the next good one is taken.
    scene.certificate("own", &others.issue("operator").expect("a certificate")).await;
    let message = scene.says("default", "Reconciling", "KratosUnavailable").await;
    assert!(message.contains("spec.tls.clientCertificate"), "{message}");
    scene.certificate("own", &clients.issue("operator").expect("a certificate")).await;
    scene.instance_ready("default").await;
    scene.works("bob").await;
}
