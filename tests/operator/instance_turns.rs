//! Instances that hang: nobody else's instance waits for them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::scene::Scene;
use crate::testenv::proxy::Proxy;

#[tokio::test]
async fn instances_whose_kratos_hangs_keep_no_other_from_being_looked_at() {
    let scene = Scene::shared().await;
    let hanging = Proxy::before_kratos(scene.kratos.admin_url().as_str()).expect("a proxy");
    let held = hanging.on("*").hold();
    for number in 0..12 {
        let changes = json!({
            "adminURL": hanging.url(), "publicURL": hanging.url(), "requestTimeout": "60s",
            "ownerName": format!("{}-{number}", scene.namespace),
        });
        scene.apply_instance(&scene.namespace, &format!("hangs-{number}"), scene.instance_spec(changes)).await;
    }
    held.held_times(4).await;
    let begun = Instant::now();
    scene.instance(json!({})).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    held.release();
    for number in 0..12 {
        scene.instance_ready(&format!("hangs-{number}")).await;
    }
}
