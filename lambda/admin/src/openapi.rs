//! The OpenAPI document, assembled from one fragment for each area.
//!
//! A fragment has `paths` and `components`, as the document has them; `common.json` has the rest. What many operations
//! have in common is written once, under its `x-uses`: an operation takes parts in by name, with `"x-uses":["write"]`,
//! and every operation under `/v1` takes in `v1`. The parameters of a path are those of its template, each of them a
//! component of the same name. What is served is plain OpenAPI 3.1 without any of this.

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flagstone_model::json::{Json, JsonError};

use crate::answer;
use crate::problem::Problem;

/// Each area, and its fragment. The first one has what belongs to none.
const FRAGMENTS: &[(&str, &str)] = &[
    ("common.json", include_str!("../openapi/common.json")),
    ("flags.json", include_str!("../openapi/flags.json")),
    ("environments.json", include_str!("../openapi/environments.json")),
    ("targeting.json", include_str!("../openapi/targeting.json")),
    ("segments.json", include_str!("../openapi/segments.json")),
    ("lists.json", include_str!("../openapi/lists.json")),
    ("experiments.json", include_str!("../openapi/experiments.json")),
    ("evaluate.json", include_str!("../openapi/evaluate.json")),
    ("explain.json", include_str!("../openapi/explain.json")),
    ("preview.json", include_str!("../openapi/preview.json")),
    ("publication.json", include_str!("../openapi/publication.json")),
    ("log.json", include_str!("../openapi/log.json")),
    ("erase.json", include_str!("../openapi/erase.json")),
    ("doctor.json", include_str!("../openapi/doctor.json")),
    ("changes.json", include_str!("../openapi/changes.json")),
    ("tokens.json", include_str!("../openapi/tokens.json")),
    ("keys.json", include_str!("../openapi/keys.json")),
    ("views.json", include_str!("../openapi/views.json")),
];

/// Where the parts stand that operations take in, and how an operation names them.
const USES: &str = "x-uses";
/// The part that every operation under `/v1` takes in.
const V1: &str = "v1";
/// The part that every response takes in.
const EVERY_RESPONSE: &str = "every-response";
/// The members of a path item that are operations.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

static DOCUMENT: LazyLock<Result<String, AssemblyError>> =
    LazyLock::new(|| assemble(FRAGMENTS).map(|document| document.to_string()));

/// Why fragments make no document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum AssemblyError {
    /// A fragment is no JSON.
    #[error("the fragment {fragment} is not readable")]
    Json {
        /// Which.
        fragment: &'static str,
        /// What is wrong.
        source: JsonError,
    },
    /// A fragment has a member that belongs elsewhere, or is no object.
    #[error("the fragment {fragment} has `{member}`, which does not belong there or is no object")]
    Member {
        /// Which.
        fragment: &'static str,
        /// The member.
        member: String,
    },
    /// Two fragments say the same thing.
    #[error("the fragment {fragment} has `{name}` a second time")]
    Twice {
        /// The later one.
        fragment: &'static str,
        /// The path, or the component.
        name: String,
    },
    /// An operation takes in what is not there.
    #[error("{path} takes in `{part}`, which common.json does not have")]
    Part {
        /// The path.
        path: String,
        /// The part.
        part: String,
    },
    /// A path has a parameter that no fragment describes.
    #[error("{path} has the parameter `{parameter}`, which no fragment has under components.parameters")]
    Parameter {
        /// The path.
        path: String,
        /// The parameter.
        parameter: String,
    },
}

impl AssemblyError {
    /// The stable code of this error.
    const fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "openapi-unreadable",
            Self::Member { .. } => "openapi-member",
            Self::Twice { .. } => "openapi-twice",
            Self::Part { .. } => "openapi-part",
            Self::Parameter { .. } => "openapi-parameter",
        }
    }
}

