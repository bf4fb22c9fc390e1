//! What is logged where the API server's answers are of no use, whatever filter was asked for: that it is so, and nothing of
//! what was answered.

use serde_json::json;

use crate::scene::{Scene, WITHIN, is_namespaced};
use crate::testenv::faults::Answer;
use crate::testenv::process::eventually;

/// Everything, and by name what is known to log bodies and queries.
const ALL: &str = "trace,kube_client=trace,kube_client::client=trace,kube_runtime=trace,kube_runtime::watcher=trace,\
                   hyper=trace,hyper::proto::h1=trace,hyper_util=trace,h2=trace,reqwest=trace,tower=trace,rustls=trace";

/// A personal value that is in an answer.
const VALUE: &str = "Somebody-From-An-Answer";

/// A refusal that quotes what it refuses.
fn refusal() -> Answer {
    let message = format!("KratosIdentity \"ada\" is invalid: spec.traits.email: Invalid value: \"{VALUE}\"");
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid", "code": 422,
        "message": message, "details": {"name": "ada", "causes": [{"field": "spec.traits.email", "message": message}]},
    });
    Answer::status(422).json(&status)
}

fn answer(body: &str) -> Answer {
    Answer { body: body.to_owned(), ..Answer::status(200) }.header("content-type", "application/json")
}

async fn logged(scene: &Scene, words: &str) {
    let what = format!("it is logged: {words}");
    let logged = eventually(&what, WITHIN, async || scene.whole_log().contains(words).then_some(()));
    logged.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

#[tokio::test]
async fn no_answer_is_logged_whatever_the_filter() {
    let mut scene = Scene::own().await.with_instance().await;
    let spec = |age: u8| json!({"schemaID": "customer", "traits": {"email": "ada@logging.example", "age": age}});
    scene.identity("ada", spec(1)).await;
    scene.ready("ada").await;
    let proxy = &scene.cluster.proxy;
    // What can't be parsed, in each way of asking: a list, an event, an object that was written.
    let broken = format!(r#"{{"metadata": {{"name": "{VALUE}"}}, "items": [{{"odd": "{VALUE}"]}}"#);
    // Besides the watch, one is listed for its version.
    proxy.on("LIST kratosidentities").times(2).answer(answer(&broken));
    proxy.on("LIST kratosinstances").once().answer(answer(&format!("<p>{VALUE}</p>")));
    proxy.on("LIST namespaces").once().answer(Answer { body: VALUE.to_owned(), ..Answer::status(500) });
    proxy.on("LIST secrets").once().answer(answer(&format!(r#"{{"items": "{VALUE}"}}"#)));
    let event = format!("{}\n", broken.replace("items", "object"));
    proxy.on("WATCH kratossessionpolicies").once().answer(answer(&event));
    proxy.on("PATCH kratosidentities/status").once().answer(refusal());
    proxy.on("PATCH kratosidentities/status").once().answer(answer(&broken));
    scene.operator().restart_with(|settings| ALL.clone_into(&mut settings.log)).expect("it starts");
    // An operator that works in namespaces of its own asks for each by its name.
    let namespaces = if is_namespaced() { None } else { Some("Namespace") };
    for watched in ["KratosIdentity", "KratosInstance", "KratosSessionPolicy", "Secret"].into_iter().chain(namespaces) {
        logged(&scene, &format!("what=\"watch of {watched}\"")).await;
    }
    scene.identity("ada", spec(2)).await;
    logged(&scene, "the API server answers 422 Invalid").await;
    logged(&scene, "a reconcile failed; it is tried again").await;
    logged(&scene, "the answer isn't what was asked for").await;
    scene.ready("ada").await;
    // The filter was taken, and what may be said is.
    logged(&scene, "identities were compared").await;
    let log = scene.whole_log();
    let shown: Vec<_> = log.lines().filter(|line| line.contains(VALUE)).collect();
    assert!(shown.is_empty(), "{shown:?}");
}
