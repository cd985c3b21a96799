//! What the log keeps of a list.

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::ListKey;
use flagstone_model::limits::{MAX_LIST_EDIT_BYTES, MAX_LIST_EDITS};

/// A list: its base object, what differs from it, and how many keys that makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListContent {
    /// The object of the keys it was last written with.
    pub base: StoredObject,
    /// Keys that are in it beyond the base, ascending.
    pub add: Vec<Box<str>>,
    /// Keys of the base that are not in it, ascending.
    pub drop: Vec<Box<str>>,
    /// How many keys it has.
    pub count: u64,
    /// How many keys came and went with the change that led here; nothing where that is not known.
    pub changed: Option<(u64, u64)>,
}

impl ListContent {
    /// Whether a line may say it: at most 1,000 keys each in `add` and `drop`, and 48 KiB of both (FORMAT T-3.5).
    pub fn fits_a_line(&self) -> bool {
        self.add.len() <= MAX_LIST_EDITS
            && self.drop.len() <= MAX_LIST_EDITS
            && self
                .edits()
                .map(|(name, keys)| name.len().saturating_add(keys.to_string().len()))
                .sum::<usize>()
                <= MAX_LIST_EDIT_BYTES
    }

    /// Whether it has the keys of another one for the same reason: the same line.
    pub fn is_said_like(&self, other: &Self) -> bool {
        (self.base, &self.add, &self.drop) == (other.base, &other.add, &other.drop)
    }

    /// `add` and `drop`, unless they are empty.
    fn edits(&self) -> impl Iterator<Item = (&'static str, Json<'static>)> {
        let keys = |keys: &[Box<str>]| keys.iter().map(|key| Json::from(key.to_string())).collect();
        let edits = [("add", &self.add), ("drop", &self.drop)].into_iter();
        edits.filter(|(_, edits)| !edits.is_empty()).map(move |(name, edits)| (name, keys(edits)))
    }

    /// Its line, without its newline (FORMAT M-1.5).
    pub fn line(&self, key: &ListKey) -> String {
        let members = [
            ("list", Json::from(key.to_string())),
            ("encoding", Json::from(self.base.encoding.as_str())),
            ("sha256", Json::from(self.base.sha256.to_string())),
            ("size", Json::from(self.base.size)),
            ("raw_size", Json::from(self.base.raw_size)),
            ("count", Json::from(self.count)),
        ];
        Json::object(members.into_iter().chain(self.edits())).to_string()
    }

    /// As the log keeps it.
    pub fn to_json(&self) -> Json<'static> {
        let base = Json::object([
            ("encoding", Json::from(self.base.encoding.as_str())),
            ("sha256", Json::from(self.base.sha256.to_string())),
            ("size", Json::from(self.base.size)),
            ("raw_size", Json::from(self.base.raw_size)),
        ]);
        let members = [("base", base), ("count", Json::from(self.count))];
        let members = members.into_iter().chain(self.edits());
        Json::object(members.chain(self.changed.map(|changed| ("changed", counts(changed)))))
    }

    /// Reads what the log keeps.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        let changed = match json.member("changed") {
            Some(changed) => Some((natural(changed, "added")?, natural(changed, "dropped")?)),
            None => None,
        };
        Some(Self { changed, ..Self::read(json, json.member("base")?)? })
    }

    /// The list whose line in a snapshot this is, and its key.
    pub fn from_line(line: &[u8]) -> Option<(ListKey, Self)> {
        let json = Json::parse(line).ok()?;
        let key = ListKey::parse(json.member("list")?.as_str()?).ok()?;
        Some((key, Self::read(&json, &json)?))
    }

    /// Reads `count`, `add`, and `drop`, and the members of the base object from where they stand.
    fn read(json: &Json<'_>, base: &Json<'_>) -> Option<Self> {
        let base = StoredObject {
            encoding: Encoding::parse(base.member("encoding")?.as_str()?)?,
            sha256: Digest::parse(base.member("sha256")?.as_str()?)?,
            size: natural(base, "size")?,
            raw_size: natural(base, "raw_size")?,
        };
        let keys = |name: &str| -> Option<Vec<Box<str>>> {
            let Some(keys) = json.member(name) else { return Some(Vec::new()) };
            let keys: Vec<Box<str>> =
                keys.as_array()?.iter().map(|key| key.as_str().map(Into::into)).collect::<Option<_>>()?;
            keys.is_sorted_by(|one, next| one < next).then_some(keys)
        };
        let (add, drop) = (keys("add")?, keys("drop")?);
        Some(Self { base, add, drop, count: natural(json, "count")?, changed: None })
    }

    /// What is told of it: how many keys, its object, and how much differs from that.
    pub fn told(&self) -> Json<'static> {
        let object = Json::object([
            ("sha256", Json::from(self.base.sha256.to_string())),
            ("size", Json::from(self.base.size)),
            ("raw_size", Json::from(self.base.raw_size)),
        ]);
        let edits = Json::object([
            ("add", Json::from(self.add.len() as u64)),
            ("drop", Json::from(self.drop.len() as u64)),
        ]);
        let members = [("count", Json::from(self.count)), ("object", object), ("edits", edits)];
        Json::object(members.into_iter().chain(self.changed.map(|changed| ("changed", counts(changed)))))
    }
}

