//! The served OpenAPI document, held against every answer of every test.
//!
//! A path, a status, a header, or a member that the document does not have fails the test that met it, with the file
//! to edit. So does a body that was accepted and should not have been, going by the document.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use jsonschema::Validator;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::world::{Told, World, get};

/// Headers that need no word: what HTTP itself says of a body.
const PLAIN_HEADERS: [&str; 3] = ["content-type", "content-length", "allow"];
/// What is not part of the API: published objects, described by FORMAT T-3.7.
const BUCKET: &str = "/cdn";

/// What was asked.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) body: Vec<u8>,
}

/// The document that the API serves.
pub(crate) struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

static CONTRACT: OnceCell<Contract> = OnceCell::const_new();

/// Holds an answer against the document.
pub(crate) async fn check(world: &World, asked: &Asked, told: &Told) {
    if let Err(fault) = of(world).await.fault(asked, told) {
        panic!("{} {} answered {}: {fault}\n{}", asked.method, asked.uri, told.status, told.text());
    }
}

/// The document as this world serves it; all worlds serve the same.
pub(crate) async fn of(world: &World) -> &'static Contract {
    let read = async || {
        let told = world.ask_freely(get("/openapi.json").authorization(None)).await;
        assert_eq!(told.status, StatusCode::OK, "{}", told.text());
        let document = serde_json::from_slice(&told.body).unwrap();
        Contract { document, validators: Mutex::default() }
    };
    CONTRACT.get_or_init(read).await
}

impl Contract {
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// What `$ref` leads to, with its place in the document.
    pub(crate) fn resolve(&self, place: String) -> (String, &Value) {
        let value = self.document.pointer(&place).unwrap_or_else(|| panic!("{place} is nowhere"));
        match value.get("$ref").and_then(Value::as_str) {
            Some(target) => self.resolve(target.strip_prefix('#').unwrap().to_owned()),
            None => (place, value),
        }
    }

