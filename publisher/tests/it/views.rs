//! Public views: what is shown, what is refused, and which lines a view has.

use flagstone_bundle::container::Encoding;
use flagstone_bundle::manifest::{Manifest, Stream, UnverifiedManifest};
use flagstone_eval::Snapshot;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::key::{EnvironmentId, ViewId};
use flagstone_publisher::author::{Attributes, Problem};
use flagstone_publisher::build::build;
use flagstone_publisher::control::{Operation, PublicationState};
use flagstone_publisher::log::{Entity, EntityChange};
use flagstone_publisher::publish::{Access, Layout};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Edit, MAX_VIEWS, Precondition, Refusal, Terms};
use flagstone_publisher::view::{ClientSalt, MAX_CLIENT_VALUE_BYTES, Redactor, Unfit, compare};

use super::control::Bench;
use super::project::{Project, flag, json, production, salt};

const DECLARED: &str = r#"{"attributes":{"app":"public","country":"public","email":"hashed","targetingKey":"hashed","ssn":"private"}}"#;

fn attributes() -> Attributes {
    Attributes::parse(&json(DECLARED)).unwrap()
}

fn flag_line(condition: &str) -> String {
    format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{{"id":"r","if":[{condition}],"serve":"on"}}]}}"#
    )
}

fn redacted(condition: &str) -> Result<String, Vec<Unfit>> {
    let (attributes, salt) = (attributes(), salt());
    let line = Redactor::new(&attributes, &salt).flag(&flag_line(condition))?;
    let (before, after) = flag_line("@").split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    Ok(line.strip_prefix(&before).unwrap().strip_suffix(&after).unwrap().to_owned())
}

