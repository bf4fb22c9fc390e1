//! What the answer to a batch says about each item: as tables, and with servers as they are, old and new.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use reqwest::StatusCode;
use serde_json::json;

use super::super::batcher::triage::{Item, Triaged, confirm, made, triage};
use super::super::error::Error;
use super::super::fault::Fault;
use super::super::kind::Kind;
use super::super::{
    BatchOutcome, Class, CreateIdentity, CredentialImport, Identity, PasswordImport, Secret, State,
    VerifiedAddressImport,
};

/// A create with a number.
#[derive(Clone, Debug)]
struct Numbered(usize, CreateIdentity);

impl Item for Numbered {
    fn create(&self) -> &CreateIdentity {
        &self.1
    }
}

fn answer(status: u16, fault: Fault) -> Error {
    let status = StatusCode::from_u16(status).unwrap();
    Error::new("batch_patch_identities", Kind::Answer { status, fault, retry_after: Some(Duration::from_secs(1)) })
}

fn items(count: usize) -> Vec<Numbered> {
    (0..count).map(|number| Numbered(number, CreateIdentity::default())).collect()
}

fn with_password(mut item: Numbered, password: PasswordImport) -> Numbered {
    item.1.credentials = CredentialImport { password: Some(password), ..CredentialImport::default() };
    item
}

fn numbers(items: &[Numbered]) -> Vec<usize> {
    items.iter().map(|item| item.0).collect()
}

/// created, doubtful, failed, again, alone
type Row = (Vec<usize>, Vec<usize>, Vec<usize>, Vec<Vec<usize>>, Vec<usize>);

fn row(sifted: &Triaged<Numbered>) -> Row {
    let ids = |pairs: &[(Numbered, String)]| pairs.iter().map(|(item, _)| item.0).collect();
    (
        ids(&sifted.created),
        ids(&sifted.doubtful),
        sifted.failed.iter().map(|(item, _)| item.0).collect(),
        sifted.again.iter().map(|group| numbers(group)).collect(),
        numbers(&sifted.alone),
    )
}

fn created(id: &str) -> BatchOutcome {
    BatchOutcome::Created { id: id.into() }
}

#[test]
fn where_nothing_failed_all_are_created_and_else_nothing_is_believed() {
    let none = Vec::new;
    let sifted = triage(items(2), Ok(vec![created("a"), created("b")]));
    assert_eq!(row(&sifted), (vec![0, 1], none(), none(), vec![], none()));
    let conflict = BatchOutcome::Failed(answer(409, Fault::Other));
    let sifted = triage(items(3), Ok(vec![created("a"), conflict, created("b")]));
    assert_eq!(row(&sifted), (none(), vec![0, 2], none(), vec![], vec![1]));
    let failed = BatchOutcome::Failed(answer(500, Fault::Other));
    let sifted = triage(items(2), Ok(vec![failed, created("b")]));
    assert_eq!(row(&sifted), (none(), vec![1], vec![0], vec![], none()), "it may have been carried out");
}

#[test]
fn a_request_that_was_refused_is_halved_and_the_last_one_goes_alone() {
    let none = Vec::new;
    for error in [answer(400, Fault::Other), answer(409, Fault::Other), answer(413, Fault::BodyTooLarge)] {
        assert_eq!(
            row(&triage(items(5), Err(error))),
            (none(), none(), none(), vec![vec![0, 1], vec![2, 3, 4]], none())
        );
    }
    let hash = |item| with_password(item, PasswordImport::Hashed(Secret::new("$2a$10$x")));
    let text = |item| with_password(item, PasswordImport::Cleartext(Secret::new("x")));
    let mixed = || {
        let wrap: [&dyn Fn(Numbered) -> Numbered; 5] = [&hash, &text, &|item| item, &hash, &hash];
        items(5).into_iter().zip(wrap).map(|(item, wrap)| wrap(item)).collect::<Vec<_>>()
    };
    let sifted = triage(mixed(), Err(answer(400, Fault::HashRejected)));
    assert_eq!(row(&sifted), (none(), none(), none(), vec![vec![1, 2], vec![0], vec![3, 4]], none()));
    let sifted = triage(mixed(), Err(answer(500, Fault::PasswordRejected)));
    assert_eq!(row(&sifted), (none(), none(), none(), vec![vec![0, 2, 3, 4]], vec![1]), "only one can be meant");
}

