//! The header of an entry: the part that is chained and never erased (FORMAT T-4.1).

use std::collections::BTreeSet;

use flagstone_model::digest::Digest;
use flagstone_model::json::{Duplicates, Json, JsonError, ParseOptions, write_string};
use flagstone_model::key::ProjectId;
use flagstone_model::limits::MAX_INTEGER;

use super::entity::Entity;

/// Longest header, in bytes: room for [`crate::author::MAX_CHANGES`] changes of the longest keys.
pub const MAX_HEADER_BYTES: usize = 128 * 1024;
/// Longest id of an actor or a request, and longest `via`, in characters.
pub const MAX_ID_CHARS: usize = 255;

/// What kind of actor made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorKind {
    /// A person.
    User,
    /// A program that holds a token.
    Token,
    /// Flagstone itself.
    System,
}

impl ActorKind {
    /// The text: `user`, `token`, or `system`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Token => "token",
            Self::System => "system",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Token, Self::System].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who made a change. Nothing personal: the id is opaque, names and addresses are data that can be erased.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// Its opaque id, such as `u_7k2mq4`.
    pub id: String,
    /// What it used, such as `console` or `cli`.
    pub via: String,
}

/// The request an entry records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The id that makes a retry recognisable, unique for its actor.
    pub id: String,
    /// Salted commitment to the request's bytes; see [`super::SaltedData::request_commitment`].
    pub sha256: Digest,
}

/// One changed entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityChange {
    /// Which.
    pub entity: Entity,
    /// Its revision before (0: there was none) and after.
    pub revision: (u64, u64),
    /// Seq of the last entry that changed it before, 0 if none did.
    pub prior_seq: u64,
}

/// The header of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Position in the log, from 1.
    pub seq: u64,
    /// When, in Unix milliseconds; never less than in the entry before.
    pub time_ms: i64,
    /// The project whose log this is.
    pub project: ProjectId,
    /// In the first entry only: what tells this log from any other of the same name.
    pub nonce: Option<[u8; 16]>,
    /// Who.
    pub actor: Actor,
    /// On what request.
    pub request: Request,
    /// What changed; at least one, each entity once.
    pub changes: Vec<EntityChange>,
    /// Salted commitment to the data; see [`super::SaltedData::commitment`].
    pub data: Digest,
}

/// Why bytes are no header of an entry, or a header may not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The bytes are no JSON.
    #[error("the header is not readable")]
    Json(#[from] JsonError),
    /// A member is missing or not of its shape.
    #[error("the member `{member}` of the header is missing or not of its shape")]
    Member {
        /// Which.
        member: &'static str,
    },
    /// One entity stands twice.
    #[error("the entity {entity} is changed twice in one entry")]
    ChangedTwice {
        /// Which.
        entity: Entity,
    },
    /// The same content would be written with other bytes.
    #[error("the header is not written the one way a header is written")]
    NotCanonical,
    /// Longer than a header may be.
    #[error("the header has {size} bytes, more than {MAX_HEADER_BYTES}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
}

impl HeaderError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            _ => "invalid-header",
        }
    }
}

