//! The queue's order as tables, and what holds whatever is asked for.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn key(text: &str) -> NamespacedName {
    text.parse().expect("a place")
}

/// Where time is none of a test's business.
fn some_time() -> Instant {
    static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *BEGUN
}

/// Takes all, as namespace/name.
fn drain(queue: &mut PriorityQueue) -> Vec<String> {
    std::iter::from_fn(|| queue.take(Priority::Routine)).map(|(key, _)| key.to_string()).collect()
}

#[test]
fn what_a_person_did_goes_first_then_what_has_come_then_the_rest() {
    let mut queue = PriorityQueue::default();
    queue.add(&key("a/drifted"), Priority::Routine, some_time());
    queue.add(&key("a/opened"), Priority::Arrived, some_time());
    queue.add(&key("a/applied"), Priority::Person, some_time());
    assert_eq!(drain(&mut queue), ["a/applied", "a/opened", "a/drifted"]);
}

#[test]
fn namespaces_take_turns() {
    let mut queue = PriorityQueue::default();
    for text in ["a/z", "a/y", "a/x", "b/only", "c/2", "c/1"] {
        queue.add(&key(text), Priority::Person, some_time());
    }
    assert_eq!(drain(&mut queue), ["a/z", "b/only", "c/2", "a/x", "c/1", "a/y"]);
}

#[test]
fn a_single_one_does_not_wait_for_thousands() {
    let mut queue = PriorityQueue::default();
    for number in 0..10_000 {
        queue.add(&NamespacedName::new("many", format!("number-{number}")), Priority::Person, some_time());
    }
    for _ in 0..10 {
        queue.take(Priority::Routine);
    }
    queue.add(&key("few/ada"), Priority::Person, some_time());
    assert_eq!(queue.take(Priority::Routine).unwrap().0.to_string(), "few/ada");
    assert_eq!(queue.waiting(), 9_990);
    queue.add(&key("many/ada"), Priority::Person, some_time());
    let next_two = [queue.take(Priority::Routine), queue.take(Priority::Routine)];
    assert!(next_two.iter().flatten().any(|(key, _)| key.name == "ada"), "nor for those of its own");
}

#[test]
fn what_is_kept_for_those_that_are_alone_is_for_people_of_namespaces_without_any_in_work() {
    let mut queue = PriorityQueue::default();
    for text in ["many/1", "many/2", "few/ada", "few/grace"] {
        queue.add(&key(text), Priority::Person, some_time());
    }
    queue.add(&key("other/drifted"), Priority::Arrived, some_time());
    let (ada, _) = queue.take(Priority::Person).unwrap();
    assert_eq!(ada.to_string(), "few/ada");
    assert_eq!(queue.take_alone().unwrap().to_string(), "many/1");
    assert_eq!(queue.take_alone(), None, "each has one, and drift is no person's");
    queue.done(&ada, None, some_time());
    assert_eq!(queue.take_alone().unwrap().to_string(), "few/grace");
    assert_eq!(drain(&mut queue), ["many/2", "other/drifted"]);
}

#[test]
fn who_waits_already_goes_up_but_never_down() {
    let mut queue = PriorityQueue::default();
    for text in ["a/first", "a/second"] {
        queue.add(&key(text), Priority::Arrived, some_time());
    }
    queue.add(&key("a/first"), Priority::Routine, some_time());
    queue.add(&key("a/second"), Priority::Person, some_time());
    queue.add(&key("a/second"), Priority::Person, some_time());
    assert_eq!(queue.waiting(), 2);
    assert_eq!(drain(&mut queue), ["a/second", "a/first"]);
}

#[test]
fn what_is_asked_for_while_in_work_is_done_again_as_urgently_as_was_asked() {
    let mut queue = PriorityQueue::default();
    let now = Instant::now();
    queue.add(&key("a/ada"), Priority::Routine, some_time());
    let (ada, _) = queue.take(Priority::Routine).unwrap();
    for priority in [Priority::Arrived, Priority::Person, Priority::Routine] {
        queue.add(&ada, priority, some_time());
    }
    assert!(queue.take(Priority::Routine).is_none(), "it is in work");
    queue.done(&ada, Some(now + Duration::from_secs(9)), some_time());
    assert_eq!(queue.take(Priority::Routine), Some((Arc::clone(&ada), Priority::Person)));
    assert_eq!(queue.next_due(), None, "the ask came instead");
    queue.done(&ada, None, some_time());
    assert!(queue.states.is_empty(), "nothing is kept of one that is idle");
}

