//! What holds of any sequence of deletions, pauses, restarts and releases.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::api::protection::ProtectionStatus;
use crate::instance::protection::{Deletion, Limits, Situation, is_granted, next};

#[derive(Clone, Debug)]
enum Event {
    /// So many resources are deleted.
    Delete(usize),
    /// Some of those that aren't let go ask, the first of them or the last.
    Ask {
        count: usize,
        from_the_end: bool,
    },
    /// The first ones that were granted are gone.
    Go(usize),
    Pass(Duration),
    Release,
    /// A value that was there before is written again.
    OldValue,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..12_usize).prop_map(Event::Delete),
        (0..12_usize, any::<bool>()).prop_map(|(count, from_the_end)| Event::Ask { count, from_the_end }),
        (0..6_usize).prop_map(Event::Go),
        (0..400_000_u64).prop_map(|millis| Event::Pass(Duration::from_millis(millis))),
        Just(Event::Release),
        Just(Event::OldValue),
    ]
}

proptest! {
    #[test]
    fn without_a_release_no_window_sees_more_than_the_limit_and_nothing_held_is_let_through(
        events in vec(event(), 1..60),
        max_deletions in 0..8_u32,
        seconds in 1..600_u64,
    ) {
        let limits = Limits { max_deletions, window: Duration::from_secs(seconds), max_missing: 20 };
        let mut now: Timestamp = "2026-11-24T10:00:00.25Z".parse().unwrap();
        let (mut status, mut token) = (ProtectionStatus::default(), None);
        let (mut under_way, mut made) = (Vec::<Deletion>::new(), 0);
        // Those that were let through by counting, and when.
        let mut counted: Vec<(String, Timestamp)> = Vec::new();
        let (mut held, mut releases) = (HashSet::<String>::new(), 0);
        for event in events {
            let mut asked = Vec::new();
            match event {
                Event::Delete(count) => {
                    let at = Timestamp::from_second(now.as_second()).unwrap();
                    under_way.extend((made..made + count).map(|number| Deletion { uid: number.to_string(), at }));
                    made += count;
                }
                Event::Ask { count, from_the_end } => {
                    let skipped = if from_the_end { under_way.len().saturating_sub(count) } else { 0 };
                    asked = under_way.iter().skip(skipped).take(count).cloned().collect();
                }
                Event::Go(count) => {
                    let mut left = count;
                    under_way.retain(|deletion| {
                        let goes = left > 0 && is_granted(&status, deletion);
                        left -= usize::from(goes);
                        !goes
                    });
                }
                Event::Pass(duration) => now = now.checked_add(duration).unwrap(),
                Event::Release => {
                    releases += 1;
                    token = Some(format!("{releases}"));
                }
                Event::OldValue => token = status.last_release.as_ref().and_then(|last| last.token.clone()),
            }
            let was_holding = status.held > 0;
            let token = token.as_deref();
            let situation =
                Situation { limits, token, under_way: &under_way, asked: &asked, census: None, recount: true, now };
            let after = next(&status, &situation);
            // Every process reads what was written, and nothing else.
            let after: ProtectionStatus = serde_json::from_value(serde_json::to_value(after).unwrap()).unwrap();
            if was_holding && after.held == 0 && after.last_release != status.last_release {
                held.clear();
                counted.clear();
            }
            for deletion in &asked {
                let is_released = after.last_release.as_ref().and_then(|last| last.at.as_ref());
                if is_released.is_some_and(|released| deletion.at <= released.0) {
                    continue;
                }
                if is_granted(&after, deletion) {
                    prop_assert!(!held.contains(&deletion.uid), "{} was held and wasn't released", deletion.uid);
                    if !counted.iter().any(|(uid, _)| *uid == deletion.uid) {
                        counted.push((deletion.uid.clone(), now));
                    }
                } else {
                    held.insert(deletion.uid.clone());
                }
            }
            for (_, end) in &counted {
                let begin = end.checked_sub(limits.window).unwrap();
                let within = counted.iter().filter(|(_, at)| *at > begin && at <= end).count();
                prop_assert!(within <= max_deletions as usize, "{within} within one window");
            }
            prop_assert!(after.reserved.len() <= 32 && after.granted.len() <= 128);
            status = after;
        }
    }
}
