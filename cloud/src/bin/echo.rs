//! A function for trying [`flagstone_cloud::lambda`] itself: it answers `{"event","answered","pid"}`, and does what
//! `"then"` in the event says: `"exit"`, `"hang"`, `"fail"`, or `"large"`.
#![expect(clippy::disallowed_methods, reason = "a binary: it reads the environment")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use flagstone_cloud::lambda::MAX_ANSWER_BYTES;
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    if std::env::var("BROKEN").is_ok() {
        let told = json!({ "errorType": "broken", "errorMessage": "it was told so" });
        ask(&api, "POST", "init/error", told.to_string().as_bytes())?;
        return Err(io::Error::other("broken"));
    }
    for answered in 0_u64.. {
        let (id, event) = ask(&api, "GET", "invocation/next", b"")?;
        let event: Value = serde_json::from_slice(&event)?;
        match event.get("then").and_then(Value::as_str) {
            Some("exit") => std::process::exit(7),
            Some("hang") => loop {
                std::thread::park();
            },
            Some("fail") => {
                let told = json!({ "errorType": "told", "errorMessage": "it was told so" });
                ask(&api, "POST", &format!("invocation/{id}/error"), told.to_string().as_bytes())?;
            }
            Some("large") => {
                let large = vec![b'1'; MAX_ANSWER_BYTES.saturating_add(1)];
                ask(&api, "POST", &format!("invocation/{id}/response"), &large)?;
            }
            _ => {
                let answer = json!({ "event": event, "answered": answered, "pid": std::process::id() });
                ask(&api, "POST", &format!("invocation/{id}/response"), answer.to_string().as_bytes())?;
            }
        }
    }
    Ok(())
}

/// One request on a connection of its own; the id of the event it gave, and its body.
fn ask(api: &str, method: &str, path: &str, body: &[u8]) -> io::Result<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect(api)?;
    let length = body.len();
    write!(
        stream,
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: {api}\r\ncontent-length: {length}\r\nconnection: \
         close\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut reader = BufReader::new(stream);
    let (mut id, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some(told) = line.strip_prefix("lambda-runtime-aws-request-id: ") {
            told.trim().clone_into(&mut id);
        }
        line.clear();
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok((id, body))
}
