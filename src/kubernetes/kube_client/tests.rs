//! What a watch and other answers do when no more data comes. The operator's tests prove it on a network.

use std::convert::Infallible;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::base::supervise::Tasks;
use crate::telemetry::metrics::Metrics;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_mins(5);

/// A body that a test feeds.
struct Sent(mpsc::UnboundedReceiver<&'static str>);

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let sent = self.0.poll_recv(context);
        sent.map(|sent| sent.map(|text| Ok(http_body::Frame::data(Bytes::from_static(text.as_bytes())))))
    }
}

fn body() -> (mpsc::UnboundedSender<&'static str>, Sent) {
    let (send, receiver) = mpsc::unbounded_channel();
    (send, Sent(receiver))
}

async fn is_error(answer: &mut ResponseBody<Sent>) -> Option<bool> {
    tokio::time::timeout(LONG, answer.frame()).await.expect("it ends").map(|frame| frame.is_err())
}

#[tokio::test]
async fn an_answer_that_goes_silent_or_has_no_end_fails() {
    let (send, silent) = body();
    let mut answer = ResponseBody::bounded(silent, Instant::now() + LONG, SHORT);
    send.send("a").unwrap();
    assert_eq!(is_error(&mut answer).await, Some(false));
    assert_eq!(is_error(&mut answer).await, Some(true));
    assert_eq!(is_error(&mut answer).await, None);

    let (send, endless) = body();
    let mut answer = ResponseBody::bounded(endless, Instant::now() + SHORT, LONG);
    let trickle = async {
        while send.send("a").is_ok() {
            sleep(SHORT / 10).await;
        }
    };
    let read = async { while is_error(&mut answer).await == Some(false) {} };
    tokio::time::timeout(LONG, futures::future::select(Box::pin(trickle), Box::pin(read))).await.expect("it ends");
}

#[tokio::test]
async fn a_silent_watch_ends_in_order_and_one_that_says_something_goes_on() {
    let (_lost, told) = heartbeat::channel();
    let (send, silent) = body();
    let mut answer = ResponseBody::watch(silent, &told, SHORT);
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 3 {
        send.send("bookmark").unwrap();
        assert_eq!(is_error(&mut answer).await, Some(false));
        sleep(SHORT / 10).await;
    }
    assert_eq!(is_error(&mut answer).await, None, "in order: what it said before stays true");
}

#[tokio::test]
async fn watches_that_were_silent_while_the_server_was_lost_end_once_it_is_back() {
    let (lost, told) = heartbeat::channel();
    let ((_first, dead), (second, alive)) = (body(), body());
    let (mut dead, mut alive) = (ResponseBody::watch(dead, &told, LONG), ResponseBody::watch(alive, &told, LONG));
    let noticed = Instant::now();
    sleep(SHORT / 10).await;
    second.send("event").unwrap();
    assert_eq!(is_error(&mut alive).await, Some(false));
    assert!(dead.frame().now_or_never().is_none());
    lost.send_replace(Some(noticed));
    assert_eq!(is_error(&mut dead).await, None);
    assert!(alive.frame().now_or_never().is_none(), "it was heard meanwhile");
    lost.send_replace(Some(Instant::now()));
    assert_eq!(is_error(&mut alive).await, None, "the next loss is another matter");
}

#[test]
fn a_watch_is_told_by_its_query() {
    for (uri, is) in [
        ("/apis/kratos-operator.dev/v1alpha1/kratosidentities?watch=true&resourceVersion=7", true),
        ("/api/v1/namespaces?&watch=1", true),
        ("/api/v1/namespaces?watch=false", false),
        ("/api/v1/namespaces/watch", false),
        ("/api/v1/namespaces?labelSelector=watch%3Dtrue", false),
    ] {
        assert_eq!(is_watch(&uri.parse().unwrap()), is, "{uri}");
    }
}

#[tokio::test]
async fn every_sort_of_proxy_makes_a_client_and_no_error_has_its_password() {
    let mut config = Config::new("https://127.0.0.1:6443".parse().unwrap());
    let health = Health::new(Tasks::new(CancellationToken::new()));
    let requests = Metrics::new().requests_to(host_and_port(&config.cluster_url));
    for scheme in ["http", "https", "socks5", "ftp"] {
        config.proxy_url = Some(format!("{scheme}://ada:hunter2@127.0.0.1:1").parse().unwrap());
        let made = new(&config, &Leadership::without_election(), &requests, &health);
        let client = match made {
            Ok((client, ..)) => client,
            Err(error) => {
                assert!(scheme == "ftp" && !format!("{error} {error:?}").contains("hunter2"), "{scheme}: {error}");
                continue;
            }
        };
        let error = client.request_text(Request::get("/livez").body(Vec::new()).unwrap()).await.unwrap_err();
        let words = format!("{} {error:?}", crate::base::kube_error::brief(&error));
        assert!(words.contains(&format!("by the proxy {scheme}://127.0.0.1:1")), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}