fn natural(json: &Json<'_>, name: &str) -> Option<u64> {
    u64::try_from(json.member(name)?.as_integer()?).ok()
}

fn counts((added, dropped): (u64, u64)) -> Json<'static> {
    Json::object([("added", Json::from(added)), ("dropped", Json::from(dropped))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(add: &[&str], drop: &[&str]) -> ListContent {
        let boxed = |keys: &[&str]| keys.iter().map(|key| (*key).into()).collect();
        let base = StoredObject {
            encoding: Encoding::Zstd,
            sha256: Digest::of(b""),
            size: 412_338,
            raw_size: 1_100_000,
        };
        ListContent { base, add: boxed(add), drop: boxed(drop), count: 100_000, changed: Some((1, 0)) }
    }

    #[test]
    fn a_line_is_that_of_the_format() {
        let key = ListKey::parse("vip-keys").unwrap();
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let head = format!(
            r#"{{"list":"vip-keys","encoding":"zstd","sha256":"{digest}","size":412338,"raw_size":1100000,"count":100000"#
        );
        assert_eq!(content(&[], &[]).line(&key), format!("{head}}}"));
        assert_eq!(content(&["u-900001"], &[]).line(&key), format!(r#"{head},"add":["u-900001"]}}"#));
        assert_eq!(
            content(&["a"], &["b", "c"]).line(&key),
            format!(r#"{head},"add":["a"],"drop":["b","c"]}}"#)
        );
        let read = ListContent::from_line(content(&["a"], &["b"]).line(&key).as_bytes()).unwrap();
        assert_eq!(read, (key, ListContent { changed: None, ..content(&["a"], &["b"]) }));
    }

    #[test]
    fn what_the_log_keeps_reads_back() {
        for content in [content(&[], &[]), content(&["a", "ñ"], &["b"])] {
            let json = content.to_json();
            assert_eq!(
                ListContent::from_json(&Json::parse(json.to_string().as_bytes()).unwrap()),
                Some(content)
            );
        }
        for spoilt in [
            "{}",
            r#"{"base":{"encoding":"zstd","sha256":"00","size":1,"raw_size":1},"count":1}"#,
            r#"{"base":{"encoding":"lz4","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"raw_size":1},"count":1}"#,
            r#"{"base":{"encoding":"zstd","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"raw_size":1},"count":1,"add":["b","a"]}"#,
        ] {
            assert_eq!(ListContent::from_json(&Json::parse(spoilt.as_bytes()).unwrap()), None, "{spoilt}");
        }
    }

    #[test]
    fn a_line_holds_a_thousand_edits_of_each_kind_and_48_kib() {
        let keys = |count: usize| (0..count).map(|n| format!("{n:04}").into_boxed_str()).collect::<Vec<_>>();
        let mut list = content(&[], &[]);
        (list.add, list.drop) = (keys(1_000), keys(1_000));
        assert!(list.fits_a_line());
        list.add = keys(1_001);
        assert!(!list.fits_a_line());
        // `add["` and `"]` stand around one key.
        list.drop.clear();
        list.add = vec!["k".repeat(MAX_LIST_EDIT_BYTES - 7).into()];
        assert!(list.fits_a_line());
        list.add = vec!["k".repeat(MAX_LIST_EDIT_BYTES - 6).into()];
        assert!(!list.fits_a_line());
    }
}