#[test]
fn what_is_due_comes_at_its_time_or_when_asked_for_and_then_once() {
    let mut queue = PriorityQueue::default();
    let now = Instant::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    for (name, seconds) in [("ada", 5), ("bob", 2)] {
        queue.add(&NamespacedName::new("a", name), Priority::Person, some_time());
        let (taken, _) = queue.take(Priority::Routine).unwrap();
        queue.done(&taken, Some(later(seconds)), some_time());
    }
    assert_eq!(queue.next_due(), Some(later(2)));
    queue.release(later(1));
    assert_eq!(queue.waiting(), 0);
    queue.release(later(2));
    assert_eq!(
        queue.take(Priority::Routine).map(|(key, by)| (key.name.clone(), by)),
        Some(("bob".into(), Priority::Arrived))
    );
    queue.add(&key("a/ada"), Priority::Routine, some_time());
    assert_eq!(queue.next_due(), None);
    queue.release(later(9));
    assert_eq!(drain(&mut queue), ["a/ada"]);
}

#[test]
fn nobody_starves_while_people_are_busy() {
    let mut queue = PriorityQueue::default();
    queue.add(&key("a/drifted"), Priority::Routine, some_time());
    queue.add(&key("a/opened"), Priority::Arrived, some_time());
    let taken: Vec<_> = (0..40)
        .map(|number| {
            queue.add(&NamespacedName::new("a", format!("applied-{number}")), Priority::Person, some_time());
            queue.take(Priority::Routine).unwrap().1
        })
        .collect();
    let at = |priority| taken.iter().position(|taken| *taken == priority);
    assert_eq!(at(Priority::Arrived), Some(PATIENCE as usize));
    assert_eq!(at(Priority::Routine), Some(PATIENCE as usize + 1));
}

#[test]
fn places_kept_for_people_are_given_to_nobody_else() {
    let mut queue = PriorityQueue::default();
    queue.add(&key("a/drifted"), Priority::Routine, some_time());
    queue.add(&key("a/opened"), Priority::Arrived, some_time());
    assert!(queue.take(Priority::Person).is_none());
    queue.add(&key("a/applied"), Priority::Person, some_time());
    assert_eq!(queue.take(Priority::Person).unwrap().0.name, "applied");
}

#[derive(Clone, Debug)]
enum Act {
    Ask(u8, u8, u8),
    Take(u8),
    Done(u8, Option<u8>),
    Pass(u8),
}

fn priority(number: u8) -> Priority {
    [Priority::Routine, Priority::Arrived, Priority::Person][usize::from(number % 3)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_u8, 0..4_u8, 0..3_u8).prop_map(|(namespace, name, priority)| Act::Ask(namespace, name, priority)),
        3 => (0..3_u8).prop_map(Act::Take),
        3 => (any::<u8>(), proptest::option::of(0..20_u8)).prop_map(|(which, after)| Act::Done(which, after)),
        1 => (0..10_u8).prop_map(Act::Pass),
    ]
}