/// `GET /openapi.json`: for everybody, since it says no more than the documentation does.
pub(crate) async fn read() -> Response {
    match &*DOCUMENT {
        Ok(document) => answer::json(StatusCode::OK, document.clone()),
        Err(error) => {
            tracing::error!(
                target: "flagstone_admin",
                code = error.code(),
                error = error as &(dyn std::error::Error + 'static),
                "there is no OpenAPI document"
            );
            Problem::internal().into_response()
        }
    }
}

type Members = Vec<(Cow<'static, str>, Json<'static>)>;

fn assemble(fragments: &[(&'static str, &'static str)]) -> Result<Json<'static>, AssemblyError> {
    let (mut head, mut paths, mut components) = (Members::new(), Members::new(), Members::new());
    for (index, (fragment, text)) in fragments.iter().enumerate() {
        let json = Json::parse(text.as_bytes()).map_err(|source| AssemblyError::Json { fragment, source })?;
        for (name, value) in members(fragment, "", json.into_owned())? {
            match &*name {
                "paths" => add(fragment, &mut paths, members(fragment, &name, value)?)?,
                "components" => {
                    for (kind, these) in members(fragment, &name, value)? {
                        let these = members(fragment, &kind, these)?;
                        match find(&mut components, &kind) {
                            Some(Json::Object(present)) => add(fragment, present, these)?,
                            _ => components.push((kind, Json::Object(these))),
                        }
                    }
                }
                _ if index == 0 => head.push((name, value)),
                _ => return Err(AssemblyError::Member { fragment, member: name.into_owned() }),
            }
        }
    }
    let parts = take(&mut head, USES).unwrap_or(Json::Null);
    for (path, item) in &mut paths {
        complete(path, item, &parts, &components)?;
    }
    let shared = parts.member(EVERY_RESPONSE).cloned().unwrap_or(Json::Null);
    if let Some(Json::Object(responses)) = find(&mut components, "responses") {
        for (_, response) in responses {
            merge(response, &shared);
        }
    }
    for (_, item) in &mut paths {
        for operation in operations(item) {
            if let Some(Json::Object(responses)) = find(operation, "responses") {
                for (_, response) in responses.iter_mut().filter(|(_, one)| one.member("$ref").is_none()) {
                    merge(response, &shared);
                }
            }
        }
    }
    head.push(("paths".into(), Json::Object(paths)));
    head.push(("components".into(), Json::Object(components)));
    Ok(Json::Object(head))
}

/// Gives a path its parameters, and its operations what they take in.
fn complete(
    path: &str,
    item: &mut Json<'static>,
    parts: &Json<'static>,
    components: &Members,
) -> Result<(), AssemblyError> {
    for operation in operations(item) {
        let own = take(operation, USES);
        let own = own.as_ref().and_then(Json::as_array).unwrap_or_default().iter().filter_map(Json::as_str);
        let v1 = path.starts_with("/v1/").then_some(V1);
        let mut whole = Json::Object(std::mem::take(operation));
        for name in v1.into_iter().chain(own) {
            let Some(part) = parts.member(name) else {
                return Err(AssemblyError::Part { path: path.to_owned(), part: name.to_owned() });
            };
            merge(&mut whole, part);
        }
        if let Json::Object(members) = whole {
            *operation = members;
        }
    }
    let described = components.iter().find(|(kind, _)| kind == "parameters").map(|(_, all)| all);
    let mut parameters = Vec::new();
    for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        if described.and_then(|all| all.member(name)).is_none() {
            return Err(AssemblyError::Parameter { path: path.to_owned(), parameter: name.to_owned() });
        }
        let reference = Json::from(format!("#/components/parameters/{name}"));
        parameters.push(Json::object([("$ref", reference)]));
    }
    if let (Json::Object(item), false) = (item, parameters.is_empty()) {
        item.insert(0, ("parameters".into(), Json::Array(parameters)));
    }
    Ok(())
}

/// The operations of a path item.
fn operations<'i>(item: &'i mut Json<'static>) -> impl Iterator<Item = &'i mut Members> {
    let members = if let Json::Object(members) = item { &mut members[..] } else { &mut [] };
    members.iter_mut().filter_map(|(name, operation)| match operation {
        Json::Object(operation) if METHODS.contains(&&**name) => Some(operation),
        _ => None,
    })
}

/// Adds what `part` has and `whole` has not: members of objects, elements of arrays. What stands there wins.
fn merge(whole: &mut Json<'static>, part: &Json<'static>) {
    match (whole, part) {
        (Json::Object(whole), Json::Object(part)) => {
            for (name, value) in part {
                match find(whole, name) {
                    Some(present) => merge(present, value),
                    None => whole.push((name.clone(), value.clone())),
                }
            }
        }
        (Json::Array(whole), Json::Array(part)) => whole.extend(part.iter().cloned()),
        _ => {}
    }
}

fn members(fragment: &'static str, member: &str, json: Json<'static>) -> Result<Members, AssemblyError> {
    match json {
        Json::Object(members) => Ok(members),
        _ => Err(AssemblyError::Member { fragment, member: member.to_owned() }),
    }
}

fn add(fragment: &'static str, all: &mut Members, these: Members) -> Result<(), AssemblyError> {
    for (name, value) in these {
        if find(all, &name).is_some() {
            return Err(AssemblyError::Twice { fragment, name: name.into_owned() });
        }
        all.push((name, value));
    }
    Ok(())
}

