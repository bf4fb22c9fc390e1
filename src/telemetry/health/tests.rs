//! What is live and what is ready, with time as an argument.

use tokio_util::sync::CancellationToken;

use super::*;

fn health() -> Health {
    Health::new(Tasks::new(CancellationToken::new()))
}

fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn a_loop_that_no_longer_turns_is_named_and_one_that_has_ended_is_not() {
    let health = health();
    let watch = health.expect("watch of KratosIdentity", Duration::from_mins(5));
    let queue = health.expect("reconciles of KratosIdentity", Duration::from_mins(2));
    assert!(health.live(later(110)).is_ok());
    let report = health.live(later(130));
    assert!(!report.is_ok());
    let text = report.text(false);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines[1], lines[3]), ("[+]tasks ok", "[+]watch of KratosIdentity ok", "livez check failed"));
    let stuck = "[-]reconciles of KratosIdentity failed: it hasn't turned for ";
    assert!(lines[2].starts_with(stuck) && lines[2].ends_with(" s, at most 120 s are expected"), "{text}");
    queue.rest();
    assert!(health.live(later(130)).is_ok(), "it waits for what may never come");
    queue.beat();
    assert!(!health.live(later(130)).is_ok());
    drop(queue);
    assert!(health.live(later(130)).is_ok() && !health.live(later(310)).is_ok());
    drop(watch);
    assert_eq!(health.live(later(310)).text(true), "[+]tasks ok\nlivez check passed\n");
}

#[tokio::test]
async fn a_dead_task_is_not_live() {
    let health = health();
    health.tasks.spawn_critical("events", async {}).await.expect("it is joined");
    let text = health.live(Instant::now()).text(false);
    assert!(text.contains("[-]tasks failed: the background task \"events\" ended"), "{text}");
}

#[test]
fn it_is_ready_after_the_first_lists_until_it_stops() {
    let health = health();
    let first = health.ready().text(false);
    assert_eq!(first, "[-]API server failed: no answer yet\n[+]shutdown ok\nreadyz check failed\n");
    health.await_first("watch of KratosIdentity");
    health.has_begun();
    assert!(health.ready().text(false).contains("[-]watch of KratosIdentity failed: no complete list yet\n"));
    health.has_come("watch of KratosIdentity");
    // A restarted watch has listed before.
    health.await_first("watch of KratosIdentity");
    assert_eq!((health.ready().is_ok(), health.ready().text(false).as_str()), (true, "ok"));
    health.tasks.stop().cancel();
    assert!(health.ready().text(false).contains("[-]shutdown failed: the process is stopping\n"));
    assert!(health.live(Instant::now()).is_ok());
}
