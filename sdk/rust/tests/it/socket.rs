//! The real transport against a real socket on loopback.

use std::sync::Arc;
use std::time::Duration;

use flagstone::{Client, EventKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::World;
use crate::world::cdn::Cdn;
use flagstone::transport::{Request, Transport};

/// Serves what the CDN in memory has, by HTTP/1.1.
async fn serve(listener: TcpListener, cdn: Arc<Cdn>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&cdn)));
    }
}

async fn answer(mut stream: TcpStream, cdn: Arc<Cdn>) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        while !buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        let head = String::from_utf8(core::mem::take(&mut buffer)).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (known, value) = line.split_once(": ")?;
                known.eq_ignore_ascii_case(name).then_some(value)
            })
        };
        assert_eq!(header("accept-encoding"), Some("identity"));
        let mut headers = Vec::new();
        headers.extend(header("x-flagstone-key").map(|value| ("x-flagstone-key", value)));
        headers.extend(header("if-none-match").map(|value| ("if-none-match", value)));
        let url = format!("https://a.example{}", path.strip_prefix("/cdn").unwrap());
        let mut response = cdn.get(Request { url: &url, headers: &headers }).await.unwrap();
        let mut body = Vec::new();
        while let Some(chunk) = response.body().chunk().await.unwrap() {
            body.extend_from_slice(&chunk);
        }
        let etag = response.header("etag").unwrap_or("\"none\"");
        let head = format!(
            "HTTP/1.1 {} X\r\netag: {etag}\r\ncontent-length: {}\r\n\r\n",
            response.status(),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(&body).await.ok()?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_a_client_through_a_socket() {
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, Arc::clone(&world.cdn)));
    let lost = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();

    // The first URL refuses connections.
    let pin = world.publisher.pin();
    let text = format!(
        "flagstone+http://{lost}/cdn?project=shop&environment=production&view=server&root={pin}\
         &also=127.0.0.1%3A{}%2Fcdn",
        address.port()
    );
    let client = Client::builder(text.parse().unwrap())
        .sdk_key(crate::world::SDK_KEY)
        .poll_interval(Duration::from_millis(20))
        .build()
        .unwrap();
    client.wait_for_ready(Duration::from_secs(30)).await.unwrap();
    world.serves_newest(&client);

    let mut events = client.events();
    assert_eq!(events.next().await.unwrap().kind, EventKind::Ready);
    let update = world.next();
    world.upload(&update);
    loop {
        let event = events.next().await.unwrap();
        if event.kind == EventKind::Swap {
            assert_eq!(event.version, Some(update.body.version));
            break;
        }
    }
    world.serves_newest(&client);

    let wrong_key = Client::builder(text.parse().unwrap()).sdk_key("wrong").build().unwrap();
    assert_eq!(wrong_key.refresh().await.unwrap_err().code(), "not-found");
    client.close().await;
    server.abort();
}
