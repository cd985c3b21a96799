//! Public views: what is refused, and which lines a view has.

use flagstone_model::key::{EnvironmentId, ViewId};
use flagstone_publisher::author::Problem;
use flagstone_publisher::build::build;
use flagstone_publisher::log::{Entity, EntityChange};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Edit, MAX_VIEWS, Precondition, Refusal, Terms};
use flagstone_publisher::view::{ClientSalt, MAX_CLIENT_VALUE_BYTES};

use super::project::{Project, flag, json, production, salt};

pub(super) const DECLARED: &str = r#"{"attributes":{"app":"public","country":"public","email":"hashed","targetingKey":"hashed","ssn":"private"}}"#;

/// A project with declared attributes.
fn declared() -> Project {
    let mut project = Project::new();
    let edits = change::put_attributes(&project.state, &json(DECLARED), Terms::default()).unwrap();
    project.record(edits);
    project
}

fn refused(result: Result<Vec<Edit>, Refusal>) -> Vec<Problem> {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.code(), "client-view-refused");
    refusal.problems().to_vec()
}

fn told(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.pointer.as_str()).collect()
}

fn rule(condition: &str) -> String {
    format!(
        r#"{{"on":true,"rules":[{{"id":"r","if":[{condition}],"serve":"on"}}],"fallthrough":{{"serve":"off"}}}}"#
    )
}

