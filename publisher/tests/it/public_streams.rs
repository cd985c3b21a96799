//! The streams of public views: who may read them, what they say, and when they end.

use flagstone_bundle::container::Encoding;
use flagstone_bundle::manifest::{Manifest, Stream, UnverifiedManifest};
use flagstone_model::key::ViewId;
use flagstone_publisher::control::{Operation, PublicationState};
use flagstone_publisher::publish::{Access, Layout};

use super::control::Bench;
use super::project::{json, production};
use super::views::DECLARED;

fn stream_of(view: &str) -> Stream {
    Stream {
        project: flagstone_model::key::ProjectId::parse("shop").unwrap(),
        environment: production(),
        view: ViewId::parse(view).unwrap(),
    }
}

async fn announced(bench: &Bench, view: &str, access: Access) -> (Manifest, Vec<u8>, Vec<u8>) {
    let stream = stream_of(view);
    let layout = Layout::new(&stream, access);
    let file = bench.store.get(&layout.manifest().unwrap()).await.unwrap().unwrap().bytes;
    let manifest = UnverifiedManifest::parse(&file).unwrap().verify(bench.keys.root(), &stream).unwrap();
    let stored =
        bench.store.get(&layout.snapshot(manifest.snapshot()).unwrap()).await.unwrap().unwrap().bytes;
    (manifest, file, stored)
}

#[tokio::test]
async fn a_public_stream_is_gzip_open_and_silent_about_the_log() {
    let bench = Bench::new().await;
    bench.write(Operation::PutAttributes(json(DECLARED))).await.unwrap();
    let mobile = ViewId::parse("mobile").unwrap();
    let tagged = json(r#"{"audience":"public","include":"tag","tag":"app"}"#);
    bench.write(Operation::PutView(mobile, tagged)).await.unwrap();
    for number in 0..14 {
        let text = "long ".repeat(400)
            + &(0..300).map(|n| ((n * 7919 + number * 104_729) % 9_973).to_string()).collect::<String>();
        let flag = format!(
            r#"{{"key":"f{number}","type":"string","variations":{{"v":"{text}"}},"client_visible":true,"tags":["app"]}}"#
        );
        let written = bench.write(Operation::CreateFlag(json(&flag))).await.unwrap();
        let views: Vec<String> = written.publication[&production()].keys().map(ToString::to_string).collect();
        assert_eq!(views, ["client", "mobile", "server"]);
        assert!(
            written.publication[&production()].values().all(|view| view.state == PublicationState::Announced)
        );
    }
    for view in ["client", "mobile"] {
        let (manifest, file, stored) = announced(&bench, view, Access::Open).await;
        assert_eq!(manifest.snapshot().encoding, Encoding::Gzip);
        assert!(stored.starts_with(&[0x1f, 0x8b]));
        assert_eq!(manifest.open_snapshot(&stored).unwrap().len(), 15);
        assert_eq!((manifest.log(), String::from_utf8(file).unwrap().contains("\"log\"")), (None, false));
        assert_eq!(manifest.expires_ms() - manifest.issued_ms(), 24 * 60 * 60 * 1_000);
        let inline = manifest.inline_delta().map(|(delta, _)| delta.since);
        assert_eq!(manifest.deltas().iter().map(|delta| Some(delta.since)).collect::<Vec<_>>(), [inline]);
        assert!(inline.is_some());
    }
    let (server, ..) = announced(&bench, "server", Access::Closed).await;
    assert_eq!((server.snapshot().encoding, server.log().is_some()), (Encoding::Zstd, true));
    assert!(!server.deltas().is_empty());
    assert_eq!(server.expires_ms() - server.issued_ms(), 60 * 60 * 1_000);

    // What clients do not see is no version of theirs.
    let (before, ..) = announced(&bench, "client", Access::Open).await;
    let written = bench.create("hidden").await;
    let client = written.publication[&production()][&ViewId::client()];
    assert_eq!((client.version, client.state), (before.version(), PublicationState::Announced));
    assert!(written.publication[&production()][&ViewId::server()].version > server.version());

    // After two heartbeats the delta stands inline no more, and is listed nowhere.
    bench.clock.advance(900_000);
    bench.control.sweep().await.unwrap();
    let (later, ..) = announced(&bench, "client", Access::Open).await;
    assert!(
        later.serial() > before.serial() && later.deltas().is_empty() && later.version() == before.version()
    );
    assert_eq!(bench.control.stream_ages().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_view_that_is_deleted_is_published_no_more() {
    let bench = Bench::new().await;
    let mobile = ViewId::parse("mobile").unwrap();
    let all = json(r#"{"audience":"public","include":"client"}"#);
    bench.write(Operation::PutView(mobile.clone(), all)).await.unwrap();
    let (before, ..) = announced(&bench, "mobile", Access::Open).await;
    let gone = bench.write(Operation::DeleteView(mobile)).await.unwrap();
    assert_eq!(gone.publication[&production()].len(), 2);
    bench.clock.advance(900_000);
    bench.control.sweep().await.unwrap();
    let (after, ..) = announced(&bench, "mobile", Access::Open).await;
    assert_eq!(after.serial(), before.serial(), "what was announced last stays, and ends by itself");
}