fn find<'m>(members: &'m mut Members, name: &str) -> Option<&'m mut Json<'static>> {
    members.iter_mut().find(|(present, _)| present == name).map(|(_, value)| value)
}

fn take(members: &mut Members, name: &str) -> Option<Json<'static>> {
    let at = members.iter().position(|(present, _)| present == name)?;
    Some(members.remove(at).1)
}

/// The paths of the document.
#[cfg(test)]
pub(crate) fn paths() -> std::collections::BTreeSet<String> {
    let document = assemble(FRAGMENTS).unwrap();
    document
        .member("paths")
        .and_then(Json::as_object)
        .unwrap()
        .iter()
        .map(|(path, _)| path.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragments_make_a_document_and_all_of_them_are_listed() {
        let document = assemble(FRAGMENTS).unwrap();
        assert_eq!(document.member("openapi").and_then(Json::as_str), Some("3.1.0"));
        assert!(document.member(USES).is_none() && !document.to_string().contains(USES));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut listed: Vec<String> = FRAGMENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        there.sort();
        listed.sort();
        assert_eq!(there, listed, "each file of lambda/admin/openapi stands in FRAGMENTS");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        fn references(json: &Json<'_>, all: &mut Vec<String>) {
            match json {
                Json::Object(members) => {
                    for (name, value) in members {
                        match value.as_str() {
                            Some(target) if name == "$ref" => all.push(target.to_owned()),
                            _ => references(value, all),
                        }
                    }
                }
                Json::Array(elements) => {
                    for element in elements {
                        references(element, all);
                    }
                }
                _ => {}
            }
        }
        let document = assemble(FRAGMENTS).unwrap();
        let mut used = Vec::new();
        references(&document, &mut used);
        let mut there = Vec::new();
        for (kind, these) in document.member("components").and_then(Json::as_object).unwrap() {
            for (name, _) in these.as_object().unwrap() {
                there.push(format!("#/components/{kind}/{name}"));
            }
        }
        for target in &used {
            assert!(there.contains(target), "{target} is referred to and not there");
        }
        // Named without `$ref`, and: what every path answers to a method it does not have.
        let unnamed = ["#/components/securitySchemes/token", "#/components/responses/MethodNotAllowed"];
        for target in there.iter().filter(|target| !unnamed.contains(&target.as_str())) {
            assert!(used.contains(target), "nothing refers to {target}");
        }
    }

    #[test]
    fn what_two_fragments_say_or_nobody_describes_is_refused() {
        let common = (
            "common.json",
            r#"{"openapi":"3.1.0","x-uses":{"v1":{}},"paths":{"/a":{}},"components":{"schemas":{"A":{}}}}"#,
        );
        for (fragment, code) in [
            ("{", "openapi-unreadable"),
            ("[]", "openapi-member"),
            (r#"{"info":{}}"#, "openapi-member"),
            (r#"{"paths":[]}"#, "openapi-member"),
            (r#"{"paths":{"/a":{}}}"#, "openapi-twice"),
            (r#"{"components":{"schemas":{"A":{}}}}"#, "openapi-twice"),
            (r#"{"paths":{"/v1/b":{"get":{"x-uses":["nothing"]}}}}"#, "openapi-part"),
            (r#"{"paths":{"/v1/{b}":{"get":{}}}}"#, "openapi-parameter"),
        ] {
            let refused = assemble(&[common, ("other.json", fragment)]).unwrap_err();
            assert_eq!(refused.code(), code, "{refused}");
        }
    }

    #[test]
    fn an_operation_takes_in_what_it_names_and_what_it_says_itself_wins() {
        let common = (
            "common.json",
            r#"{"x-uses":{"v1":{"responses":{"400":"v1"}},"page":{"parameters":["limit"],"responses":{"400":"page","200":"page"}},"every-response":{}},
                "paths":{},"components":{"parameters":{"p":{}}}}"#,
        );
        let area = (
            "area.json",
            r#"{"paths":{"/v1/{p}":{"get":{"x-uses":["page"],"parameters":["after"],"responses":{"200":"own"}}}}}"#,
        );
        let document = assemble(&[common, area]).unwrap().to_string();
        let wanted = r##"{"paths":{"/v1/{p}":{"parameters":[{"$ref":"#/components/parameters/p"}],"get":{"parameters":["after","limit"],"responses":{"200":"own","400":"v1"}}}},"components":{"parameters":{"p":{}}}}"##;
        assert_eq!(document, wanted);
    }
}