    /// The template of a path: the one with the fewest parameters that fits.
    fn template(&self, path: &str) -> Option<&str> {
        let fits = |template: &&String| {
            let (parts, names) = (path.split('/'), template.split('/'));
            parts.clone().count() == names.clone().count()
                && parts
                    .zip(names)
                    .all(|(part, name)| part == name || name.starts_with('{') && !part.is_empty())
        };
        let paths = self.document["paths"].as_object().unwrap();
        paths.keys().filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    /// What about an answer the document does not say.
    pub(crate) fn fault(&self, asked: &Asked, told: &Told) -> Result<(), String> {
        let (path, query) = asked.uri.split_once('?').unwrap_or((&asked.uri, ""));
        if path == BUCKET || path.starts_with(&format!("{BUCKET}/")) {
            return Ok(());
        }
        let Some(template) = self.template(path) else {
            return self.is_refusal(asked, told, "NotFound", StatusCode::NOT_FOUND).map_err(|fault| {
                format!(
                    "the route is not documented: add it to a fragment in lambda/admin/openapi/ ({fault})"
                )
            });
        };
        let method = if asked.method == "HEAD" { "get".to_owned() } else { asked.method.to_lowercase() };
        let operation = format!("/paths/{}/{method}", escaped(template));
        let hint = format!("edit `{method} {template}` in {}", fragment_with(template));
        let Some(described) = self.document.pointer(&operation) else {
            if told.status == StatusCode::UNAUTHORIZED {
                return Ok(());
            }
            return self
                .is_refusal(asked, told, "MethodNotAllowed", StatusCode::METHOD_NOT_ALLOWED)
                .map_err(|fault| format!("the method is not documented: {hint} ({fault})"));
        };
        let status = told.status.as_u16().to_string();
        if described["responses"].get(&status).is_none() {
            return Err(format!("the status is not documented: {hint}"));
        }
        let with_hint = |fault: String| format!("{fault}: {hint}");
        self.check_response(format!("{operation}/responses/{status}"), asked, told).map_err(with_hint)?;
        if told.status.is_success() {
            self.check_request(template, &operation, asked, query).map_err(with_hint)?;
        }
        Ok(())
    }

    /// A refusal that is the same for every path.
    fn is_refusal(
        &self,
        asked: &Asked,
        told: &Told,
        response: &str,
        status: StatusCode,
    ) -> Result<(), String> {
        if told.status != status {
            return Err(format!("{status} was expected"));
        }
        self.check_response(format!("/components/responses/{response}"), asked, told)
    }

    fn check_response(&self, place: String, asked: &Asked, told: &Told) -> Result<(), String> {
        let (place, response) = self.resolve(place);
        let no_headers = json!({});
        let headers = response.get("headers").unwrap_or(&no_headers).as_object().unwrap();
        for name in told.headers.keys().map(axum::http::HeaderName::as_str) {
            if !headers.contains_key(name) && !PLAIN_HEADERS.contains(&name) {
                return Err(format!("the header `{name}` is not documented"));
            }
        }
        for name in headers.keys() {
            let (place, header) = self.resolve(format!("{place}/headers/{}", escaped(name)));
            match told.header(name) {
                Some(text) => self
                    .check_value(&format!("{place}/schema"), &json!(text))
                    .map_err(|fault| format!("the header `{name}`: {fault}"))?,
                None if header["required"] == json!(true) => {
                    return Err(format!("the header `{name}` is missing"));
                }
                None => {}
            }
        }
        let Some(content) = response.get("content").and_then(Value::as_object) else {
            return if told.body.is_empty() { Ok(()) } else { Err("no body is documented".to_owned()) };
        };
        let media = told.header("content-type").unwrap_or("none");
        if !content.contains_key(media) {
            return Err(format!("the content type `{media}` is not documented"));
        }
        if asked.method == "HEAD" {
            return if told.body.is_empty() { Ok(()) } else { Err("HEAD has a body".to_owned()) };
        }
        let schema = format!("{place}/content/{}/schema", escaped(media));
        if media != "application/json" && !media.ends_with("+json") {
            return self.check_value(&schema, &json!(told.text()));
        }
        let body = serde_json::from_slice(&told.body).map_err(|error| error.to_string())?;
        self.check_value(&schema, &body)
    }

    /// What was accepted must be documented too.
    fn check_request(
        &self,
        template: &str,
        operation: &str,
        asked: &Asked,
        query: &str,
    ) -> Result<(), String> {
        let known = self.parameters(template, operation);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            if !known.iter().any(|known| known["in"] == "query" && known["name"] == name) {
                return Err(format!("the parameter `{name}` was accepted and is not documented"));
            }
        }
        if asked.body.is_empty() {
            return Ok(());
        }
        let Some(body) = self.document.pointer(&format!("{operation}/requestBody")) else { return Ok(()) };
        let content = body["content"].as_object().unwrap();
        let media = content.keys().next().unwrap();
        let given = match serde_json::from_slice(&asked.body) {
            Ok(given) => given,
            // Text says what it is by its type, which the program has looked at.
            Err(_) if content.contains_key("text/plain") => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let schema = format!("{operation}/requestBody/content/{}/schema", escaped(media));
        self.check_value(&schema, &given).map_err(|fault| format!("the request was accepted, but {fault}"))
    }

    /// The parameters of an operation and of its path.
    pub(crate) fn parameters(&self, template: &str, operation: &str) -> Vec<&Value> {
        let of_path = format!("/paths/{}/parameters", escaped(template));
        let places = [of_path, format!("{operation}/parameters")].into_iter().flat_map(|list| {
            let length = self.document.pointer(&list).and_then(Value::as_array).map_or(0, Vec::len);
            (0..length).map(move |index| format!("{list}/{index}"))
        });
        places.map(|place| self.resolve(place).1).collect()
    }

    /// Holds a value against the schema at a place.
    pub(crate) fn check_value(&self, place: &str, value: &Value) -> Result<(), String> {
        let validator = self.validator(place);
        let faults: Vec<String> = validator
            .iter_errors(value)
            .take(5)
            .map(|error| format!("at `{}`: {error}", error.instance_path()))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    fn validator(&self, place: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let made = validators.entry(place.to_owned()).or_insert_with(|| {
            let schema = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": format!("#{}", place.replace('{', "%7B").replace('}', "%7D").replace(' ', "%20")),
                "paths": self.document["paths"],
                "components": self.document["components"],
            });
            let validator = jsonschema::draft202012::new(&schema);
            Arc::new(validator.unwrap_or_else(|error| panic!("the schema at {place}: {error}")))
        });
        Arc::clone(made)
    }
}

/// A name as a part of a JSON Pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The fragment that describes a path.
fn fragment_with(template: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi");
    let described = |text: String| {
        let fragment: Value = serde_json::from_str(&text).unwrap();
        fragment["paths"].get(template).is_some()
    };
    let found = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| std::fs::read_to_string(path).is_ok_and(described));
    found.map_or_else(
        || folder.to_owned(),
        |path| format!("lambda/admin/openapi/{}", path.file_name().unwrap().display()),
    )
}
