//! Lists, from a request to the objects that clients fetch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flagstone_bundle::container::{Caps, StoredObject};
use flagstone_model::context::Context;
use flagstone_model::json::Json;
use flagstone_model::key::{ListKey, ProjectId};
use flagstone_publisher::control::{
    Alteration, AlteredBy, ControlError, Erasure, Operation, Precondition, When, Write, Written,
};
use flagstone_publisher::list::{Base, Expanded, ListEdits, ListKeys};
use flagstone_publisher::private_object::{self, MemoryObjects, PrivateObjects};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::State;
use flagstone_publisher::store::ObjectPath;

use super::control::{Bench, NOW_MS, request};
use super::project::{flag, json, production, segment};

pub(super) fn vips() -> ListKey {
    ListKey::parse("vips").unwrap()
}

pub(super) fn shop() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

pub(super) fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("user-{number:07}\n")).collect()
}

impl Bench {
    pub(super) async fn put(&self, text: &str) -> Result<Written, ControlError> {
        let keys = ListKeys::from_text(text.as_bytes()).unwrap();
        self.control.put_list(&production(), &vips(), keys, Base::Kept, request(None, "")).await
    }

    pub(super) async fn patch(&self, body: &str) -> Result<Written, ControlError> {
        let edits = ListEdits::from_json(&json(body)).unwrap();
        self.control.edit_list(&production(), &vips(), edits, request(None, "")).await
    }

    pub(super) async fn expanded(&self) -> Result<Expanded, ControlError> {
        Ok(self.control.list_keys(&production(), &vips(), When::NOW).await?.0)
    }

    pub(super) async fn base(&self) -> StoredObject {
        let state = self.control.state().await.unwrap();
        state.environment("production").unwrap().live_list("vips").unwrap().base
    }