// The digests are of `sha256sum` over operand and salt, cut to 32 digits.
#[test]
fn conditions_are_redacted_and_nothing_of_them_is_left_out() {
    for (condition, expected) in [
        (
            r#"{"attr":"country","in":["DE"],"contains":["x"]}"#,
            r#"{"attr":"country","in":["DE"],"contains":["x"]}"#,
        ),
        (r#"{"attr":"app.version","semver":">=1.0.0"}"#, r#"{"attr":"app.version","semver":">=1.0.0"}"#),
        (
            r#"{"attr":"email","ends":["@acme.com"]}"#,
            r#"{"attr":"email","hashed":{"salt":"k3f9","ends":[[9,"b0243bd6035574cb7e1f7cccf6e9065d"]]}}"#,
        ),
        (
            r#"{"attr":"email","starts":["mina"],"absent":true}"#,
            r#"{"attr":"email","hashed":{"salt":"k3f9","starts":[[4,"370e37283474341717df7a22fbcd39d2"]]},"absent":true}"#,
        ),
        // By length, then by digest.
        (
            r#"{"attr":"email","ends":["@acme.com","a@acme.com","b@acme.com"]}"#,
            r#"{"attr":"email","hashed":{"salt":"k3f9","ends":[[9,"b0243bd6035574cb7e1f7cccf6e9065d"],[10,"431fad63e95929677613f08200fc0495"],[10,"de709d6e33f9fa7e0e3907dfdf49c3eb"]]}}"#,
        ),
        // `in` is false of another type, `hashed` is not.
        (
            r#"{"attr":"email","in":["a@acme.com","b@acme.com"]}"#,
            r#"{"any":[{"attr":"email","in":[]},{"attr":"email","hashed":{"salt":"k3f9","in":["431fad63e95929677613f08200fc0495","de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}"#,
        ),
        (
            r#"{"attr":"email","in":[true,7,"a@acme.com"],"absent":true}"#,
            r#"{"any":[{"attr":"email","in":[true,7],"absent":true},{"attr":"email","hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}"#,
        ),
        (
            r#"{"attr":"email","as":"string","fold":"ascii","exists":true,"in":["a@acme.com"]}"#,
            r#"{"any":[{"attr":"email","as":"string","fold":"ascii","exists":true,"in":[]},{"attr":"email","as":"string","fold":"ascii","exists":true,"hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}"#,
        ),
        (
            r#"{"attr":"email","fold":"ascii","ends":["@acme.com"]}"#,
            r#"{"attr":"email","fold":"ascii","hashed":{"salt":"k3f9","ends":[[9,"b0243bd6035574cb7e1f7cccf6e9065d"]]}}"#,
        ),
        // In an `any` it needs none of its own; below a `not` it does.
        (
            r#"{"any":[{"attr":"email","in":["a@acme.com"]},{"attr":"country","in":["DE"]}]}"#,
            r#"{"any":[{"attr":"email","in":[]},{"attr":"email","hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false},{"attr":"country","in":["DE"]}]}"#,
        ),
        (
            r#"{"not":{"attr":"email","in":["a@acme.com"]}}"#,
            r#"{"not":{"any":[{"attr":"email","in":[]},{"attr":"email","hashed":{"salt":"k3f9","in":["de709d6e33f9fa7e0e3907dfdf49c3eb"]},"absent":false}]}}"#,
        ),
        // What says nothing stays.
        (r#"{"attr":"email","exists":true}"#, r#"{"attr":"email","exists":true}"#),
        (r#"{"attr":"email","in":[1,2]}"#, r#"{"attr":"email","in":[1,2]}"#),
        (
            r#"{"attr":"email","since":"2026-01-01T00:00:00Z","before":"2027-01-01T00:00:00Z"}"#,
            r#"{"attr":"email","since":"2026-01-01T00:00:00Z","before":"2027-01-01T00:00:00Z"}"#,
        ),
        // Keys of segments are opaque, and sorted as such. A unit is the client's own.
        (
            r#"{"segment":["beta","inner","staff"]}"#,
            r#"{"segment":["s:20d41b530c5177dd","s:802687eac2ae6e6a","s:cec924e476eaeee4"]}"#,
        ),
        (
            r#"{"bucket":{"by":"ssn","salt":"s","in":[[0,500]]},"absent":false}"#,
            r#"{"bucket":{"by":"ssn","salt":"s","in":[[0,500]]},"absent":false}"#,
        ),
        (r#"{"flag":"g","is":["on"]}"#, r#"{"flag":"g","is":["on"]}"#),
        (r#"{"time":{"since":"2026-01-01T00:00:00Z"}}"#, r#"{"time":{"since":"2026-01-01T00:00:00Z"}}"#),
    ] {
        assert_eq!(redacted(condition).as_deref(), Ok(expected), "{condition}");
    }
}

#[test]
fn what_a_public_view_can_not_show_is_told_with_what_to_do() {
    for (condition, says) in [
        (r#"{"attr":"plan","in":["pro"]}"#, "declare `plan` public or hashed"),
        (r#"{"attr":"ssn","exists":true}"#, "declare `ssn` public or hashed"),
        (r#"{"attr":"country","listed":"l"}"#, "use `in` with at most 1,000 keys"),
        (r#"{"attr":"email","contains":["acme"]}"#, "declare `email` public"),
        (r#"{"attr":"email","matches":"acme"}"#, "declare `email` public"),
        (r#"{"attr":"email","has_all":["acme"]}"#, "declare `email` public"),
        (r#"{"attr":"email","cidr":["10.0.0.0/8"]}"#, "declare `email` public"),
        (r#"{"attr":"targetingKey","in":[4711]}"#, "pass and write such ids as texts"),
        (r#"{"attr":"targetingKey","in":["u-1",4711]}"#, "pass and write such ids as texts"),
        (r#"{"attr":"email","ends":["com"]}"#, "use at least 4"),
        (r#"{"attr":"email","starts":["mina"],"ends":["@acme.com"]}"#, "write two conditions"),
        (r#"{"attr":"email","in":["mina"],"gt":5}"#, "write two conditions"),
        (r#"{"attr":"country","later":["x"]}"#, ""),
        (r#"{"later":["x"]}"#, "take it out"),
    ] {
        if says.is_empty() {
            assert!(redacted(condition).is_ok(), "an operand of a public attribute is nobody's secret");
            continue;
        }
        let unfit = redacted(condition).unwrap_err();
        assert!(unfit[0].to_string().contains(says), "{condition}: {}", unfit[0]);
    }
    assert!(redacted(r#"{"attr":"email","ends":["1234"]}"#).is_ok(), "4 bytes are enough");
}

#[test]
fn hashing_that_would_nest_too_deep_is_refused_and_what_fits_is_not() {
    let nested = |depth: usize| {
        format!(
            "{}{}{}",
            r#"{"all":["#.repeat(depth),
            r#"{"attr":"email","in":["mina"]}"#,
            "]}".repeat(depth)
        )
    };
    assert!(redacted(&nested(7)).is_ok());
    assert_eq!(redacted(&nested(8)), Err(vec![Unfit::Nesting { depth: 9 }]));
}

#[test]
fn a_line_without_hashed_attributes_is_only_rid_of_what_is_nobodys_business() {
    let (attributes, salt) = (attributes(), salt());
    let redactor = Redactor::new(&attributes, &salt);
    let line = r#"{"flag":"f","type":"json","rev":7,"on":true,"values":{"off":null,"on":{"attr":"ssn","x":1e+21}},"off":"off","needs":[{"flag":"g","is":["on"]}],"rules":[{"id":"r","if":[{"attr":"country","in":["DE"]}],"split":{"by":"org.key","salt":"s","ranges":[[0,5,"on"]]},"exp":"f.1"}],"fallthrough":"off","meta":{"owner":"ann"}}"#;
    assert_eq!(redactor.flag(line).unwrap(), line.replace(r#","meta":{"owner":"ann"}"#, ""));
    let environment = r#"{"environment":"production","project":"shop","view":"client","private":["ssn"]}"#;
    assert_eq!(redactor.environment(environment).unwrap(), environment.replace(r#","private":["ssn"]"#, ""));
    for (context, shown) in [
        (r#"{"country":"DE","app":{"version":"1.0.0"}}"#, true),
        ("{}", true),
        (r#"{"country":"DE","email":"a@acme.com"}"#, false),
        (r#"{"targetingKey":"u-13"}"#, false),
        (r#"{"user":{}}"#, false),
        (r#"{"user":{"name":"x"}}"#, false),
    ] {
        let check = format!(
            r#"{{"check":"f/1","flag":"f","at":"2026-01-01T00:00:00Z","context":{context},"expect":{{}}}}"#
        );
        assert_eq!(redactor.shows_check(&check), shown, "{context}");
    }
}

#[test]
fn a_tracked_rule_does_not_count_by_what_is_declared_private() {
    let (attributes, salt) = (attributes(), salt());
    let redactor = Redactor::new(&attributes, &salt);
    let line = |by: &str, exp: &str| {
        format!(
            r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"on":true}},"rules":[{{"id":"r","split":{{{by}"salt":"s","ranges":[[0,5,"on"]]}}{exp}}}]}}"#
        )
    };
    let private = Unfit::PrivateUnit { path: "ssn".into(), rule: "r".into() };
    assert_eq!(redactor.flag(&line(r#""by":"ssn","#, r#","exp":"e.1""#)), Err(vec![private]));
    for (by, exp) in
        [(r#""by":"ssn","#, ""), (r#""by":"org.key","#, r#","exp":"e.1""#), ("", r#","exp":"e.1""#)]
    {
        assert!(redactor.flag(&line(by, exp)).is_ok(), "{by} {exp}: not declared private, or not tracked");
    }
}

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
fn furnished() -> Project {
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

fn heads(lines: &[String]) -> Vec<&str> {
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

#[test]
fn views_that_answer_otherwise_are_told_apart() {
    let keyed = [
        r#"{"environment":"production","project":"shop","view":"server"}"#,
        r#"{"flag":"f","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"r","if":[{"attr":"country","in":["DE"]},{"attr":"age","gte":18}],"serve":"on"}],"fallthrough":"off"}"#,
    ];
    let now = Instant::from_millis(0);
    let compared = |public: [String; 2]| {
        compare(keyed.iter().map(|line| line.as_bytes()), public.iter().map(String::as_bytes), &["f"], now)
    };
    assert!(compared(keyed.map(str::to_owned)).unwrap() >= 40);
    for (from, to) in [
        (r#"["DE"]"#, r#"["AT"]"#),
        (r#""gte":18"#, r#""gt":18"#),
        (r#"{"attr":"age","gte":18}"#, r#"{"attr":"age","gte":18,"absent":true}"#),
        (r#",{"attr":"age","gte":18}"#, ""),
        (r#""id":"r""#, r#""id":"s""#),
        (r#""on":true,"values""#, r#""on":false,"values""#),
    ] {
        let changed = keyed.map(|line| line.replace(from, to));
        assert_eq!(compared(changed).unwrap_err().flag, "f", "{from} → {to}");
    }
}

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

/// Numbers that look random and are the same each time (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// Tests on the hashed attribute `email`, such as a line has them.
    fn leaf(&mut self) -> String {
        let fold = self.below(3) == 0;
        let modifiers = [
            self.one(&["", "", "", r#""as":"string","#, r#""as":"number","#]),
            if fold { r#""fold":"ascii","# } else { "" },
        ];
        let exists = self.one(&["", "", "", r#""exists":true,"#, r#""exists":false,"#]);
        let tests = match self.below(4) {
            0 => format!(
                r#"{exists}"in":[{}]"#,
                self.one(&[
                    r#""mina""#,
                    r#""mina","ulla""#,
                    r#"true,7,"mina""#,
                    "false,7",
                    r#""7","true""#,
                    ""
                ])
            ),
            1 => self
                .one(&[r#""starts":["mina"]"#, r#""starts":["mina","ulla@"],"gt":5"#, r#""starts":[]"#])
                .to_owned(),
            2 => self
                .one(&[r#""ends":["a@acme.com"]"#, r#""ends":["mina","1234"],"semver":">=1.0.0""#])
                .to_owned(),
            _ => format!(r#"{exists}"gt":5"#),
        };
        // Beside another test than these there is no fold.
        let fold_fits = !fold
            || ["in", "starts", "ends"].iter().any(|test| tests.contains(&format!("\"{test}\":")))
                && !["exists", "gt", "semver"].iter().any(|test| tests.contains(&format!("\"{test}\":")));
        let modifiers = if fold_fits { modifiers.concat() } else { modifiers[0].to_owned() };
        let absent = self.one(&["", "", r#","absent":true"#, r#","absent":false"#]);
        format!(r#"{{"attr":"email",{modifiers}{tests}{absent}}}"#)
    }

    fn condition(&mut self, depth: u64) -> String {
        match self.below(if depth == 0 { 1 } else { 4 }) {
            1 => format!(r#"{{"not":{}}}"#, self.condition(depth - 1)),
            2 => format!(r#"{{"any":[{},{}]}}"#, self.condition(depth - 1), self.condition(depth - 1)),
            3 => format!(r#"{{"all":[{},{}]}}"#, self.condition(depth - 1), self.condition(depth - 1)),
            _ => self.leaf(),
        }
    }

    fn value(&mut self) -> String {
        let scalars = [
            r#""mina""#,
            r#""MINA""#,
            r#""ulla""#,
            r#""ulla@acme.com""#,
            r#""7""#,
            r#""1234""#,
            r#""2.0.0-mina""#,
            r#""""#,
            "7",
            "8",
            "7.5",
            "true",
            "false",
            "null",
            "{}",
            "[]",
        ];
        match self.below(3) {
            0 => format!("[{},{}]", self.one(&scalars), self.one(&scalars)),
            _ => self.one(&scalars).to_owned(),
        }
    }
}

#[test]
fn hashed_conditions_answer_like_those_they_stand_for() {
    let mut random = Random(5);
    let (attributes, salt) = (attributes(), salt());
    let redactor = Redactor::new(&attributes, &salt);
    let now = Instant::from_millis(0);
    let (mut compared, mut hashed, mut served) = (0_u32, 0_u32, [0_u32; 2]);
    for _ in 0..1_500 {
        let line = flag_line(&random.condition(3));
        let Ok(public) = redactor.flag(&line) else { continue };
        hashed += u32::from(public.contains("\"hashed\""));
        let (before, report) = Snapshot::compile([line.as_bytes()]);
        assert!(report.is_clean(), "{line}");
        let (after, report) = Snapshot::compile([public.as_bytes()]);
        assert!(report.is_clean(), "{public}");
        for _ in 0..40 {
            let context = match random.below(8) {
                0 => "{}".to_owned(),
                _ => format!(r#"{{"email":{}}}"#, random.value()),
            };
            let parsed = Context::from_json(&json(&context)).unwrap();
            let (left, right) =
                (before.evaluate("f", None, &parsed, now), after.evaluate("f", None, &parsed, now));
            assert_eq!(
                (left.variation, left.reason, left.rule),
                (right.variation, right.reason, right.rule),
                "{context}\n{line}\n{public}"
            );
            served[usize::from(left.rule.is_some())] += 1;
            compared += 1;
        }
    }
    assert!(compared >= 40_000 && hashed >= 800, "{compared} {hashed}");
    assert!(served.iter().all(|count| *count >= 4_000), "{served:?}");
}
