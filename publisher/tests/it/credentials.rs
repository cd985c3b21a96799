//! Tokens and SDK keys: what the log keeps of them, and their limits.

use flagstone_model::digest::Digest;
use flagstone_model::key::EnvironmentId;
use flagstone_publisher::log::{Entity, SdkKeyId, TokenId};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{
    self, MAX_SDK_KEYS, MAX_TOKEN_LIFE_MS, MAX_TOKENS, New, Refusal, Terms,
};

use super::project::{Project, json, production, salt, told};

const NOW_MS: i64 = 1_795_262_400_000;

fn token(id: &str, body: &str) -> New<TokenId> {
    New {
        id: TokenId::parse(id).unwrap(),
        sha256: Digest::of(id.as_bytes()),
        body: json(body),
        now_ms: NOW_MS,
    }
}

fn key(id: &str) -> New<SdkKeyId> {
    New {
        id: SdkKeyId::parse(id).unwrap(),
        sha256: Digest::of(id.as_bytes()),
        body: json("{}"),
        now_ms: NOW_MS,
    }
}

#[test]
fn a_log_keeps_the_digest_of_a_secret_and_when_it_was_made() {
    let mut project = Project::new();
    project.record(
        change::create_token(&project.state, &token("t_1", r#"{"name":"a","role":"editor"}"#)).unwrap(),
    );
    project.record(change::create_sdk_key(&project.state, &production(), &key("k_1")).unwrap());
    let kept: Vec<String> = project.entries[1..]
        .iter()
        .map(|entry| {
            let state = entry.read_data().unwrap().unwrap().states.remove(0);
            format!("{} {state}", entry.header.changes[0].entity)
        })
        .collect();
    // printf t_1 | sha256sum; printf k_1 | sha256sum
    assert_eq!(
        kept,
        [
            r#"token/t_1 {"authored":{"name":"a","role":"editor"},"created":"2026-11-21T12:00:00Z","sha256":"be8dcefb61dddd9fbf05daa64cf5bcd61a880dee08766957dbd63fb1fd715620"}"#,
            r#"sdk-key/production/k_1 {"authored":{},"created":"2026-11-21T12:00:00Z","sha256":"1bdfdabfb7ccb3ecd072390b4f954b97ccb686ade76289f056d4630fd427c804"}"#,
        ]
    );
}

#[test]
fn a_state_read_from_its_lines_knows_the_same_tokens_and_keys() {
    let mut project = Project::new();
    for id in ["t_1", "t_2"] {
        let new = token(id, r#"{"name":"a","role":"viewer","environments":["production"]}"#);
        project.record(change::create_token(&project.state, &new).unwrap());
    }
    project.record(change::create_sdk_key(&project.state, &production(), &key("k_1")).unwrap());
    let revoked = TokenId::parse("t_1").unwrap();
    project.record(change::revoke_token(&project.state, &revoked, Terms::default()).unwrap());
    let read = State::from_lines(project.state.id(), &project.state.to_lines().unwrap()).unwrap();
    for state in [&project.state, &project.refolded(), &read] {
        let all: Vec<_> = state.all_tokens().collect();
        assert_eq!(all, project.state.all_tokens().collect::<Vec<_>>());
        assert_eq!(state.tokens().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["t_2"]);
        assert_eq!(state.sdk_keys(&production()).map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["k_1"]);
        assert_eq!(state.place(&Entity::Token(revoked.clone())), (2, 5));
    }
}

#[test]
fn a_revocation_whose_data_were_erased_still_revokes() {
    let mut project = Project::new();
    let (id, environment) = (TokenId::parse("t_1").unwrap(), production());
    project.record(
        change::create_token(&project.state, &token("t_1", r#"{"name":"a","role":"admin"}"#)).unwrap(),
    );
    project.record(change::create_sdk_key(&project.state, &environment, &key("k_1")).unwrap());
    project.record(change::revoke_token(&project.state, &id, Terms::default()).unwrap());
    let gone = SdkKeyId::parse("k_1").unwrap();
    project.record(change::revoke_sdk_key(&project.state, &environment, &gone, Terms::default()).unwrap());
    let mut state = State::new(project.state.id().clone());
    for entry in &project.entries {
        let mut entry = entry.clone();
        if entry.seq() > 3 {
            entry.data = None;
        }
        state.apply(&entry).unwrap();
    }
    assert_eq!(state.tokens().count() + state.sdk_keys(&environment).count(), 0);
}

#[test]
fn a_project_has_so_many_tokens_that_are_not_over() {
    let mut project = Project::new();
    let body = r#"{"name":"a","role":"viewer","expires":"2026-11-21T12:00:01Z"}"#;
    for number in 0..MAX_TOKENS {
        let new = token(&format!("t_{number}"), body);
        project.record(change::create_token(&project.state, &new).unwrap());
    }
    let one_more = token("t_more", body);
    let refused = change::create_token(&project.state, &one_more).unwrap_err();
    assert_eq!(refused.code(), "too-many-tokens");
    let later =
        New { now_ms: NOW_MS + 1_000, body: json(r#"{"name":"a","role":"viewer"}"#), ..one_more.clone() };
    assert!(change::create_token(&project.state, &later).is_ok());
    let first = TokenId::parse("t_0").unwrap();
    project.record(change::revoke_token(&project.state, &first, Terms::default()).unwrap());
    assert!(change::create_token(&project.state, &one_more).is_ok());
}

#[test]
fn a_token_ends_within_ten_years() {
    let project = Project::new();
    let ends = |at_ms: i64| {
        let expires = flagstone_model::instant::Instant::from_millis(at_ms);
        let body = format!(r#"{{"name":"a","role":"viewer","expires":"{expires}"}}"#);
        change::create_token(&project.state, &token("t_1", &body))
    };
    for good in [NOW_MS + 1, NOW_MS + MAX_TOKEN_LIFE_MS] {
        assert!(ends(good).is_ok());
    }
    for bad in [NOW_MS - 1, NOW_MS, NOW_MS + MAX_TOKEN_LIFE_MS + 1] {
        assert_eq!(told(ends(bad)), [("invalid-request", "/expires".to_owned())]);
    }
}

#[test]
fn an_environment_has_two_keys_and_each_environment_its_own() {
    let mut project = Project::new();
    project
        .record(change::create_environment(&project.state, &json(r#"{"id":"staging"}"#), &salt()).unwrap());
    for number in 0..MAX_SDK_KEYS {
        let new = key(&format!("k_{number}"));
        project.record(change::create_sdk_key(&project.state, &production(), &new).unwrap());
    }
    let third = change::create_sdk_key(&project.state, &production(), &key("k_more")).unwrap_err();
    assert!(matches!(third, Refusal::TooManyKeys));
    let staging = EnvironmentId::parse("staging").unwrap();
    assert!(change::create_sdk_key(&project.state, &staging, &key("k_more")).is_ok());
    let elsewhere = SdkKeyId::parse("k_0").unwrap();
    let refused = change::revoke_sdk_key(&project.state, &staging, &elsewhere, Terms::default()).unwrap_err();
    assert_eq!(refused.code(), "key-not-found");
}