#[test]
fn a_field_that_the_server_does_not_know_is_refused_to_all_that_have_it() {
    let mut three = items(3);
    three[1].1.external_id = Some("crm-1".into());
    let error = answer(400, Fault::UnknownField("external_id"));
    let sifted = triage(three, Err(error.clone()));
    assert_eq!(row(&sifted), (vec![], vec![], vec![1], vec![vec![0, 2]], vec![]));
    assert_eq!(sifted.failed[0].1.unknown_field(), Some("external_id"));
    let sifted = triage(items(2), Err(error));
    assert_eq!(row(&sifted), (vec![], vec![], vec![], vec![vec![0], vec![1]], vec![]), "it is in none of them");
}

#[test]
fn what_may_have_been_carried_out_or_is_to_wait_is_not_sent_again_here() {
    let errors = [
        Error::new("batch_patch_identities", Kind::Timeout),
        Error::new("batch_patch_identities", Kind::Interrupted),
        Error::new("batch_patch_identities", Kind::Connect(String::new())),
        answer(500, Fault::Other),
        answer(429, Fault::Other),
        answer(400, Fault::ConcurrentUpdate),
    ];
    for error in errors {
        let sifted = triage(items(2), Err(error.clone()));
        assert_eq!(row(&sifted), (vec![], vec![], vec![0, 1], vec![], vec![]), "{error}");
        assert!(sifted.failed.iter().all(|(_, each)| *each == error));
    }
}

#[test]
fn an_identity_is_made_of_what_was_sent_as_kratos_keeps_it() {
    let create = CreateIdentity {
        schema_id: "customer".into(),
        traits: json!({"email": "Ada@example.com"}),
        metadata_admin: Some(json!({"mark": 1})),
        external_id: Some("crm-1".into()),
        verifiable_addresses: vec![VerifiedAddressImport::verified_email(" Ada@example.com")],
        ..CreateIdentity::default()
    };
    let identity = made(&create, "an-id".into());
    assert_eq!((identity.id.as_str(), identity.state), ("an-id", State::Active));
    assert_eq!(identity.traits, create.traits);
    assert_eq!(identity.metadata_admin, json!({"mark": 1}));
    assert!(identity.metadata_public.is_null());
    assert_eq!(identity.external_id.as_deref(), Some("crm-1"));
    let address = &identity.verifiable_addresses[0];
    assert_eq!((address.value.as_str(), address.verified), ("ada@example.com", true));
}

/// A flaw of an item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    Traits,
    Hash,
    /// It fails the whole request with an error that doesn't say why.
    Puzzle,
}

#[derive(Clone, Debug)]
struct Person {
    identifier: usize,
    wrong: Wrong,
}

/// A server and its identities: id by identifier.
struct Server {
    is_new: bool,
    held: BTreeMap<usize, String>,
    people: Vec<Person>,
    made: usize,
    requests: usize,
}

impl Server {
    fn whole(&self, items: &[Numbered]) -> Option<Error> {
        let is = |wrong| items.iter().any(|item| self.people[item.0].wrong == wrong);
        if is(Wrong::Hash) {
            Some(answer(400, Fault::HashRejected))
        } else {
            is(Wrong::Puzzle).then(|| answer(400, Fault::Other))
        }
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("id-{}", self.made)
    }

    fn single(&mut self, item: &Numbered) -> Result<String, Error> {
        self.requests += 1;
        let person = self.people[item.0].clone();
        if let Some(error) = self.whole(std::slice::from_ref(item)) {
            return Err(error);
        }
        if person.wrong == Wrong::Traits {
            return Err(answer(400, Fault::TraitsRejected));
        }
        if self.held.contains_key(&person.identifier) {
            return Err(answer(409, Fault::Other));
        }
        let id = self.id();
        self.held.insert(person.identifier, id.clone());
        Ok(id)
    }

    fn batch(&mut self, items: &[Numbered]) -> Result<Vec<BatchOutcome>, Error> {
        self.requests += 1;
        if let Some(error) = self.whole(items) {
            return Err(error);
        }
        let before = self.held.clone();
        let mut is_conflict = false;
        let mut outcomes = Vec::new();
        for item in items {
            let person = self.people[item.0].clone();
            outcomes.push(if person.wrong == Wrong::Traits {
                BatchOutcome::Failed(answer(400, Fault::Other))
            } else if self.held.contains_key(&person.identifier) {
                is_conflict = true;
                BatchOutcome::Failed(answer(409, Fault::Other))
            } else {
                let id = self.id();
                self.held.insert(person.identifier, id.clone());
                BatchOutcome::Created { id }
            });
        }
        if is_conflict && !self.is_new {
            self.held = before;
        }
        Ok(outcomes)
    }
}

