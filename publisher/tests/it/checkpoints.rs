//! Checkpoints: a fold that starts from one is the fold from the first entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flagstone_model::instant::Instant;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::build::build;
use flagstone_publisher::checkpoint::{
    self, CheckpointFault, Checkpoints, MAX_TAIL_ENTRIES, MemoryCheckpoints, compare, conformance, read,
    write,
};
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{ControlPlane, Ports};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{ChangeLog, Entity, EntityChange, Entry};
use flagstone_publisher::private_object::MemoryObjects;
use flagstone_publisher::publication::MemoryPublications;
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::change::{self, Edit, Terms};
use flagstone_publisher::state::{State, StateFault};
use flagstone_publisher::store::MemoryStore;
use proptest::prelude::*;

use super::faulty_log::FaultyLog;
use super::project::{Project, flag, json, salt, segment};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_checkpoints_conform() {
    let checkpoints = Arc::new(MemoryCheckpoints::new());
    conformance::run(&|| Arc::clone(&checkpoints) as Arc<dyn Checkpoints>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_checkpoints_conform_with_several_handles_on_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut handles = Vec::new();
    for _ in 0..4 {
        handles.push(Arc::new(SqliteStore::open(directory.path().join("data.sqlite")).await.unwrap()));
    }
    let next = AtomicU64::new(0);
    conformance::run(&|| {
        let turn = usize::try_from(next.fetch_add(1, Ordering::SeqCst)).unwrap();
        Arc::clone(&handles[turn % handles.len()]) as Arc<dyn Checkpoints>
    })
    .await;
}

fn other(state: &State, entity: &str, body: &str) -> Edit {
    let entity = Entity::parse(entity).unwrap();
    let (revision, prior_seq) = state.place(&entity);
    let change = EntityChange { entity, revision: (revision, revision + 1), prior_seq };
    Edit { change, state: json(body) }
}

/// One random change; one that is refused is left out.
fn step(project: &mut Project, (what, which, how): (u8, u8, u8)) {
    let state = &project.state;
    let key = flag(&format!("f{}", which % 4));
    let environments = ["production", "staging", "dev"];
    let id = EnvironmentId::parse(environments[usize::from(which) % 3]).unwrap();
    let terms = Terms::default();
    let edits = match what % 12 {
        0 => change::create_flag(state, &json(&format!(r#"{{"key":"{key}","type":"bool"}}"#))),
        1 => change::patch_flag(
            state,
            &key,
            &json(&format!(r#"{{"description":"d{how}","tags":["t"]}}"#)),
            terms,
        ),
        2 if how % 8 == 0 => change::archive_flag(state, &key, terms),
        2 | 3 => change::switch(state, &id, &key, how % 2 == 0, terms),
        4 => {
            let body = format!(
                r#"{{"on":true,"off":"off","targets":{{"on":["u-{how}"]}},"fallthrough":{{"rollout":{{"weights":{{"on":{},"off":{}}}}},"without_key":"off"}}}}"#,
                u32::from(how) * 100,
                100_000 - u32::from(how) * 100,
            );
            change::put_targeting(state, &id, &key, &json(&body), terms)
        }
        5 => {
            let body =
                format!(r#"{{"include":["u-{how}"],"rules":[{{"if":[{{"attr":"a","in":[{how}]}}]}}]}}"#);
            change::put_segment(state, &id, &segment(&format!("s{}", how % 3)), &json(&body), terms)
        }
        6 => change::delete_segment(state, &id, &segment(&format!("s{}", how % 3)), terms),
        7 => change::create_environment(state, &json(&format!(r#"{{"id":"{id}"}}"#)), &salt()),
        8 => {
            let patch = format!(r#"{{"name":"n{how}","production":{}}}"#, how % 2 == 0);
            change::patch_environment(state, &id, &json(&patch), terms)
        }
        9 => Ok(vec![other(state, &format!("future/x{}", which % 3), r#"{"later":1}"#)]),
        10 => Ok(vec![other(state, "future/one", "[1]"), other(state, &format!("future/y{which}"), "null")]),
        _ => Ok(Vec::new()),
    };
    match edits {
        Ok(edits) if !edits.is_empty() => {
            project.time_ms += i64::from(how) * 600_000;
            let request = format!("r-{}", usize::from(how) + project.entries.len());
            project.record_as(edits, &format!("u_{}", which % 3), &request);
        }
        _ => {}
    }
}

/// Appends an entry that erases every second one of those whose entities all have later entries, and erases them.
fn erase(project: &mut Project) {
    let superseded = |entry: &Entry| {
        let last = |change: &EntityChange| {
            project
                .entries
                .iter()
                .rev()
                .find(|later| later.header.changes.iter().any(|other| other.entity == change.entity))
        };
        entry.header.changes.iter().all(|change| last(change).is_some_and(|last| last.seq() > entry.seq()))
    };
    let seqs: Vec<u64> = project.entries.iter().filter(|entry| superseded(entry)).map(Entry::seq).collect();
    let seqs: Vec<u64> = seqs.into_iter().step_by(2).collect();
    if seqs.is_empty() {
        return;
    }
    let edits = seqs.iter().map(|seq| other(&project.state, &format!("erase/{seq}"), "null")).collect();
    project.record(edits);
    for entry in project.entries.iter_mut().filter(|entry| seqs.contains(&entry.seq())) {
        entry.data = None;
    }
}

fn fold(from: State, entries: &[Entry]) -> State {
    entries.iter().fold(from, |mut state, entry| {
        state.apply(entry).unwrap();
        state
    })
}

fn lines(state: &State) -> Vec<Vec<Arc<str>>> {
    state.environments().map(|(id, _)| build(state, id, &ViewId::server()).unwrap()).collect()
}

/// Everything of both states that can be asked for.
fn assert_same(one: &State, other: &State, entries: &[Entry]) {
    assert_eq!(one.head(), other.head());
    assert_eq!(one.to_lines(), other.to_lines());
    assert_eq!(lines(one), lines(other));
    assert_eq!(one.requests().len(), other.requests().len());
    for entry in entries {
        let request = &entry.header.request.id;
        let found = |state: &State| {
            let recorded = state.requests().find(&entry.header.actor.id, request)?;
            Some((recorded.seq, recorded.time_ms, recorded.is(request.as_bytes())))
        };
        assert_eq!(found(one), found(other), "{request}");
        for change in &entry.header.changes {
            assert_eq!(one.place(&change.entity), other.place(&change.entity), "{}", change.entity);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_fold_from_a_checkpoint_is_the_fold_from_the_first_entry(
        steps in proptest::collection::vec(any::<(u8, u8, u8)>(), 1..120),
        erased_after in 0usize..120,
        at in any::<prop::sample::Index>(),
    ) {
        let mut project = Project::new();
        for (number, &one) in steps.iter().enumerate() {
            step(&mut project, one);
            if number == erased_after {
                erase(&mut project);
            }
        }
        let entries = &project.entries;
        let (before, tail) = entries.split_at(at.index(entries.len()) + 1);
        let start = || State::new(project.state.id().clone());
        let (mark, stored) = write(&fold(start(), before)).unwrap().unwrap();
        let resumed = read(project.state.id(), &mark, Some(&stored)).unwrap();
        assert_same(&resumed, &fold(start(), before), entries);
        let resumed = fold(resumed, tail);
        assert_same(&resumed, &fold(start(), entries), entries);
        // It was folded before anything was erased, and is the same all the same.
        assert_same(&resumed, &project.state, entries);
    }
}

#[test]
fn an_erased_entry_leaves_no_salt_behind() {
    let mut project = Project::new();
    project.create(r#"{"key":"a","type":"bool"}"#);
    let request = project.entries[1].header.request.id.clone();
    assert_eq!(project.state.requests().find("u_1", &request).unwrap().is(b"other"), Some(false));
    let edits = change::patch_flag(&project.state, &flag("a"), &json(r#"{"owner":"o"}"#), Terms::default());
    project.record(edits.unwrap());
    let erasure = other(&project.state, "erase/2", "null");
    project.record(vec![erasure]);
    assert_eq!(project.state.requests().find("u_1", &request).unwrap().is(b"other"), None);
}

#[test]
fn a_checkpoint_that_is_damaged_foreign_or_of_another_release_is_refused() {
    let mut project = Project::new();
    project.create(r#"{"key":"a","type":"bool"}"#);
    let (mark, stored) = write(&project.state).unwrap().unwrap();
    let id = project.state.id().clone();
    let refused = |project: &ProjectId, bytes: Option<&[u8]>| read(project, &mark, bytes).unwrap_err().code();
    assert_eq!(refused(&id, None), "checkpoint-missing");
    for at in 0..stored.len() {
        let mut flipped = stored.clone();
        flipped[at] ^= 1;
        assert_eq!(refused(&id, Some(&flipped)), "checkpoint-damaged", "byte {at}");
    }
    let other = ProjectId::parse("other").unwrap();
    assert_eq!(refused(&other, Some(&stored)), "checkpoint-of-another-project");

    let text = String::from_utf8(project.state.to_lines().unwrap()).unwrap();
    let fault = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        State::from_lines(&id, text.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    assert_eq!(fault("flagstone/state/1", "flagstone/state/2"), StateFault::Release);
    // A release that did not know flags would only have carried it along.
    let start = text.find(r#","state":{"key":"a""#).unwrap();
    let state = &text[start..start + text[start..].find('\n').unwrap()];
    assert_eq!(fault(state, "}"), StateFault::Release);
    assert_eq!(fault(r#""entity":"flag/a""#, r#""entity":"future/a""#), StateFault::Release);
    assert_eq!(fault(r#""entity":"flag/a""#, r#""entity":"flag/b""#), StateFault::Line { line: 3 });
    assert_eq!(fault(r#""salt":""#, r#""salt":"x"#), StateFault::Line { line: 5 });
    assert_eq!(State::from_lines(&id, b"").unwrap_err(), StateFault::Line { line: 1 });
}

struct Bench {
    log: Arc<FaultyLog>,
    checkpoints: Arc<MemoryCheckpoints>,
    project: Project,
    keys: Keys,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Project::new();
        let keys = Keys::open(directory.path(), project.state.id(), project.time_ms).await.unwrap();
        let (log, checkpoints) = Default::default();
        let bench = Self { log, checkpoints, project, keys, _directory: directory };
        bench.log.append(&bench.project.entries[0]).await.unwrap();
        bench
    }

    /// A process that starts now.
    fn start(&self) -> ControlPlane {
        let ports = Ports {
            log: self.log.clone(),
            checkpoints: self.checkpoints.clone(),
            objects: Arc::new(MemoryObjects::new()),
            publications: Arc::new(MemoryPublications::new()),
            store: Arc::new(MemoryStore::new()),
            signer: Arc::new(self.keys.clone()),
            clock: Arc::new(ManualClock::at(self.project.time_ms)),
        };
        ControlPlane::new(self.id().clone(), self.keys.root().clone(), ports, Options::default())
    }

    fn id(&self) -> &ProjectId {
        self.project.state.id()
    }

    /// Appends entries, one a second, up to the seq `head`.
    async fn grow(&mut self, head: u64) {
        while self.project.state.seq() < head {
            self.project.time_ms += 1_000;
            let edit = other(&self.project.state, "future/x", "1");
            self.project.record(vec![edit]);
            self.log.append(self.project.entries.last().unwrap()).await.unwrap();
        }
    }

    async fn seqs(&self) -> Vec<u64> {
        self.checkpoints.marks(self.id()).await.unwrap().iter().map(checkpoint::Mark::seq).collect()
    }

    /// What `work` reads of the log.
    async fn reads<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        let before = self.log.reads();
        let done = work.await;
        (self.log.reads() - before, done)
    }
}

#[tokio::test]
async fn a_sweep_writes_a_checkpoint_after_1_000_entries_and_not_before() {
    let mut bench = Bench::new().await;
    let control = bench.start();
    bench.grow(MAX_TAIL_ENTRIES - 1).await;
    control.sweep().await.unwrap();
    assert!(bench.seqs().await.is_empty());
    bench.grow(MAX_TAIL_ENTRIES).await;
    control.sweep().await.unwrap();
    assert_eq!(bench.seqs().await, [MAX_TAIL_ENTRIES]);
    bench.grow(2 * MAX_TAIL_ENTRIES - 1).await;
    control.sweep().await.unwrap();
    // Another process counts from the checkpoint that it starts from.
    bench.start().sweep().await.unwrap();
    assert_eq!(bench.seqs().await, [MAX_TAIL_ENTRIES]);
    bench.grow(2 * MAX_TAIL_ENTRIES).await;
    bench.start().sweep().await.unwrap();
    control.sweep().await.unwrap();
    assert_eq!(bench.seqs().await, [MAX_TAIL_ENTRIES, 2 * MAX_TAIL_ENTRIES]);
}

#[tokio::test]
async fn a_sweep_writes_a_checkpoint_after_1_mb_of_entries() {
    let mut bench = Bench::new().await;
    let control = bench.start();
    let large = format!("\"{}\"", "x".repeat(600_000));
    let mut seen = Vec::new();
    for _ in 0..2 {
        let edit = other(&bench.project.state, "future/large", &large);
        bench.project.record(vec![edit]);
        bench.log.append(bench.project.entries.last().unwrap()).await.unwrap();
        control.sweep().await.unwrap();
        seen.push(bench.seqs().await);
    }
    assert_eq!(seen, [vec![], vec![3]]);
}

#[tokio::test]
async fn a_start_reads_the_log_behind_the_newest_checkpoint_only() {
    let mut bench = Bench::new().await;
    let control = bench.start();
    for head in [1_000, 2_000] {
        bench.grow(head).await;
        control.sweep().await.unwrap();
    }
    bench.grow(2_007).await;
    let (read, state) = bench.reads(async { bench.start().state().await.unwrap() }).await;
    assert_eq!(read, 7);
    assert_same(&state, &bench.project.state, &bench.project.entries);

    // Damaged, the one before it is used, and then the first entry.
    for (damaged, expected) in [(2_000, 1_007), (1_000, 2_007)] {
        bench.checkpoints.tamper(bench.id(), damaged, |stored| stored[20] ^= 1);
        let (read, state) = bench.reads(async { bench.start().state().await.unwrap() }).await;
        assert_eq!(read, expected);
        assert_same(&state, &bench.project.state, &[]);
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_log_is_passed_over() {
    let mut bench = Bench::new().await;
    let control = bench.start();
    bench.grow(1_000).await;
    control.sweep().await.unwrap();
    assert_eq!(bench.seqs().await, [1_000]);
    // The log is replaced by one that went another way.
    bench.log = Arc::default();
    let first = bench.project.entries[0].clone();
    bench.project = Project::new();
    bench.project.entries = vec![first];
    bench.log.append(&bench.project.entries[0]).await.unwrap();
    bench.project.time_ms += 1;
    bench.grow(1_002).await;
    let state = bench.start().state().await.unwrap();
    assert_same(&state, &bench.project.state, &[]);
}

#[tokio::test]
async fn an_old_state_is_folded_from_the_checkpoint_before_it() {
    let mut bench = Bench::new().await;
    let control = bench.start();
    let begun = bench.project.time_ms;
    for head in [1_000, 2_000, 3_000] {
        bench.grow(head).await;
        control.sweep().await.unwrap();
    }
    for (seq, read) in [(3_000, 0), (2_999, 1_000), (2_000, 1_000), (1_999, 1_000), (1, 1_000)] {
        let (by_seq, state) = bench.reads(control.state_at_seq(seq)).await;
        let expected =
            fold(State::new(bench.id().clone()), &bench.project.entries[..usize::try_from(seq).unwrap()]);
        assert_eq!(by_seq, read, "{seq}");
        assert_same(&state.unwrap(), &expected, &[]);
        let time = begun + (i64::try_from(seq).unwrap() - 1) * 1_000;
        for late in [0, 999] {
            let state = control.state_at(Instant::from_millis(time + late)).await.unwrap();
            assert_eq!(state.seq(), seq, "{late} ms after entry {seq}");
        }
    }
    assert_eq!(control.state_at(Instant::from_millis(begun - 1)).await.unwrap().seq(), 0);
    assert_eq!(control.state_at_seq(0).await.unwrap().seq(), 0);
    assert_eq!(control.state_at_seq(9_999).await.unwrap().seq(), 3_000);
}

#[test]
fn a_checkpoint_with_a_right_digest_and_another_state_is_found() {
    let mut project = Project::new();
    project.create(r#"{"key":"a","type":"bool"}"#);
    project.put("a", r#"{"on":true}"#);
    let (mark, stored) = write(&project.state).unwrap().unwrap();
    compare(&project.state, &mark, &stored).unwrap();

    let lines = String::from_utf8(project.state.to_lines().unwrap()).unwrap();
    let number = lines.lines().position(|line| line.contains(r#""entity":"flag/production/a""#)).unwrap() + 1;
    let line = lines.lines().nth(number - 1).unwrap();
    let last = lines.lines().last().unwrap();
    let before = project.refolded();
    for (forged, differs) in [
        (lines.replace(line, &line.replace(r#""on":true"#, r#""on":false"#)), number),
        (lines.replace(&format!("{last}\n"), ""), lines.lines().count()),
    ] {
        let forged = State::from_lines(before.id(), forged.as_bytes()).unwrap();
        let (mark, stored) = write(&forged).unwrap().unwrap();
        read(before.id(), &mark, Some(&stored)).unwrap();
        let fault = compare(&before, &mark, &stored).unwrap_err();
        assert!(matches!(fault, CheckpointFault::Differs { line } if line == differs), "{fault}");
        assert_eq!(fault.code(), "checkpoint-differs");
    }
    // The right bytes, at another entry; other bytes.
    let earlier = fold(State::new(before.id().clone()), &project.entries[..2]);
    assert_eq!(compare(&earlier, &mark, &stored).unwrap_err().code(), "checkpoint-foreign");
    assert_eq!(compare(&before, &mark, &stored[1..]).unwrap_err().code(), "checkpoint-damaged");
}
