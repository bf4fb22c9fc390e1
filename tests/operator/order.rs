//! Who goes first: what a person does isn't kept waiting by what a process that starts finds as it was.

use serde_json::json;

use crate::scene::{Scene, id_of};

const READ: &str = "GET /admin/identities/{id}";
/// More than there are places.
const MANY: usize = 40;
/// Places that aren't kept for people, of the sixteen that the operator is given.
const PLACES: usize = 14;

#[tokio::test]
async fn a_person_is_served_while_every_place_for_the_rest_is_taken_and_many_wait() {
    let mut scene = Scene::own().await;
    scene.instance(json!({"requestTimeout": "30s"})).await;
    let spec = |name: &str| json!({"schemaID": "customer", "traits": {"email": format!("{name}@order.example")}});
    let names: Vec<_> =
        (0..MANY).map(|number| format!("settled-{number}")).chain(["ada".into(), "bob".into()]).collect();
    for name in &names {
        scene.identity(name, spec(name)).await;
    }
    for name in &names {
        scene.ready(name).await;
    }
    let excepted = [id_of(&scene.ready("ada").await), id_of(&scene.ready("bob").await)];
    let is_of_the_rest = move |label: &str, path: &str| label == READ && !excepted.iter().any(|id| path.contains(id));
    scene.operator().stop().expect("it stops");
    let reads = scene.proxy.on_where(is_of_the_rest.clone()).hold();
    scene.count_from_now();
    let sixteen = ["--concurrency", "16"].map(str::to_owned);
    scene.operator().restart_with(|settings| settings.arguments.extend(sixteen)).expect("it starts");
    reads.held_times(PLACES).await;

    scene.identity("new", spec("new")).await;
    scene.ready("new").await;
    scene.ask("ada").await;
    scene.delete("bob").await;
    scene.gone("bob").await;

    let seen = scene.proxy.seen();
    let begun = seen.iter().filter(|seen| is_of_the_rest(&seen.label, &seen.path)).count();
    assert_eq!(begun, PLACES, "the others wait still");
    reads.release();
    scene.proxy.clear_faults();
    scene.ask("settled-0").await;
}
