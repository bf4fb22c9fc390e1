//! The real control plane: it starts, it collects garbage, it survives a restart, it ends without leaving anything.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::testenv::control_plane::{ControlPlane, client};
use crate::testenv::kubectl::Kubectl;
use crate::testenv::process::eventually;

#[tokio::test]
async fn it_gives_namespaces_and_kubectl_and_deletes_a_namespace_for_good() {
    let control_plane = ControlPlane::shared().await;
    let name = control_plane.namespace(&[("tier", "internal")]).await.unwrap();
    let kubectl = control_plane.kubectl();
    kubectl
        .apply(&format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: {name}}}, data: {{b: c}}}}"
        ))
        .await
        .unwrap();
    let shown = kubectl.run(["get", "configmap", "a", "-n", &name, "-o", "jsonpath={.data.b}"]).await.unwrap();
    assert_eq!(shown, "c");
    let error = kubectl.run(["get", "configmap", "none", "-n", &name]).await;
    assert!(error.unwrap_err().to_string().contains("NotFound"));

    let namespaces: Api<Namespace> = Api::all(control_plane.client().await.unwrap());
    let found = namespaces.get(&name).await.unwrap();
    assert_eq!(found.metadata.labels.unwrap()["tier"], "internal");
    namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("the namespace is gone", Duration::from_secs(30), async || {
        namespaces.get_opt(&name).await.unwrap().is_none().then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn it_collects_what_is_owned_by_what_is_gone() {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace(&[]).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(control_plane.client().await.unwrap(), &namespace);
    let owner = create(&maps, json!({"metadata": {"name": "owner"}})).await;
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid});
    create(&maps, json!({"metadata": {"name": "owned", "ownerReferences": [reference]}})).await;
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    eventually("what was owned is gone", Duration::from_secs(30), async || {
        maps.get_opt("owned").await.unwrap().is_none().then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_service_account_is_who_it_is_before_the_server_and_before_the_proxy() {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace(&[]).await.unwrap();
    let admin = control_plane.kubectl();
    let of = ["-n", &namespace];
    admin.run(["create", "serviceaccount", "robot"].iter().chain(&of)).await.unwrap();
    let token = admin.run(["create", "token", "robot"].iter().chain(&of)).await.unwrap();
    let robot = Kubectl::new(control_plane.kubeconfig_for(token.trim()).unwrap());
    let (_proxy, through) = control_plane.proxy().unwrap();
    let (_robots_proxy, robots_through) = control_plane.proxy_for(token.trim()).unwrap();
    let who = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    let expected = format!("system:serviceaccount:{namespace}:robot");
    assert_eq!(robot.run(who).await.unwrap(), expected);
    assert_eq!(Kubectl::new(robots_through).run(who).await.unwrap(), expected);
    assert_eq!(Kubectl::new(through).run(who).await.unwrap(), "admin");
}

#[tokio::test]
async fn a_second_one_runs_beside_restarts_and_leaves_nothing() {
    let control_plane = ControlPlane::start().await.unwrap();
    let namespace = control_plane.namespace(&[]).await.unwrap();
    let kubeconfig = control_plane.kubeconfig();
    let before = control_plane.client().await.unwrap();
    control_plane.restart_apiserver().await.unwrap();
    Api::<Namespace>::all(before).get(&namespace).await.unwrap();
    let shared = ControlPlane::shared().await;
    assert_ne!(shared.url(), control_plane.url());

    let address = control_plane.url().replace("https://", "");
    control_plane.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!kubeconfig.parent().unwrap().exists());
}

#[tokio::test]
async fn a_proxy_counts_by_verb_and_resource_and_lets_watches_stream() {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace(&[]).await.unwrap();
    let (proxy, kubeconfig) = control_plane.proxy().unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client(&kubeconfig).await.unwrap(), &namespace);
    proxy.reset();

    let version = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let watch = maps.watch(&WatchParams::default().fields("metadata.name=seen"), &version).await.unwrap();
    let mut watch = std::pin::pin!(watch);
    create(&maps, json!({"metadata": {"name": "seen"}})).await;
    let event = tokio::time::timeout(Duration::from_secs(10), futures::StreamExt::next(&mut watch));
    assert!(matches!(event.await.unwrap(), Some(Ok(WatchEvent::Added(_)))));
    let patch = Patch::Merge(json!({"data": {"a": "b"}}));
    maps.patch("seen", &PatchParams::default(), &patch).await.unwrap();
    maps.get("seen").await.unwrap();

    let counts: Vec<(String, usize)> = proxy.counts().into_iter().collect();
    let expected = ["GET", "LIST", "PATCH", "POST", "WATCH"].map(|verb| (format!("{verb} configmaps"), 1));
    assert_eq!(counts, expected);
}

async fn create(maps: &Api<ConfigMap>, map: serde_json::Value) -> ConfigMap {
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap()
}
