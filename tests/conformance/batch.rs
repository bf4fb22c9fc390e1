//! `batch_patch_identities`.

use kratos_operator::kratos::{BatchAnswer, BatchItem, BatchOutcome, Class, CreateIdentity, Error, State};
use serde_json::json;

use crate::fixtures::{customer, email, kratos, list, plain, read};
use kratos_operator::kratos::IdentityFilter;

fn item(create: CreateIdentity) -> BatchItem {
    BatchItem { create, patch_id: None }
}

fn id(answer: &BatchAnswer) -> &str {
    match &answer.outcome {
        BatchOutcome::Created { id } => id,
        BatchOutcome::Failed(error) => panic!("{error}"),
    }
}

fn error(answer: &BatchAnswer) -> &Error {
    match &answer.outcome {
        BatchOutcome::Created { id } => panic!("{id} was created"),
        BatchOutcome::Failed(error) => error,
    }
}

#[tokio::test]
async fn all_are_created_and_the_answers_keep_their_order_and_patch_ids() {
    let (_, client) = kratos().await;
    let patch_ids = ["c4ae4d6c-6c6f-4d7a-8d7e-3c5e5b6a7d8e", "1a0f5d5e-58a4-4c39-8a5f-0d5c1f3b7c11"];
    let items: Vec<_> = patch_ids
        .iter()
        .map(|id| BatchItem { create: plain(json!({"label": id})), patch_id: Some((*id).into()) })
        .collect();
    let answers = client.batch_patch_identities(&items).await.unwrap();
    assert_eq!(answers.len(), 2);
    for (answer, patch_id) in answers.iter().zip(patch_ids) {
        assert_eq!(answer.patch_id.as_deref(), Some(patch_id));
        assert_eq!(read(&client, id(answer)).await.traits.read().unwrap()["label"], patch_id);
    }
}

#[tokio::test]
async fn bad_traits_and_an_unknown_schema_fail_alone_but_cannot_be_told_apart() {
    let (_, client) = kratos().await;
    let mut bad = customer(&email("bad"));
    bad.traits["age"] = json!(-1);
    let unknown = CreateIdentity { schema_id: "nobody-has-this".into(), ..plain(json!({})) };
    let items = [item(bad), item(unknown), item(plain(json!({"label": "good"})))];
    let answers = client.batch_patch_identities(&items).await.unwrap();
    for answer in &answers[..2] {
        let error = error(answer);
        assert_eq!((error.class(), error.status()), (Class::Rejected, Some(400)));
        assert!(!error.is_traits_rejected() && !error.is_schema_unknown());
    }
    assert_eq!(read(&client, id(&answers[2])).await.traits.read().unwrap()["label"], "good");
}

