//! What holds of any sequence of deletions, pauses, restarts and releases, of several namespaces.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::instance::protection::{Deletion, KEPT_GRANTS, Limits, Situation, State, is_granted, is_held, is_new, next};

const NAMESPACES: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// So many resources of a namespace are deleted.
    Delete(usize, usize),
    /// Some of those that aren't let go ask, the first of them or the last.
    Ask {
        count: usize,
        from_the_end: bool,
    },
    /// The first ones that were granted are gone.
    Go(usize),
    Pass(Duration),
    Release,
    ReleaseNamespace(usize),
    /// A value that was there before is written again.
    OldValue(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..NAMESPACES, 0..12_usize).prop_map(|(namespace, count)| Event::Delete(namespace, count)),
        (0..20_usize, any::<bool>()).prop_map(|(count, from_the_end)| Event::Ask { count, from_the_end }),
        (0..6_usize).prop_map(Event::Go),
        (0..400_000_u64).prop_map(|millis| Event::Pass(Duration::from_millis(millis))),
        Just(Event::Release),
        (0..NAMESPACES).prop_map(Event::ReleaseNamespace),
        (0..16_usize).prop_map(Event::OldValue),
    ]
}

fn name(namespace: usize) -> String {
    format!("team-{namespace}")
}

fn number_of(name: &str) -> usize {
    name.trim_start_matches("team-").parse().unwrap()
}

/// What happened, and what is known of it beside the status.
struct World {
    status: State,
    now: Timestamp,
    token: Option<String>,
    served: Vec<String>,
    under_way: Vec<Deletion>,
    made: usize,
    /// Those that were let through by counting, and when.
    counted: Vec<(Deletion, Timestamp)>,
    held: HashSet<String>,
}

impl World {
    /// Takes in an event. Returns who asks.
    fn happen(&mut self, event: Event) -> Vec<Deletion> {
        match event {
            Event::Delete(namespace, count) => {
                let at = Timestamp::from_second(self.now.as_second()).unwrap();
                let deletion = |number: usize| Deletion { namespace: name(namespace), uid: number.to_string(), at };
                self.under_way.extend((self.made..self.made + count).map(deletion));
                self.made += count;
            }
            Event::Ask { count, from_the_end } => {
                let skipped = if from_the_end { self.under_way.len().saturating_sub(count) } else { 0 };
                return self.under_way.iter().skip(skipped).take(count).cloned().collect();
            }
            Event::Go(count) => {
                let mut left = count;
                let status = &self.status;
                self.under_way.retain(|deletion| {
                    let goes = left > 0 && is_granted(status, deletion);
                    left -= usize::from(goes);
                    !goes
                });
            }
            Event::Pass(duration) => self.now = self.now.checked_add(duration).unwrap(),
            Event::Release => self.write(format!("{}", self.served.len())),
            Event::ReleaseNamespace(namespace) => self.write(format!("{}={}", name(namespace), self.served.len())),
            Event::OldValue(age) => {
                let at = self.served.len().checked_sub(age + 1);
                self.token = at.map(|at| self.served[at].clone()).or(self.token.take());
            }
        }
        Vec::new()
    }

    /// A new value of the annotation.
    fn write(&mut self, token: String) {
        self.served.push(token.clone());
        self.token = Some(token);
    }

    /// Whether the annotation's value releases what a namespace deletes now: where that is held, and the value is about it.
    fn releases(&self, is_new: bool, namespace: &str) -> bool {
        let Some(token) = self.token.as_deref().filter(|_| is_new) else { return false };
        let is_about_it = token.split_once('=').is_none_or(|(named, _)| named == namespace);
        is_about_it && is_held(&self.status, namespace)
    }

    fn is_released(&self, deletion: &Deletion) -> bool {
        let status = State { granted: Vec::new(), ..self.status.clone() };
        is_granted(&status, deletion)
    }

    /// How many of a namespace ask that were neither released nor counted before, and how many of them go.
    fn together(&self, asked: &[Deletion], namespace: &str) -> (usize, usize) {
        let is_new = |deletion: &&Deletion| {
            deletion.namespace == namespace
                && !self.is_released(deletion)
                && !self.counted.iter().any(|(one, _)| one.uid == deletion.uid)
        };
        let all = asked.iter().filter(is_new);
        (all.clone().count(), all.filter(|deletion| is_granted(&self.status, deletion)).count())
    }