proptest! {
    /// A model of what is owed: each ask is followed by a reconcile that begins after it, and no two reconciles of one
    /// resource overlap.
    #[test]
    fn no_ask_is_lost_and_nothing_is_in_work_twice(acts in proptest::collection::vec(act(), 1..200)) {
        let mut queue = PriorityQueue::default();
        let mut now = Instant::now();
        let mut owed: HashMap<NamespacedName, Priority> = HashMap::new();
        let mut due: HashMap<NamespacedName, Instant> = HashMap::new();
        let mut in_work: Vec<Arc<NamespacedName>> = Vec::new();
        for act in acts {
            match act {
                Act::Ask(namespace, name, number) => {
                    let key = NamespacedName::new(format!("n{namespace}"), format!("r{name}"));
                    queue.add(&key, priority(number), some_time());
                    due.remove(&key);
                    let owes = owed.entry(key).or_insert(Priority::Routine);
                    *owes = (*owes).max(priority(number));
                }
                Act::Take(least) => {
                    let least = priority(least);
                    let able: HashSet<_> = owed.iter().filter(|(key, by)| **by >= least && !in_work.iter().any(|other| **other == **key)).map(|(key, _)| key.clone()).collect();
                    match queue.take(least) {
                        Some((key, by)) => {
                            prop_assert!(able.contains(&*key), "{key} isn't waiting, or is in work");
                            prop_assert_eq!(owed.remove(&*key), Some(by));
                            in_work.push(key);
                        }
                        None => prop_assert!(able.is_empty(), "{able:?} wait and nobody is taken"),
                    }
                }
                Act::Done(which, after) => {
                    if !in_work.is_empty() {
                        let key = in_work.swap_remove(usize::from(which) % in_work.len());
                        let at = after.map(|after| now + Duration::from_secs(after.into()));
                        queue.done(&key, at, some_time());
                        if let Some(at) = at && !owed.contains_key(&*key) {
                            due.insert((*key).clone(), at);
                        }
                    }
                }
                Act::Pass(seconds) => {
                    now += Duration::from_secs(seconds.into());
                    queue.release(now);
                    for (key, _) in due.extract_if(|_, at| *at <= now) {
                        owed.insert(key, Priority::Arrived);
                    }
                }
            }
            prop_assert_eq!(queue.next_due(), due.values().min().copied());
            let waiting = owed.keys().filter(|key| !in_work.iter().any(|other| **other == **key)).count();
            prop_assert_eq!(queue.waiting(), waiting);
            prop_assert_eq!(queue.states.len(), waiting + in_work.len() + due.len());
        }
    }

    /// A namespace waits for at most one of each other namespace, however many those have.
    #[test]
    fn between_two_of_a_namespace_comes_at_most_one_of_each_other(sizes in proptest::collection::vec(1..20_usize, 2..6)) {
        let mut queue = PriorityQueue::default();
        for (namespace, size) in sizes.iter().enumerate() {
            for name in 0..*size {
                queue.add(&NamespacedName::new(format!("n{namespace}"), name.to_string()), Priority::Arrived, some_time());
            }
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.take(Priority::Routine)).map(|(key, _)| key.namespace.clone()).collect();
        prop_assert_eq!(order.len(), sizes.iter().sum::<usize>());
        for namespace in 0..sizes.len() {
            let own = format!("n{namespace}");
            let mut between: HashMap<&str, usize> = HashMap::new();
            for (index, other) in order.iter().enumerate() {
                if *other == own {
                    between.clear();
                } else if order[index..].contains(&own) {
                    let count = between.entry(other).or_default();
                    *count += 1;
                    prop_assert!(*count <= 1, "{other} twice before {own} in {order:?}");
                }
            }
        }
    }
}

#[test]
fn who_goes_up_has_waited_since_it_was_asked_for_first_and_counts_once() {
    let mut queue = PriorityQueue::default();
    let later = |seconds| some_time() + Duration::from_secs(seconds);
    let ada = key("a/ada");
    queue.add(&ada, Priority::Routine, later(1));
    queue.add(&ada, Priority::Person, later(2));
    assert_eq!((queue.added(), queue.waiting_of(Priority::Person), queue.waiting_of(Priority::Routine)), (1, 1, 0));
    let (taken, _) = queue.take(Priority::Routine).expect("it waits");
    assert_eq!(queue.waited_since(&ada), Some(later(1)));
    queue.add(&ada, Priority::Routine, later(3));
    queue.done(&taken, None, later(5));
    queue.take(Priority::Routine).expect("it waits");
    assert_eq!((queue.added(), queue.waited_since(&ada)), (2, Some(later(5))), "not while it was in work");
    queue.done(&taken, Some(later(7)), later(6));
    assert_eq!((queue.added(), queue.waited_since(&ada)), (2, None));
    queue.release(later(9));
    queue.take(Priority::Routine).expect("it is due");
    assert_eq!((queue.added(), queue.waited_since(&ada)), (3, Some(later(7))), "since it was due");
}