/// Sends until all are answered, as the batcher does.
fn settle(server: &mut Server, items: Vec<Numbered>) -> BTreeMap<usize, Result<String, Error>> {
    let mut answers = BTreeMap::new();
    let mut say = |item: &Numbered, answer| assert!(answers.insert(item.0, answer).is_none(), "answered twice");
    let (mut groups, mut alone) = (VecDeque::from([items]), VecDeque::new());
    while let Some(group) = groups.pop_front().or_else(|| alone.pop_front().map(|item| vec![item])) {
        if let [item] = &group[..] {
            say(item, server.single(item));
            continue;
        }
        let answer = server.batch(&group);
        let sifted = triage(group, answer);
        sifted.created.iter().for_each(|(item, id)| say(item, Ok(id.clone())));
        sifted.failed.iter().for_each(|(item, error)| say(item, Err(error.clone())));
        let there = server.held.values().map(|id| (id.clone(), Identity { id: id.clone(), ..Identity::default() }));
        let (found, lost) = confirm(sifted.doubtful, there.collect::<HashMap<_, _>>());
        for (item, identity) in found {
            say(&item, Ok(identity.id));
        }
        sifted.again.into_iter().rev().for_each(|group| groups.push_front(group));
        if !lost.is_empty() {
            groups.push_front(lost);
        }
        alone.extend(sifted.alone);
    }
    answers
}

fn person() -> impl Strategy<Value = Person> {
    let wrong = prop_oneof![
        20 => Just(Wrong::Nothing),
        1 => Just(Wrong::Traits),
        1 => Just(Wrong::Hash),
        1 => Just(Wrong::Puzzle),
    ];
    (0_usize..400, wrong).prop_map(|(identifier, wrong)| Person { identifier, wrong })
}

proptest! {
    #[test]
    fn each_is_answered_once_the_guilty_alone_fail_and_nothing_is_made_twice(
        people in proptest::collection::vec(person(), 2..200),
        held in proptest::collection::btree_set(0_usize..400, 0..20),
        is_new in any::<bool>(),
    ) {
        let before: BTreeMap<_, _> = held.iter().map(|identifier| (*identifier, format!("old-{identifier}"))).collect();
        let mut server = Server { is_new, held: before.clone(), people: people.clone(), made: 0, requests: 0 };
        let items = items(people.len()).into_iter().map(|item| match people[item.0].wrong {
            Wrong::Hash => with_password(item, PasswordImport::Hashed(Secret::new("$2a$10$x"))),
            _ => item,
        });
        let answers = settle(&mut server, items.collect());
        prop_assert_eq!(answers.len(), people.len());
        let mut made = BTreeMap::new();
        for (number, answer) in &answers {
            let person = &people[*number];
            match (person.wrong, answer) {
                (Wrong::Nothing, Ok(id)) => {
                    prop_assert_eq!(server.held.get(&person.identifier), Some(id), "it is there");
                    prop_assert!(made.insert(person.identifier, id).is_none(), "one of the same identifier");
                }
                (Wrong::Nothing, Err(error)) => prop_assert_eq!(error.class(), Class::Conflict),
                (Wrong::Traits, Err(error)) => prop_assert!(error.is_traits_rejected()),
                (Wrong::Hash, Err(error)) => prop_assert!(error.is_hash_rejected()),
                (Wrong::Puzzle, Err(error)) => prop_assert_eq!(error.class(), Class::Rejected),
                (_, Ok(_)) => prop_assert!(false, "the guilty was made"),
            }
        }
        for person in people.iter().filter(|person| person.wrong == Wrong::Nothing) {
            let is_there = made.contains_key(&person.identifier) || before.contains_key(&person.identifier);
            prop_assert!(is_there, "nobody innocent is left out");
        }
        prop_assert_eq!(server.held.len(), before.len() + made.len(), "and nothing else was made");
    }
}

#[test]
fn one_guilty_among_two_hundred_costs_few_requests() {
    for (wrong, most) in [(Wrong::Nothing, 1), (Wrong::Traits, 2), (Wrong::Hash, 18), (Wrong::Puzzle, 18)] {
        let mut people: Vec<_> = (0..200).map(|identifier| Person { identifier, wrong: Wrong::Nothing }).collect();
        people[77].wrong = wrong;
        let mut server = Server { is_new: false, held: BTreeMap::new(), people, made: 0, requests: 0 };
        settle(&mut server, items(200));
        assert!(server.requests <= most, "{wrong:?} took {} requests", server.requests);
    }
}
