//! Creates in a batch before the real server: a few that can't be, among many that can.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use kratos_operator::base::flow::fair_semaphore::FairSemaphore;
use kratos_operator::kratos::{
    BatchMode, Batcher, Client, CreateIdentity, CredentialImport, Error, Identity, IdentityFilter, PasswordImport,
    Secret, Writer,
};
use rstest::rstest;
use serde_json::json;

use crate::fixtures::{customer, email, list, password};
use crate::testenv::kratos::{Kratos, Options, somebody};

const COUNT: usize = 500;

/// One that the server refuses, for this reason.
async fn refused(kind: &str, client: &Writer) -> CreateIdentity {
    let create = customer(&email(kind));
    match kind {
        "traits" => CreateIdentity { traits: json!({"email": email(kind), "age": -1}), ..create },
        "schema" => CreateIdentity { schema_id: "nobody-has-this".into(), ..create },
        "taken" => {
            client.create_identity(&create).await.unwrap();
            create
        }
        "hash" => {
            let no_hash = Some(PasswordImport::Hashed(Secret::new("no hash")));
            CreateIdentity { credentials: CredentialImport { password: no_hash, ..Default::default() }, ..create }
        }
        "password" => CreateIdentity { credentials: password(&"long-horse-".repeat(7)), ..create },
        // Beyond what the server reads.
        "size" => CreateIdentity { metadata_public: Some(json!("x".repeat(6 << 20))), ..create },
        other => panic!("{other}?"),
    }
}

async fn create_all(batcher: &Batcher, creates: &[CreateIdentity]) -> Vec<Result<Identity, Error>> {
    join_all(creates.iter().map(async |create| batcher.create(create, (BatchMode::Batched, "team"), &somebody()).await))
        .await
}

/// Each of these is there exactly once: as many with this mark as were made, and they are those.
async fn are_there(client: &Client, mark: &str, made: HashSet<String>) {
    let all = list(client, IdentityFilter::default()).await.unwrap();
    let marked: Vec<_> = all
        .into_iter()
        .filter(|found| found.metadata_admin.read().unwrap()["mark"] == mark)
        .map(|found| found.id)
        .collect();
    assert_eq!(marked.len(), made.len(), "none is lost, none is there twice");
    assert_eq!(marked.into_iter().collect::<HashSet<_>>(), made);
}

#[rstest]
#[tokio::test]
async fn each_that_the_server_refuses_is_told_what_it_would_have_been_told_alone_and_all_others_are_made(
    #[values("traits", "schema", "taken", "hash", "password", "size")] kind: &str,
    #[values(1, 20)] guilty: usize,
) {
    // Of its own: what hundreds take, others would wait for.
    let kratos = Kratos::start(Options::default()).await.unwrap();
    let client = kratos.client();
    let (batcher, collects) = Batcher::new(Client::clone(&client), Arc::new(FairSemaphore::new(2)));
    tokio::spawn(collects);
    // So many of six mebibytes would take as much of this test's memory.
    let guilty = if kind == "size" { guilty.min(3) } else { guilty };
    let every = COUNT / guilty;
    let is_guilty = |number: usize| number % every == every / 2 && number / every < guilty;
    let mark = email("mark");
    let mut creates = Vec::new();
    for number in 0..COUNT {
        let create = if is_guilty(number) { refused(kind, &client).await } else { customer(&email("Innocent")) };
        creates.push(CreateIdentity { metadata_admin: Some(json!({ "mark": mark })), ..create });
    }
    let alone = client.create_identity(&creates[every / 2]).await.unwrap_err();
    let answers = create_all(&batcher, &creates).await;
    let mut made = HashSet::new();
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(identity) if !is_guilty(number) => assert!(made.insert(identity.id), "{number}"),
            Err(error) if is_guilty(number) => assert_eq!(error, alone, "{number}"),
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(made.len(), COUNT - guilty);
    are_there(&client, &mark, made).await;
}

#[rstest]
#[tokio::test]
async fn of_those_with_the_same_identifier_one_is_made_and_all_others_with_it(#[values(2, 20)] twins: usize) {
    // Of its own: what hundreds take, others would wait for.
    let kratos = Kratos::start(Options::default()).await.unwrap();
    let client = kratos.client();
    let (batcher, collects) = Batcher::new(Client::clone(&client), Arc::new(FairSemaphore::new(2)));
    tokio::spawn(collects);
    let (mark, shared) = (email("mark"), email("twin"));
    let every = COUNT / twins;
    let is_twin = |number: usize| number.is_multiple_of(every);
    let create = |number: usize| CreateIdentity {
        metadata_admin: Some(json!({ "mark": mark })),
        ..customer(&if is_twin(number) { shared.clone() } else { email("innocent") })
    };
    let creates: Vec<_> = (0..COUNT).map(create).collect();
    let answers = create_all(&batcher, &creates).await;
    let alone = client.create_identity(&creates[0]).await.unwrap_err();
    let (mut made, mut made_twins) = (HashSet::new(), 0);
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(identity) => {
                made_twins += usize::from(is_twin(number));
                assert!(made.insert(identity.id), "{number}");
            }
            Err(error) => assert!(is_twin(number) && error == alone, "{number}: {error}"),
        }
    }
    assert_eq!((made_twins, made.len()), (1, COUNT - twins + 1));
    are_there(&client, &mark, made).await;
}
