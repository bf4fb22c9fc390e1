//! Whether an event is a new one or a repetition of a recent one. Pure: time is an argument.
//!
//! Only events that are equal in every word make a series. (The client library's recorder ignores the note: of two causes or
//! two actions it shows the first one twice.)

use std::collections::HashMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::condition::shortened;
use crate::api::recorded_event::RecordedEvent;

/// The reporter of events, as `kubectl describe` shows it.
pub const REPORTER: &str = "kratos-operator";
/// A series ends when nothing was added for this long, as in client-go.
const ENDS_AFTER: SignedDuration = SignedDuration::from_mins(6);
/// The longest note that the API server accepts, in bytes.
const LONGEST_NOTE: usize = 1024;
/// The longest name of an object that leaves room for an event's suffix.
const LONGEST_NAME: usize = 253 - ".".len() - 16;

/// The events whose series may go on.
#[derive(Debug, Default)]
pub struct Recent(HashMap<Key, Sent>);

/// What makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    uid: Option<String>,
    is_warning: bool,
    reason: String,
    action: &'static str,
    note: String,
}

#[derive(Debug)]
struct Sent {
    name: String,
    count: i32,
    at: Timestamp,
}

/// What is to be sent: a new event, or an addition to a series.
#[derive(Debug, PartialEq)]
pub enum Next {
    New(Box<Event>),
    Again { name: String, series: EventSeries },
}

impl Recent {
    /// What to send for an event that happens now.
    pub fn next(&mut self, recorded: &RecordedEvent, regarding: &ObjectReference, now: Timestamp) -> (Key, Next) {
        self.0.retain(|_, sent| sent.at + ENDS_AFTER > now);
        let key = Key {
            uid: regarding.uid.clone(),
            is_warning: recorded.is_warning,
            reason: recorded.reason.clone(),
            action: recorded.action,
            note: shortened(&recorded.note, LONGEST_NOTE),
        };
        let next = match self.0.get(&key) {
            Some(sent) => {
                let series = EventSeries { count: sent.count.saturating_add(1), last_observed_time: MicroTime(now) };
                Next::Again { name: sent.name.clone(), series }
            }
            None => Next::New(Box::new(event(&key, regarding, now))),
        };
        (key, next)
    }

    /// Notes that it was sent.
    pub fn sent(&mut self, key: Key, next: Next, now: Timestamp) {
        let (name, count) = match next {
            Next::New(event) => (event.metadata.name.unwrap_or_default(), 1),
            Next::Again { name, series } => (name, series.count),
        };
        self.0.insert(key, Sent { name, count, at: now });
    }

    /// Forgets a series whose event no longer exists.
    pub fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }
}

fn event(key: &Key, regarding: &ObjectReference, now: Timestamp) -> Event {
    let name = regarding.name.as_deref().unwrap_or(REPORTER);
    let name =
        name[..name.floor_char_boundary(LONGEST_NAME)].trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    Event {
        action: Some(key.action.to_owned()),
        event_time: Some(MicroTime(now)),
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:016x}", now.as_nanosecond())),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        note: Some(key.note.clone()),
        reason: Some(key.reason.clone()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(REPORTER.to_owned()),
        type_: Some(if key.is_warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    fn about(name: &str, uid: &str) -> ObjectReference {
        ObjectReference {
            name: Some(name.to_owned()),
            namespace: Some("team".to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        }
    }

    /// Sends it; returns the event's name, and how often it has been seen.
    fn send(
        recent: &mut Recent,
        recorded: &RecordedEvent,
        regarding: &ObjectReference,
        now: Timestamp,
    ) -> (String, i32) {
        let (key, next) = recent.next(recorded, regarding, now);
        let told = match &next {
            Next::New(event) => (event.metadata.name.clone().expect("a name"), 1),
            Next::Again { name, series } => (name.clone(), series.count),
        };
        recent.sent(key, next, now);
        told
    }

    #[test]
    fn only_what_is_the_same_to_the_letter_is_counted_together() {
        let (mut recent, ada) = (Recent::default(), about("ada", "uid-of-ada"));
        let first = RecordedEvent::normal("IdentityChanged", "Change", "changed in Kratos: /traits/name");
        let (name, count) = send(&mut recent, &first, &ada, at(0));
        assert_eq!(count, 1);
        assert_eq!(send(&mut recent, &first, &ada, at(1)), (name.clone(), 2));
        assert_eq!(send(&mut recent, &first, &ada, at(2)), (name.clone(), 3));
        let others = [
            (RecordedEvent { note: "changed in Kratos: /state".to_owned(), ..first.clone() }, ada.clone()),
            (RecordedEvent { reason: "DriftCorrected".to_owned(), ..first.clone() }, ada.clone()),
            (RecordedEvent { action: "Correct", ..first.clone() }, ada.clone()),
            (RecordedEvent { is_warning: true, ..first.clone() }, ada.clone()),
            (first.clone(), about("ada", "uid-of-the-next-ada")),
        ];
        for (second, (recorded, regarding)) in (3..).zip(others) {
            let (other, count) = send(&mut recent, &recorded, &regarding, at(second));
            assert!(count == 1 && other != name, "{recorded:?}");
        }
        assert_eq!(send(&mut recent, &first, &ada, at(10)), (name, 4), "what came in between ends no series");
    }

    #[test]
    fn a_series_ends_when_nothing_came_for_a_while_or_its_event_is_gone() {
        let (mut recent, ada) = (Recent::default(), about("ada", "uid-of-ada"));
        let recorded = RecordedEvent::normal("SessionsEnded", "Act", "ended");
        let (name, _) = send(&mut recent, &recorded, &ada, at(0));
        assert_eq!(send(&mut recent, &recorded, &ada, at(359)), (name.clone(), 2));
        let (next, count) = send(&mut recent, &recorded, &ada, at(719));
        assert!(count == 1 && next != name);
        let (key, _) = recent.next(&recorded, &ada, at(720));
        recent.forget(&key);
        assert!(matches!(recent.next(&recorded, &ada, at(721)).1, Next::New(_)));
    }

    #[test]
    fn an_event_says_who_it_is_from_and_its_name_and_note_are_no_longer_than_may_be() {
        let mut recent = Recent::default();
        let name = format!("{}.{}", "a".repeat(230), "-".repeat(10) + "tail-of-a-long-name");
        let recorded = RecordedEvent::warning("NotPermitted", "Reconcile", "ä".repeat(2000));
        let (_, next) = recent.next(&recorded, &about(&name, "uid"), at(0));
        let Next::New(event) = next else { panic!("{next:?}") };
        assert_eq!(event.reporting_controller.as_deref(), Some("kratos-operator"));
        assert_eq!(event.reporting_instance.as_deref(), Some("kratos-operator"));
        assert_eq!((event.type_.as_deref(), event.action.as_deref()), (Some("Warning"), Some("Reconcile")));
        assert!(event.note.expect("a note").len() <= LONGEST_NOTE);
        let made = event.metadata.name.expect("a name");
        assert!(made.len() <= 253 && made.starts_with(&format!("{}.1", "a".repeat(230))), "{made}");
    }
}
