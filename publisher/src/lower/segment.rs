//! From an authored segment to its line, and the line of an environment.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId, SegmentKey, ViewId};

use crate::author::{Condition, Segment};

/// The line of a segment, without its newline (FORMAT M-1.6).
pub fn lower_segment(key: &SegmentKey, segment: &Segment) -> String {
    let conditions = segment.conditions();
    let when = (!conditions.is_empty())
        .then(|| ("if", conditions.iter().map(Condition::lower).collect::<Json<'_>>()));
    Json::object([("segment", Json::from(key.as_str()))].into_iter().chain(when)).to_string()
}

/// The line of an environment, without its newline (FORMAT M-1.5). `private` are paths, in the order of their text.
pub fn lower_environment<'a>(
    environment: &EnvironmentId,
    project: &ProjectId,
    view: &ViewId,
    private: impl IntoIterator<Item = &'a str>,
) -> String {
    let private: Vec<_> = private.into_iter().map(Json::from).collect();
    let private = (!private.is_empty()).then_some(("private", Json::Array(private)));
    let members = [
        ("environment", Json::from(environment.as_str())),
        ("project", Json::from(project.as_str())),
        ("view", Json::from(view.as_str())),
    ];
    Json::object(members.into_iter().chain(private)).to_string()
}