    /// A segment that looks in the list.
    pub(super) async fn name_it(&self) -> Written {
        let body = json(r#"{"rules":[{"if":[{"attr":"targetingKey","listed":"vips"}]}]}"#);
        self.write(Operation::PutSegment(production(), segment("vip"), body)).await.unwrap()
    }

    /// What clients would fetch of the list's object.
    pub(super) async fn published(&self) -> Option<Vec<u8>> {
        let path = format!("closed/shop/v1/k/{}.txt.zst", self.base().await.sha256);
        let path = ObjectPath::parse(&path).unwrap();
        self.store.get(&path).await.unwrap().map(|object| object.bytes)
    }
}

#[tokio::test]
async fn the_memory_objects_conform() {
    let objects = Arc::new(MemoryObjects::new());
    private_object::conformance::run(&|| Arc::clone(&objects) as Arc<dyn PrivateObjects>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqlite_objects_conform() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let handles = [SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap()];
    let next = std::sync::atomic::AtomicUsize::new(0);
    private_object::conformance::run(&|| {
        let turn = next.fetch_add(1, Ordering::SeqCst);
        Arc::new(handles[turn % handles.len()].clone())
    })
    .await;
}

#[tokio::test]
async fn the_log_and_its_checkpoints_hold_no_key_of_a_base() {
    let bench = Bench::new().await;
    bench.put(&lines(0..2_000)).await.unwrap();
    bench.patch(r#"{"add":["one-more"]}"#).await.unwrap();
    let state = bench.control.state().await.unwrap();
    let checkpoint = state.to_lines().unwrap();
    let holds = |text: &str| checkpoint.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("one-more") && !holds("user-0000007") && checkpoint.len() < 4_000);
    let read = State::from_lines(&shop(), &checkpoint).unwrap();
    assert_eq!(read.to_lines().unwrap(), checkpoint);
    let of = |state: &State| state.environment("production").unwrap().live_list("vips").unwrap().clone();
    assert_eq!((of(&read), of(&read).count), (of(&state), 2_001));
    for entry in bench.log.read(&shop(), 0, 100).await.unwrap() {
        assert!(entry.data.unwrap().bytes.len() < 2_000);
    }
}

#[tokio::test]
async fn only_lists_that_lines_name_are_published_and_their_objects_before_them() {
    let bench = Bench::new().await;
    bench.create("a").await;
    bench.put(&lines(0..1_000)).await.unwrap();
    let lines_of = async |bench: &Bench| {
        let state = bench.control.state().await.unwrap();
        let view = flagstone_model::key::ViewId::server();
        let lines = flagstone_publisher::build::build(&state, &production(), &view).unwrap();
        lines.iter().filter(|line| line.starts_with("{\"list\"")).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(lines_of(&bench).await.is_empty() && bench.published().await.is_none());
    bench.name_it().await;
    assert_eq!(lines_of(&bench).await.len(), 1);
    let (stored, object) = (bench.published().await.unwrap(), bench.base().await);
    assert_eq!(object.open(&stored, Caps::LIST).unwrap(), lines(0..1_000).as_bytes());
    bench.write(Operation::DeleteSegment(production(), segment("vip"))).await.unwrap();
    assert!(lines_of(&bench).await.is_empty());
}

#[tokio::test]
async fn an_edit_that_changes_nothing_appends_nothing_and_is_answered_by_what_stands() {
    let bench = Bench::new().await;
    let put = bench.put(&lines(0..1_000)).await.unwrap();
    let added = bench.patch(r#"{"add":["one-more"]}"#).await.unwrap();
    let head = bench.control.state().await.unwrap().seq();
    assert_eq!((put.created, added.revision, added.seq), (true, 2, head));
    for body in [r#"{"add":["one-more"]}"#, r#"{"add":["user-0000007"],"drop":["nobody"]}"#] {
        let same = bench.patch(body).await.unwrap();
        assert_eq!((same.revision, same.seq, same.created), (2, head, false), "{body}");
        assert_eq!(same.entity.member("changed").unwrap().to_string(), r#"{"added":0,"dropped":0}"#);
    }
    let whole = bench.put(&(lines(0..1_000) + "one-more\n")).await.unwrap();
    assert_eq!((whole.revision, whole.seq), (2, head));
    assert_eq!(bench.control.state().await.unwrap().seq(), head);
    // What is refused stays refused, and what changes something is written.
    let stale = Write { precondition: Precondition::Revision(1), ..request(None, "") };
    let edits = ListEdits::from_json(&json(r#"{"add":["one-more"]}"#)).unwrap();
    let stale = bench.control.edit_list(&production(), &vips(), edits, stale).await.unwrap_err();
    assert_eq!(stale.code(), "stale-revision");
    assert_eq!(bench.patch(r#"{"drop":["one-more"]}"#).await.unwrap().revision, 3);
}

#[tokio::test]
async fn one_key_more_costs_at_most_a_kilobyte_on_the_wire() {
    const KEYS: u32 = 20_000;
    let bench = Bench::new().await;
    bench.put(&lines(0..KEYS)).await.unwrap();
    bench.name_it().await;
    let (before, base) = (bench.manifest().await, bench.base().await);
    bench.patch(r#"{"add":["user-9000001"]}"#).await.unwrap();
    let after = bench.manifest().await;
    assert_eq!((after.version(), bench.base().await), (before.version() + 1, base));
    let delta = after.deltas().first().unwrap();
    assert!(delta.since <= before.version() && delta.object.size <= 1_000, "{}", delta.object.size);
    // The whole list written again with one key other is the same edit.
    bench.put(&(lines(0..KEYS) + "user-9000002\n")).await.unwrap();
    assert_eq!(bench.base().await, base);
    let delta = bench.manifest().await.deltas().first().unwrap().object.size;
    assert!(delta <= 1_000, "{delta}");
}

#[tokio::test]
async fn a_million_keys_and_one_more_cost_at_most_a_kilobyte_on_the_wire() {
    let bench = Bench::new().await;
    let keys: String = (0..1_000_000_u32).map(|number| format!("{number:06}\n")).collect();
    bench.put(&keys).await.unwrap();
    bench.name_it().await;
    let base = bench.base().await;
    assert_eq!(base.raw_size, 7_000_000);
    bench.patch(r#"{"add":["one-more"]}"#).await.unwrap();
    let delta = bench.manifest().await.deltas().first().unwrap().object.size;
    assert!(bench.base().await == base && delta <= 1_000, "{delta}");
    assert_eq!(bench.expanded().await.unwrap().content().count, 1_000_001);
}

#[tokio::test]
async fn the_thousand_and_first_edit_publishes_a_new_object() {
    let bench = Bench::new().await;
    bench.put("a\n").await.unwrap();
    bench.name_it().await;
    let first = bench.base().await;
    let keys: Vec<_> = (0..1_000).map(|number| format!("\"k{number:04}\"")).collect();
    bench.patch(&format!(r#"{{"add":[{}]}}"#, keys.join(","))).await.unwrap();
    assert_eq!(bench.base().await, first);
    bench.patch(r#"{"add":["last"]}"#).await.unwrap();
    let (second, stored) = (bench.base().await, bench.published().await.unwrap());
    assert!(second != first && second.open(&stored, Caps::LIST).unwrap().starts_with(b"a\nk0000\n"));
    let state = bench.control.state().await.unwrap();
    let list = state.environment("production").unwrap().live_list("vips").unwrap().clone();
    assert_eq!((list.add.len(), list.drop.len(), list.count), (0, 0, 1_002));
}

#[tokio::test]
async fn a_key_is_erased_with_every_object_that_held_it() {
    let bench = Bench::new().await;
    let first = bench.put("mina\nu-1\nu-2\n").await.unwrap();
    let object = bench.base().await;
    let user = Erasure::UserId("mina".into());
    let in_use = bench.control.erase(&user, request(None, "")).await.unwrap_err();
    assert_eq!((in_use.code(), in_use.to_string().contains("list/production/vips")), ("still-in-use", true));
    // Dropped, it still stands in the object.
    bench.patch(r#"{"drop":["mina"]}"#).await.unwrap();
    let in_use = bench.control.erase(&user, request(None, "")).await.unwrap_err();
    assert_eq!(in_use.code(), "still-in-use");
    let keys = ListKeys::from_text(b"u-1\nu-2\n").unwrap();
    bench.control.put_list(&production(), &vips(), keys, Base::New, request(None, "")).await.unwrap();
    let erased = bench.control.erase(&user, request(None, "")).await.unwrap();
    assert_eq!(erased.erased, [first.seq, first.seq + 1]);
    let left = bench.objects.all(&shop()).await.unwrap();
    assert!(left.len() == 1 && left[0].0 != object.sha256, "{left:?}");
    let bench = bench.restarted();
    assert_eq!(bench.expanded().await.unwrap().to_text(), "u-1\nu-2\n");
    let then = bench.control.list_keys(&production(), &vips(), When::seq(first.seq)).await.unwrap_err();
    assert_eq!(then.code(), "data-erased");
}

#[tokio::test]
async fn an_object_that_two_entries_name_outlives_the_erasure_of_one() {
    let bench = Bench::new().await;
    let first = bench.put("a\nb\n").await.unwrap();
    bench.patch(r#"{"add":["c"]}"#).await.unwrap();
    let object = bench.base().await;
    bench.control.erase(&Erasure::Entries([first.seq].into()), request(None, "")).await.unwrap();
    assert_eq!(bench.base().await, object);
    assert_eq!(bench.restarted().expanded().await.unwrap().to_text(), "a\nb\nc\n");
}

#[tokio::test]
async fn an_environment_is_restored_with_the_lists_it_had() {
    let bench = Bench::new().await;
    let first = bench.put("a\nb\n").await.unwrap();
    bench.patch(r#"{"add":["c"],"drop":["a"]}"#).await.unwrap();
    let restore = flagstone_publisher::control::Several::RestoreEnvironment(
        production(),
        json(&format!(r#"{{"seq":{}}}"#, first.seq)),
    );
    bench.control.change(&restore, &request(None, "")).await.unwrap();
    assert_eq!(bench.expanded().await.unwrap().to_text(), "a\nb\n");
}

#[tokio::test]
async fn of_writers_at_once_none_is_lost() {
    let bench = Arc::new(Bench::new().await);
    bench.put("a\n").await.unwrap();
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.patch(&format!(r#"{{"add":["k{number}"]}}"#)).await.unwrap() })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(bench.expanded().await.unwrap().to_text(), "a\nk0\nk1\nk2\nk3\nk4\nk5\nk6\nk7\n");
}

#[tokio::test]
async fn a_list_that_is_copied_with_its_file_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let records = SqliteStore::open(directory.path().join("data.sqlite")).await.unwrap();
    let (stored, object) = ListKeys::from_text(lines(0..1_000).as_bytes()).unwrap().pack().unwrap();
    records.keep(&shop(), &object.sha256, &stored, NOW_MS).await.unwrap();
    let copy = directory.path().join("copy.sqlite");
    records.back_up(&copy, Vec::new()).await.unwrap();
    let copy = SqliteStore::open(copy).await.unwrap();
    assert_eq!(copy.stored(&shop(), &object.sha256).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn membership_is_evaluated_explained_and_audited_as_it_stood() {
    let bench = Bench::new().await;
    bench.create("a").await;
    let put = bench.put("u-1\nu-2\n").await.unwrap();
    bench.name_it().await;
    let targeting = json(
        r#"{"on":true,"off":"off","rules":[{"id":"vip","if":[{"segment":["vip"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#,
    );
    let targeted = bench.write(Operation::PutTargeting(production(), flag("a"), targeting)).await.unwrap();
    let edited = bench.patch(r#"{"add":["u-3"],"drop":["u-1"]}"#).await.unwrap();
    let bench = bench.restarted();
    let serves = async |key: &str, when: When| {
        let context = Context::from_json(&json(&format!(r#"{{"targetingKey":"{key}"}}"#))).unwrap();
        let evaluated = bench.control.evaluate(&production(), Some("a"), &context, when).await.unwrap();
        let explained = bench.control.explain(&production(), &flag("a"), &context, when).await.unwrap();
        let on = evaluated.flags[0].2.contains(r#""variation":"on""#);
        let details = explained.told.member("details").unwrap();
        assert_eq!(details.member("variation").and_then(Json::as_str) == Some("on"), on, "{key}");
        on
    };
    for (key, then, now) in
        [("u-1", true, false), ("u-2", true, true), ("u-3", false, true), ("u-4", false, false)]
    {
        assert_eq!(serves(key, When::NOW).await, now, "{key}");
        assert_eq!(serves(key, When::seq(targeted.seq)).await, then, "{key}");
    }
    let context = Context::from_json(&json(r#"{"targetingKey":"u-1"}"#)).unwrap();
    let told =
        bench.control.alterations(&production(), &flag("a"), &context, When::NOW, None, 10).await.unwrap();
    let by = |item: &Alteration| match &item.by {
        AlteredBy::Entry { seq, .. } => *seq,
        _ => 0,
    };
    let seqs: Vec<_> = told.items.iter().map(by).collect();
    assert_eq!(seqs[..2], [edited.seq, targeted.seq]);
    assert!(!seqs.contains(&put.seq));
}
