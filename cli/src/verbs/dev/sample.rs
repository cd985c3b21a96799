//! The sample project of the first start.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, SegmentKey};
use flagstone_publisher::control::{ControlError, ControlPlane, Operation, Precondition, Write};
use flagstone_publisher::log::{Actor, ActorKind};

use crate::failure::{Failure, sentence};

/// The flag that what is printed at the start switches.
pub(super) const FIRST_FLAG: &str = "welcome-banner";

const PROJECT: &str = r#"{"id":"demo","name":"Demo"}"#;
const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
const FLAGS: [&str; 3] = [
    r#"{"key":"welcome-banner","type":"bool","kind":"ops","description":"Greets everybody; switch it off to see a kill switch work","owner":"demo"}"#,
    r#"{"key":"search-ranking","type":"string","variations":{"classic":"classic","neural":"neural"},"kind":"experiment","description":"A rollout: one fifth of all users get the neural ranking","owner":"demo"}"#,
    r#"{"key":"beta-dashboard","type":"bool","kind":"permission","description":"A rule: on for the segment `staff`, off for everybody else","owner":"demo"}"#,
];
const STAFF: &str = r#"{"rules":[{"if":[{"attr":"email","ends":["@example.com"]}]}]}"#;
const TARGETINGS: [(&str, &str); 3] = [
    ("welcome-banner", r#"{"on":true,"off":"off","fallthrough":{"serve":"on"}}"#),
    (
        "search-ranking",
        r#"{"on":true,"off":"classic","fallthrough":{"rollout":{"by":"targetingKey","weights":{"neural":20000,"classic":80000}}}}"#,
    ),
    (
        "beta-dashboard",
        r#"{"on":true,"off":"off","rules":[{"id":"staff","if":[{"segment":["staff"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#,
    ),
];

/// Writes the sample project, unless the log is past it.
///
/// Each change has an id of its own, so that two processes at once, and one that was killed half-way, write it once.
pub(super) async fn write(control: &ControlPlane) -> Result<(), Failure> {
    let changes = changes()?;
    let seq = control.state().await.map_err(|error| sentence(error.code(), &error))?.seq();
    let already = usize::try_from(seq).unwrap_or(usize::MAX) >= changes.len();
    if already {
        return Ok(());
    }
    for (number, (bytes, operation)) in (1..).zip(changes) {
        let write = Write {
            actor: Actor { kind: ActorKind::System, id: "dev".to_owned(), via: "dev".to_owned() },
            actor_name: None,
            request_id: Some(format!("sample-{number}")),
            request_bytes: bytes.into_bytes(),
            reason: Some("sample project".to_owned()),
            precondition: Precondition::Any,
            confirm: true,
            wait: false,
            until: None,
        };
        match control.write(operation, write).await {
            Ok(_) => {}
            Err(error) if is_there(&error) => {}
            Err(error) => return Err(sentence(error.code(), &error)),
        }
    }
    for environment in ENVIRONMENTS.iter().filter_map(|id| EnvironmentId::parse(id).ok()) {
        control.publish(&environment).await.map_err(|error| sentence(error.code(), &error))?;
    }
    Ok(())
}

fn is_there(error: &ControlError) -> bool {
    matches!(error.code(), "already-exists" | "key-retired")
}

fn changes() -> Result<Vec<(String, Operation)>, Failure> {
    let json = |text: &str| {
        Json::parse(text.as_bytes())
            .map(Json::into_owned)
            .map_err(|error| Failure::refused("sample", format!("the sample project is wrong: {error}")))
    };
    let key = |error: flagstone_model::key::KeyError| Failure::refused("sample", error.to_string());
    let mut changes = vec![(PROJECT.to_owned(), Operation::CreateProject(json(PROJECT)?))];
    for id in ENVIRONMENTS {
        let body = format!("{{\"id\":\"{id}\"}}");
        let operation = Operation::CreateEnvironment(json(&body)?);
        changes.push((body, operation));
    }
    for body in FLAGS {
        changes.push((body.to_owned(), Operation::CreateFlag(json(body)?)));
    }
    for id in ENVIRONMENTS {
        let environment = EnvironmentId::parse(id).map_err(key)?;
        let segment = SegmentKey::parse("staff").map_err(key)?;
        let operation = Operation::PutSegment(environment.clone(), segment, json(STAFF)?);
        changes.push((format!("{id} staff {STAFF}"), operation));
        for (flag, body) in TARGETINGS {
            let flag = FlagKey::parse(flag).map_err(key)?;
            let bytes = format!("{id} {flag} {body}");
            changes.push((bytes, Operation::PutTargeting(environment.clone(), flag, json(body)?)));
        }
    }
    Ok(changes)
}
