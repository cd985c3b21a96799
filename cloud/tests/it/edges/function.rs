//! The CloudFront Function, in Node, with the events that CloudFront would give it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use flagstone_cloud::http::{Answer, Request};
use flagstone_cloud::requests::{Row, Table};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Largest function that CloudFront takes, in bytes.
const MAX_FUNCTION_BYTES: usize = 10 * 1024;

const FUNCTION: &str = include_str!("../../../../cdn/cloudfront/admit.js");
const HARNESS: &str = include_str!("function.mjs");
const STORE: &str = "export default { kvs: () => globalThis.keyValueStore };";

/// What the function answers to each of these requests.
fn run(table: &Table, requests: &[Request]) -> Vec<Value> {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir_all(folder.path().join("node_modules/cloudfront")).unwrap();
    write("node_modules/cloudfront/package.json", r#"{"main":"index.mjs"}"#);
    write("node_modules/cloudfront/index.mjs", STORE);
    write("admit.mjs", &format!("{FUNCTION}\nexport {{ handler }};\n"));
    write("harness.mjs", HARNESS);

    let keys: Map<_, _> = table
        .edge_keys()
        .iter()
        .map(|key| (key.sha256().to_string(), Value::from(key.scope().to_owned())))
        .collect();
    let events: Vec<_> = requests.iter().map(event).collect();
    let mut node = Command::new("node");
    node.current_dir(folder.path()).args(["harness.mjs", "./admit.mjs"]);
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let given = json!({ "keys": keys, "events": events }).to_string();
    child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stderr, b"", "it logs nothing");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The event of a request: names in lower case, and what comes more than once in `multiValue`.
fn event(request: &Request) -> Value {
    let (uri, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut given = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &request.headers {
        given.entry(name.to_ascii_lowercase()).or_default().push(json!({ "value": value }));
    }
    let headers = given.into_iter().map(|(name, values)| {
        let mut header = values[0].clone();
        if values.len() > 1 {
            header["multiValue"] = values.into();
        }
        (name, header)
    });
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query: Map<_, _> = pairs.map(|(name, value)| (name.to_owned(), json!({ "value": value }))).collect();
    json!({
        "version": "1.0",
        "context": { "eventType": "viewer-request" },
        "viewer": { "ip": "198.51.100.11" },
        "request": {
            "method": request.method,
            "uri": uri,
            "querystring": query,
            "headers": headers.collect::<Map<_, _>>(),
            "cookies": {},
        },
    })
}

/// What is wrong with an answer; what is let through meets the objects of the table.
fn faults_of(table: &Table, row: &Row, request: &Request, answer: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let headers = |of: &Value| of["headers"].as_object().cloned().unwrap_or_default();
    if let Some(status) = answer["statusCode"].as_u64() {
        let status = u16::try_from(status).unwrap();
        let headers = headers(answer);
        let told =
            headers.iter().map(|(name, header)| (name.clone(), header["value"].as_str().unwrap().to_owned()));
        let body = answer["body"]["data"].as_str().unwrap().as_bytes().to_vec();
        faults.extend(table.faults(row, &Answer { status, headers: told.collect(), body }));
        if row.asks || row.is_served() {
            faults.push("it is not let through".to_owned());
        }
        return faults;
    }
    // What goes on names the same object, and nothing that would make answers differ.
    if answer["uri"] != *row.path() || answer["method"] != *request.method {
        faults.push(format!("another request goes on: {answer}"));
    }
    if answer["querystring"] != json!({}) {
        faults.push(format!("a query goes on: {answer}"));
    }
    let headers = headers(answer);
    let stays = ["x-flagstone-key", "range", "if-range", "if-modified-since"];
    faults.extend(
        stays.iter().filter(|name| headers.contains_key(**name)).map(|name| format!("{name} goes on")),
    );
    let conditional = request.headers.iter().any(|(name, _)| name == "if-none-match");
    if conditional != headers.contains_key("if-none-match") {
        faults.push("a condition is lost".to_owned());
    }
    let status = match table.object(row.path()) {
        Some(_) if row.is_conditional() => 304,
        Some(_) => 200,
        None => {
            // The bucket must not be listed: of what is missing it says that, and CloudFront hands it on.
            let body = b"<Error><Code>AccessDenied</Code></Error>".to_vec();
            let told = Answer { status: 403, headers: Vec::new(), body };
            faults.extend(table.faults_of_cloudfront(row, &told));
            return faults;
        }
    };
    if !row.statuses().contains(&status) {
        faults.push(format!("it is let through: {status} and not {:?}", row.statuses()));
    }
    faults
}

#[test]
#[ignore = "needs Node: cargo xtask test cdn"]
fn every_request_is_answered_as_the_table_says() {
    let table = Table::shipped().unwrap();
    let requests: Vec<_> = table.rows().iter().map(|row| table.request(row, "\"etag\"")).collect();
    let answers = run(&table, &requests);
    assert_eq!(answers.len(), table.rows().len());
    let mut faults = Vec::new();
    for ((row, request), answer) in table.rows().iter().zip(&requests).zip(&answers) {
        faults.extend(
            faults_of(&table, row, request, answer).into_iter().map(|fault| format!("{}: {fault}", row.name)),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn it_is_as_small_as_cloudfront_takes_and_asks_for_nothing_else() {
    assert!(FUNCTION.len() <= MAX_FUNCTION_BYTES, "{} bytes", FUNCTION.len());
    let imports: Vec<_> = FUNCTION.lines().filter(|line| line.starts_with("import ")).collect();
    assert_eq!(imports, ["import cf from 'cloudfront';", "import crypto from 'crypto';"]);
    assert!(!FUNCTION.contains("console."), "a log would have what was asked");
}
