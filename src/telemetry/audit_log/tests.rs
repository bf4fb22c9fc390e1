//! What a line says, and that lines stay whole whatever happens to the file.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::kratos::Outcome;

fn initiator(cause: WriteCause) -> Initiator {
    Initiator {
        kind: "KratosIdentity",
        namespace: "team-a".to_owned(),
        name: "ada".to_owned(),
        uid: "uid-1".to_owned(),
        generation: Some(3),
        cause,
        trace_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
    }
}

fn record<'a>(initiator: &'a Initiator, paths: &'a [String]) -> Record<'a> {
    Record {
        operation: "patch_identity",
        initiator,
        identity: Some("identity-1"),
        session: None,
        paths,
        outcome: Outcome::Ok,
        status: Some(200),
        attempt: 1,
    }
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or(json!(line))).collect()
}

#[test]
fn a_line_says_who_caused_what() {
    let at = "2026-11-29T15:40:11.2041139Z".parse().unwrap();
    let paths = ["/traits/email".to_owned()];
    let by_action = initiator(WriteCause::Action("setPassword"));
    let text = line(&record(&by_action, &paths), "identity/default", at);
    let expected = json!({
        "timestamp": "2026-11-29T15:40:11.204113Z", "instance": "identity/default", "operation": "patchIdentity",
        "identity": "identity-1", "paths": ["/traits/email"], "outcome": "ok", "status": 200, "attempt": 1,
        "initiator": {
            "kind": "KratosIdentity", "namespace": "team-a", "name": "ada", "uid": "uid-1", "generation": 3,
            "cause": "Action", "action": "setPassword",
        },
        "trace_id": "0123456789abcdef0123456789abcdef",
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);

    let by_rule =
        Initiator { generation: None, trace_id: None, ..initiator(WriteCause::Rules(vec!["old".to_owned()])) };
    let unanswered = Record {
        operation: "disable_session",
        session: Some("session-1"),
        identity: None,
        outcome: Outcome::Unanswered,
        status: None,
        ..record(&by_rule, &[])
    };
    let line: Value = serde_json::from_str(&line(&unanswered, "identity/default", at)).unwrap();
    assert_eq!(line["initiator"]["rules"], json!(["old"]));
    assert_eq!((&line["session"], &line["outcome"]), (&json!("session-1"), &json!("unanswered")));
    for absent in ["identity", "paths", "omitted_paths", "status", "trace_id"] {
        assert!(line.get(absent).is_none(), "{absent}: {line}");
    }
}

#[test]
fn so_many_paths_are_shown_and_the_others_counted() {
    let paths: Vec<_> = (0..300).map(|number| format!("/traits/{number}")).collect();
    let initiator = initiator(WriteCause::Spec);
    let line: Value = serde_json::from_str(&line(&record(&initiator, &paths), "a/b", Timestamp::now())).unwrap();
    assert_eq!((line["paths"].as_array().unwrap().len(), &line["omitted_paths"]), (256, &json!(44)));
}

#[test]
fn a_file_that_is_moved_away_or_deleted_is_made_anew_and_lines_stay_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    std::fs::write(&path, "{\"before\":1}\n").unwrap();
    let log = AuditLog::to_file(&path, Counter::default()).unwrap();
    let auditor = log.of(&NamespacedName::new("identity", "default"));
    let initiator = initiator(WriteCause::Spec);
    let write = || auditor.record(&record(&initiator, &[]));
    write();
    assert_eq!(read(&path).len(), 2, "what was there stays");
    let moved = directory.path().join("audit.log.1");
    std::fs::rename(&path, &moved).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| write()));
        }
    });
    assert_eq!((read(&moved).len(), read(&path).len()), (2, 400));
    assert!(read(&path).iter().all(Value::is_object));
    std::fs::remove_file(&path).unwrap();
    write();
    assert_eq!(read(&path).len(), 1);
    // Like logrotate's copytruncate.
    File::options().write(true).truncate(true).open(&path).unwrap();
    write();
    assert_eq!(read(&path).len(), 1);
}

#[test]
fn what_cannot_be_written_is_lost_and_what_comes_after_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs").join("audit.log");
    assert!(AuditLog::to_file(&path, Counter::default()).is_err(), "there is no such directory");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let lost = Counter::default();
    let log = AuditLog::to_file(&path, lost.clone()).unwrap();
    let auditor = log.of(&NamespacedName::new("identity", "default"));
    let initiator = initiator(WriteCause::Spec);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    auditor.record(&record(&initiator, &[]));
    auditor.record(&record(&initiator, &[]));
    assert_eq!((log.state.lock().unwrap().lost, lost.get()), (2, 2));
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    auditor.record(&record(&initiator, &[]));
    assert_eq!((read(&path).len(), log.state.lock().unwrap().lost), (1, 0));
    assert_eq!(lost.get(), 2, "a counter never goes back");
}

#[test]
fn a_stream_that_is_full_for_a_while_is_written_to_again() {
    #[derive(Clone, Default)]
    struct Pipe(Arc<(AtomicBool, Mutex<Vec<u8>>)>);
    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.0.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.1.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (pipe, lost) = (Pipe::default(), Counter::default());
    let auditor = AuditLog::to_stream(pipe.clone(), lost.clone()).of(&NamespacedName::new("identity", "default"));
    let initiator = initiator(WriteCause::Spec);
    for is_full in [false, true, false] {
        pipe.0.0.store(is_full, Ordering::SeqCst);
        auditor.record(&record(&initiator, &[]));
    }
    assert_eq!(String::from_utf8(pipe.0.1.lock().unwrap().clone()).unwrap().lines().count(), 2);
    assert_eq!(lost.get(), 1);
}

#[test]
fn operations_are_named_as_in_the_api_document() {
    for (operation, id) in [
        ("create_identity", "createIdentity"),
        ("batch_patch_identities", "batchPatchIdentities"),
        ("delete_identity_credentials", "deleteIdentityCredentials"),
        ("create_recovery_code_for_identity", "createRecoveryCodeForIdentity"),
    ] {
        assert_eq!(operation_id(operation), id);
    }
}