#[test]
fn a_targeting_that_a_client_visible_flag_can_not_have_is_refused_where_it_stands() {
    let mut project = declared();
    project.create(r#"{"key":"open","type":"bool","client_visible":true}"#);
    project.create(r#"{"key":"inner","type":"bool"}"#);
    project.segment("paying", r#"{"rules":[{"if":[{"attr":"plan","in":["pro"]}]}]}"#);
    for (targeting, pointer) in [
        (rule(r#"{"attr":"plan","in":["pro"]}"#), "/rules/0/if/0/in"),
        (rule(r#"{"attr":"plan","gt":5}"#), "/rules/0/if/0/attr"),
        (
            rule(r#"{"any":[{"attr":"country","in":["DE"]},{"not":{"attr":"email","contains":["acme"]}}]}"#),
            "/rules/0/if/0/any/1/not/contains",
        ),
        (rule(r#"{"attr":"email","ends":["com"]}"#), "/rules/0/if/0/ends"),
        (rule(r#"{"flag":"inner","is":["on"]}"#), "/rules/0/if/0/flag"),
        (r#"{"on":true,"prerequisites":[{"flag":"inner","is":["on"]}]}"#.to_owned(), "/prerequisites/0/flag"),
    ] {
        let problems = refused(project.try_put("open", &targeting));
        assert_eq!(told(&problems), [pointer], "{targeting}");
        assert!(problems[0].detail.contains("client-visible"), "{}", problems[0].detail);
        assert!(
            project.try_put("inner", &targeting.replace("inner", "open")).is_ok(),
            "only of a client-visible one"
        );
    }
    // What is in the way lies in a segment.
    let problems = refused(project.try_put("open", &rule(r#"{"segment":["paying"]}"#)));
    assert!(problems[0].detail.contains("asks for segment `paying`, where"), "{}", problems[0].detail);
    // Targets are tests of the targeting key.
    let edits = change::put_attributes(
        &project.state,
        &json(r#"{"attributes":{"country":"public"}}"#),
        Terms::default(),
    );
    project.record(edits.unwrap());
    for (targeting, pointer) in [
        (r#"{"on":true,"targets":{"on":["u-1"]}}"#, "/targets"),
        (r#"{"on":true,"deny":{"off":["u-1"]}}"#, "/deny"),
    ] {
        assert_eq!(told(&refused(project.try_put("open", targeting))), [pointer]);
    }
    // A rollout asks for the unit, and shows nothing of it.
    assert!(
        project
            .try_put("open", r#"{"on":true,"fallthrough":{"rollout":{"weights":{"on":50000,"off":50000}}}}"#)
            .is_ok()
    );
}

#[test]
fn a_flag_is_made_client_visible_only_if_every_environment_can_show_it() {
    let mut project = declared();
    let edits = change::create_environment(&project.state, &json(r#"{"id":"staging"}"#), &salt()).unwrap();
    project.record(edits);
    project.create(r#"{"key":"paid","type":"bool"}"#);
    project.put("paid", &rule(r#"{"attr":"plan","in":["pro"]}"#));
    let visible = json(r#"{"client_visible":true}"#);
    let patch = |state: &State| change::patch_flag(state, &flag("paid"), &visible, Terms::default());
    let problems = refused(patch(&project.state));
    assert_eq!(told(&problems), ["/client_visible"]);
    let detail = &problems[0].detail;
    assert!(detail.contains("in environment `production`") && detail.contains("`plan`"), "{detail}");
    // Both at once are fine.
    let both = r#"{"attributes":{"plan":"public"}},{"flag":"paid","definition":{"type":"bool","client_visible":true}}"#;
    project.several(both);
    assert!(project.state.flag("paid").unwrap().definition.client_visible);
}

#[test]
fn a_change_elsewhere_that_would_hide_a_client_visible_flag_is_refused_and_names_it() {
    let mut project = declared();
    project.segment("staff", r#"{"rules":[{"if":[{"attr":"email","ends":["@acme.com"]}]}]}"#);
    project.create(r#"{"key":"base","type":"bool","client_visible":true}"#);
    project.create(r#"{"key":"open","type":"bool","client_visible":true}"#);
    project.put(
        "open",
        &rule(
            r#"{"all":[{"segment":["staff"]},{"flag":"base","is":["on"]},{"attr":"country","in":["DE"]}]}"#,
        ),
    );

    // A segment that it asks for.
    let problems =
        refused(project.try_segment("staff", r#"{"rules":[{"if":[{"attr":"email","matches":"acme"}]}]}"#));
    assert_eq!(told(&problems), ["/rules/0/if/0/matches"]);
    assert!(problems[0].detail.contains("flag `open`"), "{}", problems[0].detail);
    let problems = refused(project.try_several(
        r#"{"segment":"staff","environment":"production","definition":{"rules":[{"if":[{"attr":"ssn","exists":true}]}]}}"#,
    ));
    assert_eq!(told(&problems), ["/changes/0/definition/rules/0/if/0/attr"]);

    // A declaration.
    let narrowed = json(r#"{"attributes":{"email":"private","country":"public"}}"#);
    let problems = refused(change::put_attributes(&project.state, &narrowed, Terms::default()));
    assert_eq!(told(&problems), ["/attributes/email"]);
    assert!(problems[0].detail.contains("flag `open`"), "{}", problems[0].detail);
    let problems = refused(project.try_several(r#"{"attributes":{"email":"hashed"}}"#));
    assert_eq!(told(&problems), ["/changes/0/attributes/country"]);

    // A prerequisite that clients see no more.
    let hidden = json(r#"{"client_visible":false}"#);
    let problems = refused(change::patch_flag(&project.state, &flag("base"), &hidden, Terms::default()));
    assert_eq!(told(&problems), ["/client_visible"]);
    assert!(
        problems[0].detail.contains("flag `open`") && problems[0].detail.contains("flag `base`"),
        "{}",
        problems[0].detail
    );

    // An environment brought back.
    let then = project.state.environment("production").unwrap().clone();
    let edits = change::put_segment(
        &project.state,
        &production(),
        &super::project::segment("staff"),
        &json("{}"),
        Terms::default(),
    );
    project.record(edits.unwrap());
    project.several(r#"{"attributes":{"email":"private","country":"public"}}"#);
    let restored = change::restore_environment(&project.state, &production(), &then, Terms::default());
    assert_eq!(told(&refused(restored)), ["/seq"]);
}

#[test]
fn a_value_for_clients_has_at_most_16_000_bytes() {
    let mut project = declared();
    let definition = |bytes: usize| {
        // Two of them are the quotes.
        let value = "x".repeat(bytes - 2);
        json(&format!(
            r#"{{"key":"text","type":"string","variations":{{"long":"{value}"}},"client_visible":true}}"#
        ))
    };
    let problems = refused(change::create_flag(&project.state, &definition(MAX_CLIENT_VALUE_BYTES + 1)));
    assert_eq!(told(&problems), ["/variations/long"]);
    project.record(change::create_flag(&project.state, &definition(MAX_CLIENT_VALUE_BYTES)).unwrap());
}

fn client() -> ViewId {
    ViewId::client()
}

fn lines(state: &State, view: &ViewId) -> Vec<String> {
    build(state, &production(), view).unwrap().iter().map(ToString::to_string).collect()
}

fn put_view(project: &mut Project, id: &str, body: &str) -> Result<(), Refusal> {
    let edits = change::put_view(&project.state, &ViewId::parse(id).unwrap(), &json(body), Terms::default())?;
    project.record(edits);
    Ok(())
}

/// Flags of every kind, and segments that some of them ask for.
pub(super) fn furnished() -> Project {
    let mut project = declared();
    project.segment("deep", r#"{"rules":[{"if":[{"attr":"app.beta","in":[true]}]}]}"#);
    project.segment(
        "staff",
        r#"{"rules":[{"if":[{"attr":"email","ends":["@acme.com"]},{"segment":["deep"]}]}]}"#,
    );
    project.segment("unused", r#"{"include":["u-1"]}"#);
    project.create(
        r#"{"key":"base","type":"bool","client_visible":true,"description":"d","owner":"o","tags":["t"]}"#,
    );
    project.create(r#"{"key":"hidden","type":"bool","tags":["mobile"]}"#);
    project.create(r#"{"key":"open","type":"bool","client_visible":true,"tags":["mobile"]}"#);
    project.put("open", &rule(r#"{"all":[{"segment":["staff"]},{"flag":"base","is":["on"]}]}"#));
    project.put("hidden", &rule(r#"{"segment":["unused"]}"#));
    project
}

pub(super) fn heads(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split(',').next().unwrap()).collect()
}

#[test]
fn a_view_has_its_flags_and_what_they_reach() {
    let mut project = furnished();
    put_view(&mut project, "mobile", r#"{"audience":"public","include":"tag","tag":"mobile"}"#).unwrap();
    put_view(&mut project, "kiosk", r#"{"audience":"keyed","include":"tag","tag":"mobile"}"#).unwrap();
    put_view(&mut project, "partner", r#"{"audience":"keyed","include":"client"}"#).unwrap();
    let view = |id: &str| lines(&project.state, &ViewId::parse(id).unwrap());
    let opaque =
        |key: &str| format!(r#"{{"segment":"{}""#, flagstone_publisher::view::segment_key(key, &salt()));
    let mut segments = [opaque("deep"), opaque("staff")];
    segments.sort();
    let [first, second] = segments.each_ref().map(String::as_str);
    let public = [r#"{"environment":"production""#, r#"{"flag":"base""#, r#"{"flag":"open""#, first, second];
    assert_eq!(heads(&view("client")), public);
    assert_eq!(heads(&view("mobile")), public, "a prerequisite comes along without the tag");
    let partner = [
        r#"{"environment":"production""#,
        r#"{"flag":"base""#,
        r#"{"flag":"open""#,
        r#"{"segment":"deep""#,
        r#"{"segment":"staff""#,
    ];
    assert_eq!(heads(&view("partner")), partner);
    let kiosk = view("kiosk");
    assert_eq!(heads(&kiosk)[1..4], [r#"{"flag":"base""#, r#"{"flag":"hidden""#, r#"{"flag":"open""#]);
    assert_eq!(kiosk.len(), 7, "every segment is reached");
    assert!(view("mobile")[0].contains(r#""view":"mobile""#));
    for id in ["client", "mobile", "kiosk", "partner"] {
        let lines = view(id);
        assert!(lines.is_sorted(), "{id}");
        // Same log, same lines; and the same from a checkpoint.
        let refolded = project.refolded();
        let id = ViewId::parse(id).unwrap();
        assert_eq!(super::views::lines(&refolded, &id), lines);
        let kept = project.state.to_lines().unwrap();
        let read = State::from_lines(project.state.id(), &kept).unwrap();
        assert_eq!(super::views::lines(&read, &id), lines);
        assert_eq!(read.to_lines().unwrap(), kept);
    }
    // What keyed views say of what is private, public ones do not.
    assert!(view("server")[0].ends_with(r#""private":["ssn"]}"#));
    assert!(view("kiosk")[0].ends_with(r#""private":["ssn"]}"#));
    assert!(!view("client")[0].contains("private"));
}

#[test]
fn the_salt_of_an_environment_is_made_once_and_stays() {
    let mut project = furnished();
    let before = lines(&project.state, &client());
    let patch = json(r#"{"name":"Live"}"#);
    let edits = change::patch_environment(&project.state, &production(), &patch, Terms::default()).unwrap();
    project.record(edits);
    assert_eq!(lines(&project.state, &client()), before);
    assert_eq!(change::add_client_salts(&project.state, || Some(ClientSalt::of(1))), Some(Vec::new()));
}

/// An environment of a release that had no public views: its entry has no salt.
fn without_salt() -> Project {
    let mut project = Project::new();
    let old = json(r#"{"id":"old"}"#);
    let mut edits = change::create_environment(&project.state, &old, &salt()).unwrap();
    edits[0].state = old;
    project.record(edits);
    project
}

#[test]
fn an_older_environment_gets_a_salt_by_an_entry_and_keeps_out_what_it_can_not_show() {
    let mut project = without_salt();
    let old = EnvironmentId::parse("old").unwrap();
    // What nobody refused then: client-visible, and a test of what is private.
    project.create(r#"{"key":"paid","type":"bool"}"#);
    project.create(r#"{"key":"open","type":"bool","client_visible":true}"#);
    let put = |project: &mut Project, key: &str, targeting: &str| {
        let edits =
            change::put_targeting(&project.state, &old, &flag(key), &json(targeting), Terms::default())?;
        project.record(edits);
        Ok::<_, Refusal>(())
    };
    put(&mut project, "paid", &rule(r#"{"attr":"plan","in":["pro"]}"#)).unwrap();
    let visible = json(r#"{"client_visible":true}"#);
    // That is refused now, salt or none; an older release wrote it.
    let refused = change::patch_flag(&project.state, &flag("paid"), &visible, Terms::default());
    assert_eq!(refused.unwrap_err().code(), "client-view-refused");
    let (entity, prior_seq) = (Entity::Flag(flag("paid")), project.state.flag("paid").unwrap().seq);
    let state = json(
        r#"{"key":"paid","type":"bool","variations":{"off":false,"on":true},"kind":"release","client_visible":true}"#,
    );
    project.record(vec![Edit { change: EntityChange { entity, revision: (1, 2), prior_seq }, state }]);
    assert_eq!(build(&project.state, &old, &client()).unwrap_err().code(), "client-salt-missing");
    // What was looked at without a salt is not kept: it would be of another one.
    project.several(r#"{"attributes":{"email":"hashed"}}"#);
    put(&mut project, "open", &rule(r#"{"attr":"email","in":["a@acme.com"]}"#)).unwrap();

    let salts = change::add_client_salts(&project.state, || Some(salt())).unwrap();
    assert_eq!(
        salts.iter().map(|edit| &edit.change.entity).collect::<Vec<_>>(),
        [&Entity::Environment(old.clone())]
    );
    project.record(salts);
    let lines = build(&project.state, &old, &client()).unwrap();
    assert_eq!(
        heads(&lines.iter().map(ToString::to_string).collect::<Vec<_>>()),
        [r#"{"environment":"old""#, r#"{"flag":"open""#]
    );
    assert!(lines[1].contains("de709d6e33f9fa7e0e3907dfdf49c3eb"), "{}", lines[1]);
    let environment = project.state.environment("old").unwrap();
    assert_eq!(environment.unfit().into_keys().collect::<Vec<_>>(), [&flag("paid")]);

    // It can still be switched off, and be mended; another one can not become so.
    let off = change::switch(&project.state, &old, &flag("paid"), false, Terms::default()).unwrap();
    project.record(off);
    assert_eq!(
        put(&mut project, "open", &rule(r#"{"attr":"plan","in":["pro"]}"#)).unwrap_err().code(),
        "client-view-refused"
    );
    put(&mut project, "paid", r#"{"on":true,"fallthrough":{"serve":"on"}}"#).unwrap();
    assert!(project.state.environment("old").unwrap().unfit().is_empty());
    assert_eq!(
        put(&mut project, "paid", &rule(r#"{"attr":"plan","in":["pro"]}"#)).unwrap_err().code(),
        "client-view-refused"
    );
}

#[test]
fn views_are_written_changed_and_deleted_and_their_audience_stays() {
    let mut project = Project::new();
    let mobile = ViewId::parse("mobile").unwrap();
    put_view(&mut project, "mobile", r#"{"audience":"public","include":"client"}"#).unwrap();
    put_view(&mut project, "mobile", r#"{"audience":"public","include":"tag","tag":"app"}"#).unwrap();
    assert_eq!(project.state.place(&Entity::View(mobile.clone())).0, 2);
    let refusal = put_view(&mut project, "mobile", r#"{"audience":"keyed","include":"all"}"#).unwrap_err();
    assert_eq!(refusal.problems()[0].pointer, "/audience");
    for built_in in ["server", "client"] {
        let refusal =
            put_view(&mut project, built_in, r#"{"audience":"keyed","include":"all"}"#).unwrap_err();
        assert_eq!(refusal.code(), "view-built-in");
        let id = ViewId::parse(built_in).unwrap();
        assert_eq!(
            change::delete_view(&project.state, &id, Terms::default()).unwrap_err().code(),
            "view-built-in"
        );
    }
    let stale = Terms { precondition: Precondition::Revision(1), ..Terms::default() };
    assert_eq!(change::delete_view(&project.state, &mobile, stale).unwrap_err().code(), "stale-revision");
    let edits = change::delete_view(&project.state, &mobile, Terms::default()).unwrap();
    project.record(edits);
    assert_eq!(build(&project.state, &production(), &mobile).unwrap_err().code(), "view-not-found");
    assert_eq!(
        change::delete_view(&project.state, &mobile, Terms::default()).unwrap_err().code(),
        "view-not-found"
    );
    let again = put_view(&mut project, "mobile", r#"{"audience":"public","include":"client"}"#);
    assert_eq!(again.unwrap_err().code(), "key-retired");
}

#[test]
fn a_project_has_as_many_views_as_the_limit_says() {
    let mut project = Project::new();
    let body = r#"{"audience":"keyed","include":"all"}"#;
    for number in 1..MAX_VIEWS {
        put_view(&mut project, &format!("v-{number}"), body).unwrap();
    }
    let two = format!(r#"{{"view":"x","definition":{body}}},{{"view":"y","definition":{body}}}"#);
    assert!(project.try_several(&two).is_err());
    put_view(&mut project, "last", body).unwrap();
    assert_eq!(put_view(&mut project, "more", body).unwrap_err().code(), "invalid-request");
    // What is written anew is no view more, and one that goes makes room, whatever their order.
    let other = r#"{"audience":"keyed","include":"client"}"#;
    let new = format!(r#"{{"view":"x","definition":{body}}}"#);
    let again = format!(r#"{{"view":"v-1","definition":{other}}},{{"view":"v-2","definition":{other}}}"#);
    assert!(project.try_several(&again).is_ok());
    assert_eq!(project.try_several(&format!("{again},{new}")).unwrap_err().code(), "invalid-request");
    assert!(project.try_several(&format!(r#"{again},{new},{{"view":"last","delete":true}}"#)).is_ok());
    assert!(
        project
            .try_several(&format!(r#"{{"view":"a","definition":{body}}},{{"view":"v-1","delete":true}}"#))
            .is_ok()
    );
    let edits =
        change::delete_view(&project.state, &ViewId::parse("last").unwrap(), Terms::default()).unwrap();
    project.record(edits);
    put_view(&mut project, "more", body).unwrap();
}

#[test]
fn declarations_and_views_are_changed_together_with_flags() {
    let mut project = Project::new();
    let all = r#"{"attributes":{"plan":"hashed"},"revision":0},
        {"view":"mobile","definition":{"audience":"public","include":"tag","tag":"app"}},
        {"flag":"paid","definition":{"type":"bool","client_visible":true,"tags":["app"]}},
        {"flag":"paid","environment":"production","targeting":{"on":true,"rules":[{"id":"r","if":[{"attr":"plan","starts":["premium"]}],"serve":"on"}]}}"#;
    project.several(all);
    let entry = project.entries.last().unwrap();
    assert_eq!(entry.header.changes.len(), 4);
    assert_eq!(project.try_several(all).unwrap(), Vec::new(), "what is so already is left out");
    let stale = r#"{"attributes":{"plan":"public"},"revision":0}"#;
    assert_eq!(project.try_several(stale).unwrap_err().code(), "stale-revision");
    project.several(r#"{"view":"mobile","delete":true}"#);
    for (changes, pointer) in [
        (r#"{"view":"mobile"}"#, "/changes/0"),
        (r#"{"view":"Mobile","delete":true}"#, "/changes/0/view"),
        (r#"{"view":"a","definition":{"audience":"public"}}"#, "/changes/0/definition/include"),
        (r#"{"attributes":{"plan":"open"}}"#, "/changes/0/attributes/plan"),
        (r#"{"attributes":{},"environment":"production"}"#, "/changes/0/environment"),
        (r#"{"attributes":{},"view":"a"}"#, "/changes/0"),
    ] {
        assert_eq!(project.try_several(changes).unwrap_err().problems()[0].pointer, pointer, "{changes}");
    }
    let retired =
        project.try_several(r#"{"view":"mobile","definition":{"audience":"keyed","include":"all"}}"#);
    assert_eq!(retired.unwrap_err().code(), "key-retired");
}