    fn own(&self, namespace: &str, from: Timestamp) -> usize {
        self.counted.iter().filter(|(one, at)| one.namespace == namespace && *at > from).count()
    }
}

proptest! {
    #[test]
    fn no_window_sees_more_of_a_namespace_than_it_may_nor_more_in_all_but_of_small_ones_and_nobody_pays_for_others(
        events in vec(event(), 1..80),
        max_deletions in 0..9_u32,
        max_deletions_total in 0..24_u32,
        seconds in 1..600_u64,
    ) {
        let limits = Limits { max_deletions, max_deletions_total, window: Duration::from_secs(seconds), max_missing: 20 };
        let (own_limit, total_limit) = (max_deletions as usize, max_deletions_total as usize);
        let mut world = World {
            status: State::default(),
            now: "2026-11-24T10:00:00.25Z".parse().unwrap(),
            token: None,
            served: Vec::new(),
            under_way: Vec::new(),
            made: 0,
            counted: Vec::new(),
            held: HashSet::new(),
        };
        for event in events {
            let asked = world.happen(event);
            let is_new = is_new(world.token.as_deref(), &world.status);
            let now = world.now;
            let situation = Situation {
                limits,
                token: world.token.as_deref(),
                keep: None,
                under_way: &world.under_way,
                asked: &asked,
                peers: &[],
                census: None,
                recount: true,
                now,
            };
            let after = next(&world.status, &situation);
            // Every process reads what was written, and nothing else.
            let after = State::read(&after.text()).expect("a state");
            let mut released: Vec<_> = (0..NAMESPACES).map(name).collect();
            released.retain(|namespace| world.releases(is_new, namespace));
            for namespace in released {
                let going = world.under_way.iter().filter(|deletion| deletion.namespace == namespace);
                let is_granted = going.clone().all(|deletion| is_granted(&after, deletion));
                prop_assert!(is_granted && !is_held(&after, &namespace), "{namespace} was released");
                world.held = &world.held - &going.map(|deletion| deletion.uid.clone()).collect();
                world.counted.retain(|(deletion, _)| deletion.namespace != namespace);
            }
            let before = std::mem::replace(&mut world.status, after);
            let together: Vec<_> = (0..NAMESPACES).map(|number| world.together(&asked, &name(number))).collect();
            for deletion in &asked {
                if world.is_released(deletion) {
                    continue;
                }
                let namespace = &deletion.namespace;
                let began = now.checked_sub(limits.window).unwrap();
                let own = world.own(namespace, began);
                if !is_granted(&world.status, deletion) {
                    let ever = world.own(namespace, Timestamp::MIN);
                    let (crowd, granted) = &together[number_of(namespace)];
                    let after = ever + crowd;
                    let is_much = after > own_limit || after > own_limit / 4 + 1;
                    prop_assert!(is_much || is_held(&before, namespace), "{namespace} pays for others: {after}");
                    prop_assert_eq!(*granted, 0, "of those of {} that came together some went", namespace);
                    prop_assert!(is_held(&world.status, namespace));
                    world.held.insert(deletion.uid.clone());
                } else if !world.counted.iter().any(|(one, _)| one.uid == deletion.uid) {
                    prop_assert!(!world.held.contains(&deletion.uid), "{} was held, not released", deletion.uid);
                    let total = world.counted.iter().filter(|(_, at)| *at > began).count();
                    prop_assert!(own < own_limit, "{own} of {namespace} within one window");
                    prop_assert!(total < total_limit || own * 4 <= own_limit, "{total} in all, {own} of {namespace}");
                    world.counted.push((deletion.clone(), now));
                }
            }
            let held: u32 = world.status.holding.iter().map(|held| held.count).sum();
            prop_assert_eq!(held, world.status.held);
            prop_assert!(world.status.granted.len() <= KEPT_GRANTS && world.status.released.len() <= NAMESPACES);
        }
    }
}