impl Header {
    /// The exact bytes, in the member order of FORMAT T-4.1.
    pub fn to_bytes(&self) -> Vec<u8> {
        let quoted = |text: &str| {
            let mut quoted = String::new();
            write_string(text, &mut quoted);
            quoted
        };
        let Self { seq, time_ms, project, actor, request, data, .. } = self;
        let nonce = self.nonce.map(|nonce| format!(r#","nonce":"{:032x}""#, u128::from_be_bytes(nonce)));
        let (kind, id, via) = (actor.kind.as_str(), quoted(&actor.id), quoted(&actor.via));
        let changes: Vec<String> = self.changes.iter().map(EntityChange::to_members).collect();
        let changes = match changes.as_slice() {
            [only] => only.clone(),
            several => format!(r#""changes":[{{{}}}]"#, several.join("},{")),
        };
        [
            format!(r#"{{"seq":{seq},"time_ms":{time_ms},"project":"{project}""#),
            nonce.unwrap_or_default(),
            format!(r#","actor":{{"type":"{kind}","id":{id},"via":{via}}}"#),
            format!(r#","request":{{"id":{},"sha256":"{}"}}"#, quoted(&request.id), request.sha256),
            format!(r#",{changes},"data":"{data}"}}"#),
        ]
        .concat()
        .into_bytes()
    }

    /// Reads exactly what [`Self::to_bytes`] writes: any other spelling of the same header is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > MAX_HEADER_BYTES {
            return Err(HeaderError::TooLarge { size: bytes.len() });
        }
        let json = Json::parse_with(bytes, ParseOptions { max_depth: 4, duplicates: Duplicates::Refuse })?;
        let of = |member| Members { json: &json, member };
        let actor = of("actor").object()?;
        let request = of("request").object()?;
        let changes = match json.member("changes") {
            None => vec![EntityChange::parse(&json)?],
            Some(several) => {
                let several = several.as_array().filter(|several| several.len() > 1);
                let several = several.ok_or(HeaderError::Member { member: "changes" })?;
                several.iter().map(EntityChange::parse).collect::<Result<_, _>>()?
            }
        };
        let header = Self {
            seq: of("seq").integer()?,
            time_ms: of("time_ms").integer()?.cast_signed(),
            project: of("project").text(|text| ProjectId::parse(text).ok())?,
            nonce: json.member("nonce").map(|_| of("nonce").text(nonce)).transpose()?,
            actor: Actor {
                kind: Members { json: actor, member: "type" }.text(ActorKind::parse)?,
                id: Members { json: actor, member: "id" }.text(owned)?,
                via: Members { json: actor, member: "via" }.text(owned)?,
            },
            request: Request {
                id: Members { json: request, member: "id" }.text(owned)?,
                sha256: Members { json: request, member: "sha256" }.text(Digest::parse)?,
            },
            changes,
            data: of("data").text(Digest::parse)?,
        };
        header.check()?;
        if header.to_bytes() == bytes { Ok(header) } else { Err(HeaderError::NotCanonical) }
    }

    /// Checks what the types leave open, before anything is written.
    pub(super) fn check(&self) -> Result<(), HeaderError> {
        let require = |holds: bool, member| if holds { Ok(()) } else { Err(HeaderError::Member { member }) };
        require((1..=MAX_INTEGER.cast_unsigned()).contains(&self.seq), "seq")?;
        require((0..=MAX_INTEGER).contains(&self.time_ms), "time_ms")?;
        require(self.nonce.is_some() == (self.seq == 1), "nonce")?;
        require(is_plain(&self.actor.id), "actor.id")?;
        require(is_plain(&self.actor.via), "actor.via")?;
        require(is_plain(&self.request.id), "request.id")?;
        require(!self.changes.is_empty(), "changes")?;
        let mut seen = BTreeSet::new();
        for EntityChange { entity, revision: (before, after), prior_seq } in &self.changes {
            require(before < after && *after <= MAX_INTEGER.cast_unsigned(), "revision")?;
            require(*prior_seq < self.seq, "prior_seq")?;
            if !seen.insert(entity) {
                return Err(HeaderError::ChangedTwice { entity: entity.clone() });
            }
        }
        Ok(())
    }
}

impl EntityChange {
    fn to_members(&self) -> String {
        let mut entity = String::new();
        write_string(&self.entity.to_string(), &mut entity);
        let (before, after) = self.revision;
        format!(r#""entity":{entity},"revision":[{before},{after}],"prior_seq":{}"#, self.prior_seq)
    }

    fn parse(json: &Json<'_>) -> Result<Self, HeaderError> {
        let of = |member| Members { json, member };
        let revision = match json.member("revision").and_then(Json::as_array) {
            Some([before, after]) => natural(before).zip(natural(after)),
            _ => None,
        };
        Ok(Self {
            entity: of("entity").text(|text| Entity::parse(text).ok())?,
            revision: revision.ok_or(HeaderError::Member { member: "revision" })?,
            prior_seq: of("prior_seq").integer()?,
        })
    }
}

/// One member to be read; its name is what an error tells.
struct Members<'j, 'a> {
    json: &'j Json<'a>,
    member: &'static str,
}

impl<'j, 'a> Members<'j, 'a> {
    fn read<T>(&self, read: impl FnOnce(&'j Json<'a>) -> Option<T>) -> Result<T, HeaderError> {
        self.json.member(self.member).and_then(read).ok_or(HeaderError::Member { member: self.member })
    }

    fn object(&self) -> Result<&'j Json<'a>, HeaderError> {
        self.read(|json| json.as_object().map(|_| json))
    }

    fn integer(&self) -> Result<u64, HeaderError> {
        self.read(natural)
    }

    fn text<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<T, HeaderError> {
        self.read(|json| json.as_str().and_then(read))
    }
}

fn natural(json: &Json<'_>) -> Option<u64> {
    json.as_integer().and_then(|number| u64::try_from(number).ok())
}

#[expect(clippy::unnecessary_wraps, reason = "has the shape of the other readers")]
fn owned(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn nonce(text: &str) -> Option<[u8; 16]> {
    let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(u128::to_be_bytes)
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_ID_CHARS && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FORMAT T-4.1.
    const EXAMPLE: &str = r#"{"seq":4182,"time_ms":1795253123200,"project":"shop","actor":{"type":"user","id":"u_7k2mq4","via":"console"},"request":{"id":"7f3c0b2e","sha256":"c3f7bdf537c46724392c4428e47e04c148c56966190c3c9ed92114800c9f35bb"},"entity":"flag/production/new-checkout","revision":[9,10],"prior_seq":4170,"data":"9acdd3031d5c017bc6d32f0e8474290474d6c7350a57ee5fd26abb73344be9ad"}"#;

    fn example() -> Header {
        Header {
            seq: 4182,
            time_ms: 1_795_253_123_200,
            project: ProjectId::parse("shop").unwrap(),
            nonce: None,
            actor: Actor { kind: ActorKind::User, id: "u_7k2mq4".into(), via: "console".into() },
            request: Request {
                id: "7f3c0b2e".into(),
                sha256: Digest::parse("c3f7bdf537c46724392c4428e47e04c148c56966190c3c9ed92114800c9f35bb")
                    .unwrap(),
            },
            changes: vec![change("flag/production/new-checkout", (9, 10), 4170)],
            data: Digest::parse("9acdd3031d5c017bc6d32f0e8474290474d6c7350a57ee5fd26abb73344be9ad").unwrap(),
        }
    }

    fn change(entity: &str, revision: (u64, u64), prior_seq: u64) -> EntityChange {
        EntityChange { entity: Entity::parse(entity).unwrap(), revision, prior_seq }
    }

    #[test]
    fn the_published_header_is_written_byte_for_byte() {
        assert_eq!(String::from_utf8(example().to_bytes()).unwrap(), EXAMPLE);
        assert_eq!(Header::parse(EXAMPLE.as_bytes()).unwrap(), example());
    }

    #[test]
    fn a_first_entry_and_several_changes_read_back() {
        let mut header = example();
        header.seq = 1;
        header.nonce = Some([7; 16]);
        header.changes = vec![change("flag/x", (0, 1), 0), change("flag/production/x", (0, 2), 0)];
        let bytes = header.to_bytes();
        assert_eq!(Header::parse(&bytes).unwrap(), header);
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains(r#""project":"shop","nonce":"07070707070707070707070707070707","actor":"#),
            "{text}"
        );
        assert!(
            text.contains(r#""changes":[{"entity":"flag/x","revision":[0,1],"prior_seq":0},{"#),
            "{text}"
        );
    }

    #[test]
    fn any_other_spelling_of_a_header_is_refused() {
        let one = r#""entity":"flag/production/new-checkout","revision":[9,10],"prior_seq":4170"#;
        for (from, to) in [
            (r#"{"seq""#, r#"{ "seq""#),
            ("4182", "4182.0"),
            ("\"shop\"", r#""\u0073hop""#),
            (r#","data""#, r#","more":1,"data""#),
            (r#""seq":4182,"time_ms":1795253123200"#, r#""time_ms":1795253123200,"seq":4182"#),
            (one, r#""changes":[{"entity":"flag/x","revision":[1,2],"prior_seq":1}]"#),
            (one, r#""changes":[]"#),
        ] {
            assert!(EXAMPLE.contains(from), "{from}");
            assert!(Header::parse(EXAMPLE.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
        assert!(Header::parse(format!("{EXAMPLE}\n").as_bytes()).is_err());
    }

    #[test]
    fn a_member_that_is_wrong_is_named() {
        for (from, to, member) in [
            ("4182", "0", "seq"),
            ("1795253123200", "-1", "time_ms"),
            ("1795253123200", "9007199254740992", "time_ms"),
            ("\"shop\"", "\"Shop\"", "project"),
            ("\"user\"", "\"robot\"", "type"),
            ("\"u_7k2mq4\"", "\"\"", "actor.id"),
            ("\"7f3c0b2e\"", r#""a\n""#, "request.id"),
            ("c3f7", "C3F7", "sha256"),
            ("[9,10]", "[10,10]", "revision"),
            ("[9,10]", "[9]", "revision"),
            ("4170", "4182", "prior_seq"),
            (r#","actor""#, r#","nonce":"07070707070707070707070707070707","actor""#, "nonce"),
        ] {
            assert!(EXAMPLE.contains(from), "{from}");
            let found = Header::parse(EXAMPLE.replacen(from, to, 1).as_bytes());
            assert_eq!(found, Err(HeaderError::Member { member }), "{from} -> {to}");
        }
    }

    #[test]
    fn one_entity_changes_once_in_an_entry() {
        let mut header = example();
        header.changes = vec![change("flag/x", (1, 2), 1), change("flag/x", (2, 3), 1)];
        assert!(matches!(Header::parse(&header.to_bytes()), Err(HeaderError::ChangedTwice { .. })));
    }
}
