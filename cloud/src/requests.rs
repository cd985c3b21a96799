//! The table of requests, `cdn/requests.json`, to which every edge gives the same answers.
//!
//! An edge that answers it as the table says admits what it must and nothing else. What an edge keeps, and for how
//! long, a single request cannot show: that is told by the tests of this crate.

use std::io;

use flagstone_model::digest::Digest;
use serde::Deserialize;

use crate::CloudError;
use crate::edge::EdgeKey;
use crate::http::{Answer, Request};

/// Longest body of a refusal, in bytes: a code, and not a page.
const MAX_REFUSAL_BYTES: usize = 4 * 1024;

/// What no answer with an object has: what was changed on the way, or makes answers differ by what was sent.
const NEVER_WITH_AN_OBJECT: [&str; 6] =
    ["accept-ranges", "content-encoding", "content-range", "expires", "set-cookie", "vary"];

/// The table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    keys: Vec<Key>,
    objects: Vec<Object>,
    private: Vec<String>,
    requests: Vec<Row>,
}

/// An SDK key of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
    #[serde(rename = "key")]
    text: String,
    project: Option<String>,
    environment: Option<String>,
}

/// An object that the origin has.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its path, with a slash before it.
    pub path: String,
    /// Its bytes.
    pub body: String,
}

/// A request, and what it is answered with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What it shows.
    pub name: String,
    #[serde(default = "get")]
    method: String,
    target: String,
    key: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    status: Statuses,
    /// Whether the origin is asked, though the answer has no object.
    #[serde(default)]
    pub asks: bool,
}

/// One status, or any of several: a server may refuse a path that is none before it asks its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Statuses {
    One(u16),
    Any(Vec<u16>),
}

fn get() -> String {
    "GET".to_owned()
}

impl Table {
    /// The table as it is shipped.
    ///
    /// # Errors
    ///
    /// If it is no table.
    pub fn shipped() -> Result<Self, CloudError> {
        serde_json::from_str(include_str!("../../cdn/requests.json"))
            .map_err(io::Error::from)
            .map_err(CloudError::io("read the table of requests"))
    }

    /// The keys that an edge is to know.
    pub fn edge_keys(&self) -> Vec<EdgeKey> {
        let known = self.keys.iter().filter_map(|key| {
            Some(EdgeKey::new(&key.text, key.project.as_deref()?, key.environment.as_deref()?))
        });
        known.collect()
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> &str {
        self.keys.iter().find(|key| key.name == name).map_or("", |key| &key.text)
    }

    /// The objects that the origin is to have.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Paths that the origin is to have something at, of which nobody must hear.
    pub fn private(&self) -> &[String] {
        &self.private
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.requests
    }

    /// The object at a path.
    pub fn object(&self, path: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.path == path)
    }

    /// The request of a row, to a client that has what `etag` names.
    pub fn request(&self, row: &Row, etag: &str) -> Request {
        let mut request = Request::new(&row.method, &self.filled(&row.target, etag));
        if let Some(key) = &row.key {
            request = request.header("x-flagstone-key", self.key(key));
        }
        for (name, value) in &row.headers {
            request = request.header(name, &self.filled(value, etag));
        }
        request
    }

    /// Sends the request of a row to an edge at a port of 127.0.0.1, which is asked as `host`; one that names what the
    /// client has is sent once more before, without a condition.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn ask(&self, row: &Row, port: u16, host: Option<&str>) -> io::Result<Answer> {
        let host = host.map(str::to_owned);
        let mut etag = String::new();
        if row.is_conditional() {
            let mut plain = Request { host: host.clone(), ..self.request(row, "") };
            plain.headers.retain(|(name, _)| name == "x-flagstone-key");
            let answer = plain.ask(port).await?;
            answer.header("etag").unwrap_or_default().clone_into(&mut etag);
        }
        Request { host, ..self.request(row, &etag) }.ask(port).await
    }

    fn filled(&self, text: &str, etag: &str) -> String {
        let mut filled = text.replace("{etag}", etag);
        for Key { name, text: key, .. } in &self.keys {
            filled = filled
                .replace(&format!("{{key:{name}}}"), key)
                .replace(&format!("{{upper:{name}}}"), &key.to_ascii_uppercase())
                .replace(&format!("{{sha256:{name}}}"), &Digest::of(key.as_bytes()).to_string());
        }
        filled
    }

    /// What is wrong with the answer to a row, in words; nothing if it is as the table says.
    pub fn faults(&self, row: &Row, answer: &Answer) -> Vec<String> {
        let mut faults = Vec::new();
        if !row.statuses().contains(&answer.status) {
            faults.push(format!("status {} and not {:?}", answer.status, row.statuses()));
            return faults;
        }
        let object = self.object(row.path()).filter(|_| matches!(answer.status, 200 | 304));
        if let Some(object) = object {
            faults.extend(served(row, object, answer));
        } else {
            faults.extend(self.refused(answer));
        }
        faults
    }

    /// The same of CloudFront, which hands on what the bucket says of an object that is missing: a 403 or a 404 in the
    /// bucket's own words, without `no-store`. How long such a thing is kept, the distribution says.
    pub fn faults_of_cloudfront(&self, row: &Row, answer: &Answer) -> Vec<String> {
        if row.asks && matches!(answer.status, 403 | 404) {
            self.told_too_much(answer)
        } else {
            self.faults(row, answer)
        }
    }

    fn refused(&self, answer: &Answer) -> Vec<String> {
        let mut faults = Vec::new();
        // What a server cannot read at all it refuses in its own words.
        if answer.status != 400 && answer.header("cache-control") != Some("no-store") {
            faults.push(format!("a refusal may be kept: {:?}", answer.header("cache-control")));
        }
        faults.extend(self.told_too_much(answer));
        faults
    }

    fn told_too_much(&self, answer: &Answer) -> Vec<String> {
        let mut faults = Vec::new();
        let told = answer.text();
        if told.len() > MAX_REFUSAL_BYTES || self.objects.iter().any(|object| told.contains(&object.body)) {
            faults.push("a refusal tells too much".to_owned());
        }
        if answer.header("etag").is_some() {
            faults.push("a refusal has an entity tag".to_owned());
        }
        faults
    }
}

