//! A claim as bytes in an item.

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_bundle::manifest::Delta;
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;

use super::{Claim, Step};

impl Claim {
    /// The bytes an adapter keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        let deltas = self.deltas.iter().map(|delta| {
            Json::object([("since", Json::from(delta.since)), ("object", object(&delta.object))])
        });
        let history = self.history.iter().map(|step| {
            let touched = step.touched.iter().flat_map(|(kind, key)| [kind, key]);
            Json::object([
                ("version", Json::from(step.version)),
                ("at_ms", Json::from(step.at_ms)),
                ("touched", touched.map(|text| Json::from(text.as_str())).collect()),
            ])
        });
        let json = Json::object([
            ("epoch", Json::from(self.epoch)),
            ("version", Json::from(self.version)),
            ("serial", Json::from(self.serial)),
            ("issued_ms", Json::from(self.issued_ms)),
            ("builder", Json::from(self.builder)),
            ("content", Json::from(self.content.to_string())),
            ("lines", Json::from(self.lines)),
            ("snapshot", object(&self.snapshot)),
            ("deltas", deltas.collect()),
            ("inline", Json::from(self.inline)),
            ("history", history.collect()),
        ]);
        let mut text = String::new();
        json.write(&mut text);
        text.into_bytes()
    }

    /// Reads them back; `None` if they are no claim.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let json = Json::parse(bytes).ok()?;
        let deltas = json.member("deltas")?.as_array()?.iter();
        let history = json.member("history")?.as_array()?.iter();
        Some(Self {
            epoch: natural(&json, "epoch")?,
            version: natural(&json, "version")?,
            serial: natural(&json, "serial")?,
            issued_ms: json.member("issued_ms")?.as_integer()?,
            builder: natural(&json, "builder")?,
            content: digest(&json, "content")?,
            lines: natural(&json, "lines")?,
            snapshot: read_object(json.member("snapshot")?)?,
            deltas: deltas
                .map(|delta| {
                    let object = read_object(delta.member("object")?)?;
                    Some(Delta { since: natural(delta, "since")?, object })
                })
                .collect::<Option<_>>()?,
            inline: json.member("inline")?.as_bool()?,
            history: history.map(read_step).collect::<Option<_>>()?,
        })
    }
}

fn object(object: &StoredObject) -> Json<'static> {
    Json::object([
        ("encoding", Json::from(object.encoding.as_str())),
        ("sha256", Json::from(object.sha256.to_string())),
        ("size", Json::from(object.size)),
        ("raw_size", Json::from(object.raw_size)),
    ])
}

fn read_object(json: &Json<'_>) -> Option<StoredObject> {
    Some(StoredObject {
        encoding: Encoding::parse(json.member("encoding")?.as_str()?)?,
        sha256: digest(json, "sha256")?,
        size: natural(json, "size")?,
        raw_size: natural(json, "raw_size")?,
    })
}

fn read_step(json: &Json<'_>) -> Option<Step> {
    let mut touched = Vec::new();
    let mut texts = json.member("touched")?.as_array()?.iter();
    while let Some(kind) = texts.next() {
        touched.push((kind.as_str()?.to_owned(), texts.next()?.as_str()?.to_owned()));
    }
    Some(Step { version: natural(json, "version")?, at_ms: json.member("at_ms")?.as_integer()?, touched })
}

fn natural(json: &Json<'_>, member: &str) -> Option<u64> {
    json.member(member)?.as_integer()?.try_into().ok()
}

fn digest(json: &Json<'_>, member: &str) -> Option<Digest> {
    Digest::parse(json.member(member)?.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn a_claim_reads_back_as_it_was_written() {
        let claim = conformance::claim(7, 1310);
        assert_eq!(Claim::parse(&claim.to_bytes()), Some(claim));
    }

    #[test]
    fn a_claim_that_is_cut_or_lacks_a_member_is_not_read() {
        let bytes = conformance::claim(7, 1310).to_bytes();
        for end in 0..bytes.len() {
            assert_eq!(Claim::parse(&bytes[..end]), None, "cut at {end}");
        }
    }
}
