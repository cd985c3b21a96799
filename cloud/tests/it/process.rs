//! Servers that are started and ended.

use std::process::Command;

use flagstone_cloud::process::{Server, free_port};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_server_answers_once_it_is_started_and_ends_with_its_value() {
    let port = free_port().unwrap();
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    let server = Server::start("files", command, port).await.unwrap();
    assert_eq!((server.port(), server.url()), (port, format!("http://127.0.0.1:{port}")));
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    drop(server);
    TcpStream::connect(("127.0.0.1", port)).await.unwrap_err();
}

#[tokio::test]
async fn a_server_that_ends_by_itself_is_told_with_what_it_wrote() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo no room; exit 7"]);
    let error = Server::start("hasty", command, free_port().unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "tool-failed");
    assert_eq!(error.to_string(), "hasty ended with exit status: 7: no room");
}

#[tokio::test]
async fn a_server_that_cannot_be_started_is_told() {
    let command = Command::new("/nonexistent/server");
    let error = Server::start("absent", command, free_port().unwrap()).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), ("cloud-io", "could not start absent".to_owned()));
}