fn served(row: &Row, object: &Object, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    let has_body = answer.status == 200 && row.method != "HEAD";
    let expected = if has_body { object.body.as_bytes() } else { &[] };
    if answer.body != expected {
        faults.push(format!("another body: {:?}", answer.text()));
    }
    let length = object.body.len().to_string();
    if answer.status == 200 && answer.header("content-length") != Some(&length) {
        faults.push(format!("length {:?} and not {length}", answer.header("content-length")));
    }
    if answer.status == 200 && answer.header("content-type") != Some("application/octet-stream") {
        faults.push(format!("content type {:?}", answer.header("content-type")));
    }
    if !answer.header("cache-control").is_some_and(|told| told.contains("no-transform")) {
        faults.push(format!("cache control {:?}", answer.header("cache-control")));
    }
    if answer.header("etag").is_none_or(|etag| etag.len() < 3) {
        faults.push(format!("entity tag {:?}", answer.header("etag")));
    }
    let never = NEVER_WITH_AN_OBJECT.iter().filter(|name| answer.header(name).is_some());
    faults.extend(never.map(|name| format!("a header {name}")));
    faults
}

impl Row {
    /// The path that is asked for, without a query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The statuses that are right.
    pub fn statuses(&self) -> &[u16] {
        match &self.status {
            Statuses::One(status) => std::slice::from_ref(status),
            Statuses::Any(statuses) => statuses,
        }
    }

    /// Whether the answer has an object, or says that the client has it.
    pub fn is_served(&self) -> bool {
        self.statuses().iter().any(|status| matches!(status, 200 | 304))
    }

    /// Whether its request names what the client has.
    pub fn is_conditional(&self) -> bool {
        self.headers.iter().any(|(_, value)| value.contains("{etag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Answer { status, headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    fn row<'t>(table: &'t Table, name: &str) -> &'t Row {
        table.rows().iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn the_table_names_keys_and_objects_that_it_has() {
        let table = Table::shipped().unwrap();
        assert!(table.rows().len() > 150);
        let mut names: Vec<_> = table.rows().iter().map(|row| &row.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), table.rows().len(), "each row has a name of its own");
        for row in table.rows() {
            assert!(row.key.iter().all(|key| !table.key(key).is_empty()), "{}", row.name);
            assert_eq!(
                row.is_served(),
                table.object(row.path()).is_some() && row.statuses()[0] < 400,
                "{}",
                row.name
            );
            let request = table.request(row, "\"e\"");
            let sent = format!("{request:?}");
            assert!(
                !["{key:", "{upper:", "{sha256:", "{etag"].iter().any(|left| sent.contains(left)),
                "{sent}"
            );
        }
    }

    #[test]
    fn a_wrong_answer_is_told_as_one() {
        let table = Table::shipped().unwrap();
        let root = row(&table, "a root without a key");
        let good = [
            ("content-type", "application/octet-stream"),
            ("content-length", "4"),
            ("cache-control", "public, no-transform"),
            ("etag", "\"e\""),
        ];
        assert_eq!(table.faults(root, &answer(200, &good, "root")), [""; 0]);
        assert_eq!(table.faults(root, &answer(404, &good, "root")), ["status 404 and not [200]"]);
        assert_eq!(table.faults(root, &answer(200, &good, "ROOT")), ["another body: \"ROOT\""]);
        for (dropped, _) in good {
            let rest: Vec<_> = good.iter().filter(|(name, _)| *name != dropped).copied().collect();
            assert_eq!(table.faults(root, &answer(200, &rest, "root")).len(), 1, "without {dropped}");
        }
        for added in NEVER_WITH_AN_OBJECT {
            let more: Vec<_> = good.iter().copied().chain([(added, "x")]).collect();
            assert_eq!(table.faults(root, &answer(200, &more, "root")), [format!("a header {added}")]);
        }
        let refused = row(&table, "a snapshot without a key");
        assert_eq!(table.faults(refused, &answer(401, &[("cache-control", "no-store")], "no")), [""; 0]);
        assert_eq!(table.faults(refused, &answer(401, &[], "no")), ["a refusal may be kept: None"]);
        let told = answer(401, &[("cache-control", "no-store"), ("etag", "\"e\"")], "the snapshot itself");
        assert_eq!(table.faults(refused, &told), ["a refusal tells too much", "a refusal has an entity tag"]);
    }

    #[test]
    fn of_cloudfront_a_missing_object_may_be_refused_in_the_words_of_the_bucket() {
        let table = Table::shipped().unwrap();
        let (missing, closed) = (row(&table, "a missing root"), row(&table, "a snapshot without a key"));
        for status in [403, 404] {
            let told = answer(status, &[], "<Error><Code>AccessDenied</Code></Error>");
            assert_eq!(table.faults_of_cloudfront(missing, &told), [""; 0]);
            assert_ne!(table.faults(missing, &told), [""; 0], "of any other edge");
            assert_ne!(table.faults_of_cloudfront(closed, &told), [""; 0], "the key is checked before");
        }
        for told in [answer(200, &[], "x"), answer(403, &[], "the snapshot itself")] {
            assert_eq!(table.faults_of_cloudfront(missing, &told).len(), 1, "{told:?}");
        }
    }
}