#[tokio::test]
async fn one_conflict_undoes_the_others_although_they_are_answered_as_created() {
    let (_, client) = kratos().await;
    let taken = email("taken");
    client.create_identity(&customer(&taken)).await.unwrap();
    let free = email("free");
    let answers = client.batch_patch_identities(&[item(customer(&taken)), item(customer(&free))]).await.unwrap();
    assert_eq!(error(&answers[0]).class(), Class::Conflict);
    assert!(client.get_identity(id(&answers[1]), &[]).await.unwrap().is_none());
    assert!(list(&client, IdentityFilter::by_identifier(free)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_conflict_within_the_batch_is_one_too() {
    let (_, client) = kratos().await;
    let twice = email("twice");
    let items = [item(customer(&twice)), item(customer(&twice)), item(plain(json!({})))];
    let answers = client.batch_patch_identities(&items).await.unwrap();
    let conflicts = answers.iter().filter(|answer| matches!(answer.outcome, BatchOutcome::Failed(_))).count();
    assert_eq!(conflicts, 1);
    assert!(list(&client, IdentityFilter::by_identifier(twice)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_field_or_a_bad_hash_in_one_item_fails_the_whole_request() {
    use kratos_operator::kratos::{CredentialImport, PasswordImport, Secret};
    let (_, client) = kratos().await;
    let good = email("good");
    let newer = CreateIdentity { external_id: Some("crm-1".into()), ..plain(json!({})) };
    let error = client.batch_patch_identities(&[item(customer(&good)), item(newer)]).await.unwrap_err();
    assert_eq!((error.class(), error.unknown_field()), (Class::Rejected, Some("external_id")));
    let import = CredentialImport {
        password: Some(PasswordImport::Hashed(Secret::new("no hash"))),
        ..CredentialImport::default()
    };
    let bad = CreateIdentity { credentials: import, ..plain(json!({})) };
    let error = client.batch_patch_identities(&[item(customer(&good)), item(bad)]).await.unwrap_err();
    assert!(error.is_hash_rejected());
    assert!(list(&client, IdentityFilter::by_identifier(good)).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_state_is_taken_and_metadata_admin_with_it() {
    let (_, client) = kratos().await;
    let create = CreateIdentity {
        state: Some(State::Inactive),
        metadata_admin: Some(json!({"mark": "batch"})),
        ..plain(json!({}))
    };
    let answers = client.batch_patch_identities(&[item(create)]).await.unwrap();
    let read = read(&client, id(&answers[0])).await;
    assert_eq!(read.state, State::Inactive);
    assert_eq!(read.metadata_admin, json!({"mark": "batch"}));
}

#[tokio::test]
async fn five_hundred_at_once_are_created_and_more_than_two_thousand_are_rejected() {
    let (_, client) = kratos().await;
    let items: Vec<_> = (0..500).map(|number| item(plain(json!({"label": number.to_string()})))).collect();
    let answers = client.batch_patch_identities(&items).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer.outcome, BatchOutcome::Created { .. })));
    let items = vec![item(plain(json!({}))); 2001];
    let error = client.batch_patch_identities(&items).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Rejected, Some(400)));
}

#[tokio::test]
async fn an_empty_batch_is_answered_emptily() {
    let (_, client) = kratos().await;
    assert!(client.batch_patch_identities(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_thousand_that_arrive_together_are_sent_in_batches_of_fifty_and_more_and_are_read_back_as_they_were_sent() {
    use crate::testenv::kratos::somebody;
    use crate::testenv::proxy::Proxy;
    use kratos_operator::base::flow::fair_semaphore::FairSemaphore;
    use kratos_operator::kratos::{BatchMode, Batcher, Client, ClientConfig};
    use std::sync::Arc;
    const COUNT: usize = 1000;
    let (kratos, client) = kratos().await;
    let proxy = Proxy::before_kratos(kratos.admin_url().as_str()).unwrap();
    let client_through_it = Client::new(ClientConfig::new(proxy.url().parse().unwrap())).unwrap();
    let (batcher, collects) = Batcher::new(client_through_it, Arc::new(FairSemaphore::new(2)));
    tokio::spawn(collects);
    let creates: Vec<_> = (0..COUNT)
        .map(|number| CreateIdentity {
            metadata_admin: Some(json!({"mark": number})),
            metadata_public: (number % 2 == 0).then(|| json!({"plan": "gold", "nothing": null, "half": 0.5})),
            state: Some(if number % 3 == 0 { State::Inactive } else { State::Active }),
            ..customer(&email("Together"))
        })
        .collect();
    let made = futures::future::join_all(
        creates.iter().map(async |create| batcher.create(create, (BatchMode::Batched, "team"), &somebody()).await),
    )
    .await;
    let requests = proxy.counts();
    assert!(requests.values().sum::<usize>() <= COUNT / 50, "{requests:?}");
    let made: Vec<_> = made.into_iter().map(|made| made.unwrap()).collect();
    let there = list(&client, IdentityFilter::by_ids(made.iter().map(|made| made.id.clone()))).await.unwrap();
    let there: std::collections::HashMap<_, _> = there.into_iter().map(|found| (found.id.clone(), found)).collect();
    assert_eq!(there.len(), COUNT);
    for made in made {
        let found = &there[&made.id];
        assert_eq!((&made.schema_id, made.state), (&found.schema_id, found.state));
        assert_eq!((&made.traits, &made.metadata_public), (&found.traits, &found.metadata_public));
        assert_eq!(made.metadata_admin, found.metadata_admin);
    }
}
