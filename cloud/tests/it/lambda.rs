//! What Lambda does to a program, done to a program that tells.

use std::time::Duration;

use flagstone_cloud::bridge::{Bridge, DEFAULT_STAGE};
use flagstone_cloud::lambda::service::InvokeApi;
use flagstone_cloud::lambda::{Function, InvokeError, MAX_EVENT_BYTES, Outcome, Setup};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn setup() -> Setup {
    Setup::new("echo", env!("CARGO_BIN_EXE_echo"))
}

async fn ask(function: &Function, event: Value) -> Value {
    match function.invoke(event.to_string().into_bytes()).await.unwrap() {
        Outcome::Answered(told) | Outcome::Failed(told) => serde_json::from_slice(&told).unwrap(),
    }
}

/// The state of a process in one letter: `T` is stopped.
fn state(pid: u64) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

#[tokio::test]
async fn an_instance_is_started_once_and_frozen_between_events() {
    let function = Function::new(setup());
    assert_eq!((function.starts(), function.instances()), (0, 0));
    let first = ask(&function, json!({"n": 1})).await;
    assert_eq!((&first["event"], &first["answered"]), (&json!({"n": 1}), &json!(0)));
    let pid = first["pid"].as_u64().unwrap();
    while state(pid) != Some('T') {
        tokio::task::yield_now().await;
    }
    let second = ask(&function, json!({"n": 2})).await;
    assert_eq!((second["answered"].as_u64(), second["pid"].as_u64()), (Some(1), Some(pid)));
    assert_eq!((function.starts(), function.instances(), function.invocations()), (1, 1, 2));
    function.retire_idle();
    assert_eq!((state(pid), function.instances()), (None, 0));
    assert_eq!(ask(&function, json!({})).await["answered"], 0);
    assert_eq!(function.starts(), 2);
}

#[tokio::test]
async fn several_events_at_once_have_an_instance_each_up_to_the_limit() {
    let function = Function::new(Setup { most_instances: 2, timeout: Duration::from_secs(2), ..setup() });
    let hang = || {
        let function = function.clone();
        tokio::spawn(async move { ask(&function, json!({"then": "hang"})).await })
    };
    let (one, two) = (hang(), hang());
    while function.invocations() < 2 {
        tokio::task::yield_now().await;
    }
    let third = function.invoke(b"{}".to_vec()).await;
    assert!(matches!(third, Err(InvokeError::Throttled)), "{third:?}");
    for hung in [one, two] {
        let told = hung.await.unwrap();
        assert_eq!(told["errorType"], "Sandbox.Timedout");
        let message = told["errorMessage"].as_str().unwrap();
        assert!(message.ends_with("Task timed out after 2.00 seconds"), "{message}");
    }
    assert_eq!((function.starts(), function.instances()), (2, 0), "killed at their deadlines");
    assert_eq!(ask(&function, json!({})).await["answered"], 0);
}

#[tokio::test]
async fn an_instance_that_ends_or_fails_is_told_in_lambdas_words() {
    let function = Function::new(setup());
    let exit = ask(&function, json!({"then": "exit"})).await;
    assert_eq!(exit["errorType"], "Runtime.ExitError");
    assert_eq!(exit["errorMessage"], "Runtime exited with error: exit status: 7");
    assert_eq!(function.instances(), 0);
    let failed = ask(&function, json!({"then": "fail"})).await;
    assert_eq!(failed, json!({"errorType": "told", "errorMessage": "it was told so"}));
    let large = ask(&function, json!({"then": "large"})).await;
    assert_eq!(large["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(ask(&function, json!({})).await["answered"], 2, "it went on");

    let broken = Function::new(setup().with("BROKEN", "1"));
    assert_eq!(ask(&broken, json!({})).await["errorType"], "broken");
    assert_eq!(broken.instances(), 0);
    assert!(broken.said().contains("broken"));
}

#[tokio::test]
async fn an_instance_is_killed_in_the_middle_of_an_event() {
    let function = Function::new(setup());
    let hung = {
        let function = function.clone();
        tokio::spawn(async move { ask(&function, json!({"then": "hang"})).await })
    };
    while function.invocations() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(function.kill_busy(), 1);
    let told = hung.await.unwrap();
    assert_eq!(told["errorMessage"], "Runtime exited with error: signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn an_event_is_taken_up_to_the_limit() {
    let function = Function::new(setup());
    let frame = r#"{"n":""}"#.len();
    let event = |size: usize| format!(r#"{{"n":"{}"}}"#, "a".repeat(size - frame)).into_bytes();
    let most = function.invoke(event(MAX_EVENT_BYTES)).await.unwrap();
    assert!(matches!(most, Outcome::Answered(_)));
    let more = function.invoke(event(MAX_EVENT_BYTES + 1)).await;
    assert!(matches!(more, Err(InvokeError::TooLarge { size }) if size == MAX_EVENT_BYTES + 1));
}

/// One request without a client's help; status line, headers, and body.
async fn http(url: &str, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn functions_are_invoked_over_http_by_name_and_by_arn() {
    let function = Function::new(setup());
    let api = InvokeApi::start([function.clone()]).await.unwrap();
    let post = |name: &str| format!("POST /2015-03-31/functions/{name}/invocations HTTP/1.1");
    let arn = "arn%3Aaws%3Alambda%3Aeu-central-1%3A000000000000%3Afunction%3Aecho";
    for name in ["echo", arn] {
        let answer = http(&api.url(), &post(name), b"{\"n\":1}").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""event":{"n":1}"#), "{answer}");
    }
    let failed = http(&api.url(), &post("echo"), br#"{"then":"fail"}"#).await;
    assert!(failed.contains("x-amz-function-error: Unhandled"), "{failed}");
    let missing = http(&api.url(), &post("other"), b"{}").await;
    assert!(missing.contains("x-amzn-errortype: ResourceNotFoundException"), "{missing}");
    let event = format!("{}\r\nx-amz-invocation-type: Event", post("echo"));
    assert!(http(&api.url(), &event, b"{}").await.starts_with("HTTP/1.1 202"));
    while function.invocations() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.requests(), 5);
}

#[tokio::test]
async fn http_becomes_an_event_of_format_2() {
    let bridge = Bridge::start(Function::new(setup()), DEFAULT_STAGE).await.unwrap();
    let head =
        "PUT /a/b?c=d%20e HTTP/1.1\r\nA: 1\r\na: 2\r\ncookie: x=1; y=2\r\ncontent-type: application/json";
    let answer = http(&bridge.url(), head, b"{}").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let event = serde_json::from_str::<Value>(body).unwrap()["event"].take();
    assert_eq!(event["version"], "2.0");
    assert_eq!(
        (event["rawPath"].as_str(), event["rawQueryString"].as_str()),
        (Some("/a/b"), Some("c=d%20e"))
    );
    assert_eq!((event["headers"]["a"].as_str(), &event["cookies"]), (Some("1,2"), &json!(["x=1", "y=2"])));
    assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
    assert_eq!((event["body"].as_str(), &event["isBase64Encoded"]), (Some("{}"), &json!(false)));
    let binary =
        http(&bridge.url(), "POST / HTTP/1.1\r\ncontent-type: application/octet-stream", &[0, 255]).await;
    assert!(binary.contains(r#""body":"AP8=""#) && binary.contains(r#""isBase64Encoded":true"#), "{binary}");
    assert_eq!(bridge.requests(), 2);
}
