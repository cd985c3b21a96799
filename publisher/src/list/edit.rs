//! From one list to the next: by a few keys, or whole.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use flagstone_eval::List;
use flagstone_model::json::Json;
use flagstone_model::limits::MAX_LIST_EDITS;

use super::keys::element_key;
use super::{Expanded, ListContent, ListFault, ListKeys};

/// Most keys that one edit adds, and most that it drops.
pub const MAX_EDITS_AT_ONCE: usize = 1_000;

/// Which object a list that is written whole gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Base {
    /// The one it has, with what differs, where a line holds that; else a new one.
    #[default]
    Kept,
    /// One of just these keys: no other key stands anywhere in the list afterwards.
    New,
}

/// Keys to be added and dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ListEdits {
    add: BTreeSet<Box<str>>,
    drop: BTreeSet<Box<str>>,
}

/// What a change of a list comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The list after it.
    pub content: ListContent,
    /// The stored bytes of its base, if that is a new one.
    pub stored: Option<Vec<u8>>,
}

impl ListEdits {
    /// Reads `{"add":[…],"drop":[…]}`, of which either may be left out.
    ///
    /// # Errors
    ///
    /// What is no key, stands in both, or is too much.
    pub fn from_json(body: &Json<'_>) -> Result<Self, ListFault> {
        let shape = |pointer: String, detail: String| ListFault::Shape { pointer, detail };
        let members = body.as_object().unwrap_or_default();
        if let Some((name, _)) = members.iter().find(|(name, _)| name != "add" && name != "drop") {
            let detail = "unknown member; an edit of a list has `add` and `drop`".to_owned();
            return Err(shape(crate::author::pointer([&**name]), detail));
        }
        if members.is_empty() {
            return Err(shape(String::new(), "an edit of a list has `add`, `drop`, or both".to_owned()));
        }
        let keys = |name: &'static str| -> Result<BTreeSet<Box<str>>, ListFault> {
            let Some(keys) = body.member(name) else { return Ok(BTreeSet::new()) };
            let wanted = || shape(format!("/{name}"), "an array of keys is wanted here".to_owned());
            let keys = keys.as_array().ok_or_else(wanted)?;
            if keys.len() > MAX_EDITS_AT_ONCE {
                let detail = format!(
                    "at most {MAX_EDITS_AT_ONCE} keys at once; write a list whole to change more (`flagstone list put`)"
                );
                return Err(shape(format!("/{name}"), detail));
            }
            let read = |(index, key)| element_key(key, name, index).map(Into::into);
            keys.iter().enumerate().map(read).collect()
        };
        let (add, drop) = (keys("add")?, keys("drop")?);
        if add.intersection(&drop).next().is_some() {
            return Err(shape("/drop".to_owned(), "a key stands in `add` and in `drop`".to_owned()));
        }
        Ok(Self { add, drop })
    }
}

/// Says how many there are: keys may be personal.
impl core::fmt::Debug for ListEdits {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ListEdits(+{} -{})", self.add.len(), self.drop.len())
    }
}

/// The list after an edit. What is added and there, or dropped and not there, changes nothing.
///
/// # Errors
///
/// Too many keys, or too many bytes.
pub fn edited(before: &Expanded, edits: &ListEdits) -> Result<Planned, ListFault> {
    let (base, old) = (before.base(), before.content());
    let (mut add, mut drop): (BTreeSet<&str>, BTreeSet<&str>) =
        (old.add.iter().map(|key| &**key).collect(), old.drop.iter().map(|key| &**key).collect());
    let added = edits.add.iter().filter(|key| !before.contains(key)).count() as u64;
    let dropped = edits.drop.iter().filter(|key| before.contains(key)).count() as u64;
    for key in &edits.add {
        if base.contains(key.as_bytes()) {
            drop.remove(&**key);
        } else {
            add.insert(key);
        }
    }
    for key in &edits.drop {
        if base.contains(key.as_bytes()) {
            drop.insert(key);
        } else {
            add.remove(&**key);
        }
    }
    let boxed = |keys: BTreeSet<&str>| keys.into_iter().map(Into::into).collect();
    let content = ListContent {
        base: old.base,
        add: boxed(add),
        drop: boxed(drop),
        count: old.count.saturating_add(added).saturating_sub(dropped),
        changed: Some((added, dropped)),
    };
    if content.fits_a_line() {
        within_limits(&content)?;
        return Ok(Planned { content, stored: None });
    }
    let expanded = Expanded::new(content, before.shared_base());
    let keys = ListKeys::of_sorted(expanded.keys())?;
    of_new_base(&keys, Some((added, dropped)))
}

/// The list after it is written whole; `before` is what it was, as far as that can be read.
///
/// # Errors
///
/// Too many bytes when packed.
pub fn whole(keys: &ListKeys, before: Option<&Expanded>, base: Base) -> Result<Planned, ListFault> {
    let Some(before) = before else { return of_new_base(keys, None) };
    let kept = keys.iter().filter(|key| before.contains(key)).count() as u64;
    let count = keys.len() as u64;
    let changed = (count.saturating_sub(kept), before.content().count.saturating_sub(kept));
    if base == Base::Kept
        && let Some((add, drop)) = difference(before.base(), keys)
    {
        let content = ListContent { base: before.content().base, add, drop, count, changed: Some(changed) };
        if content.fits_a_line() {
            return Ok(Planned { content, stored: None });
        }
    }
    of_new_base(keys, Some(changed))
}

fn of_new_base(keys: &ListKeys, changed: Option<(u64, u64)>) -> Result<Planned, ListFault> {
    let (stored, base) = keys.pack()?;
    let count = keys.len() as u64;
    let changed = changed.or(Some((count, 0)));
    let content = ListContent { base, add: Vec::new(), drop: Vec::new(), count, changed };
    Ok(Planned { content, stored: Some(stored) })
}

/// A list that is edited stays within the limits of one that is written whole.
fn within_limits(content: &ListContent) -> Result<(), ListFault> {
    if content.count > flagstone_eval::MAX_LIST_KEYS as u64 {
        return Err(ListFault::TooMany);
    }
    let bytes = |keys: &[Box<str>]| keys.iter().map(|key| key.len() as u64 + 1).sum::<u64>();
    let size = content.base.raw_size.saturating_add(bytes(&content.add)).saturating_sub(bytes(&content.drop));
    if size > flagstone_eval::MAX_LIST_BYTES as u64 { Err(ListFault::TooLong) } else { Ok(()) }
}

/// Some keys, ascending.
type Keys = Vec<Box<str>>;

/// What is in `keys` and not in the base, and the other way round; `None` if a line would not hold it.
fn difference(base: &List, keys: &ListKeys) -> Option<(Keys, Keys)> {
    let (mut old, mut new) = (base.keys().peekable(), keys.iter().peekable());
    let (mut add, mut drop) = (Vec::new(), Vec::new());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return Some((add, drop)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.cmp(new),
        };
        if order != Ordering::Greater
            && let Some(key) = old.next()
            && order == Ordering::Less
        {
            drop.push(key.into());
        }
        if order != Ordering::Less
            && let Some(key) = new.next()
            && order == Ordering::Greater
        {
            add.push(key.into());
        }
        if add.len() > MAX_LIST_EDITS || drop.len() > MAX_LIST_EDITS {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flagstone_bundle::container::Caps;

    use super::*;

    fn expanded(planned: &Planned, base: Option<&Expanded>) -> Expanded {
        let list = match (&planned.stored, base) {
            (Some(stored), _) => {
                Arc::new(List::parse(planned.content.base.open(stored, Caps::LIST).unwrap()).unwrap())
            }
            (None, base) => base.unwrap().shared_base(),
        };
        Expanded::new(planned.content.clone(), list)
    }

    fn put(text: &str, before: Option<&Expanded>) -> (Planned, Expanded) {
        let planned = whole(&ListKeys::from_text(text.as_bytes()).unwrap(), before, Base::Kept).unwrap();
        let after = expanded(&planned, before);
        (planned, after)
    }

    fn patch(body: &str, before: &Expanded) -> (Planned, Expanded) {
        let edits = ListEdits::from_json(&Json::parse(body.as_bytes()).unwrap()).unwrap();
        let planned = edited(before, &edits).unwrap();
        let after = expanded(&planned, Some(before));
        (planned, after)
    }

    fn keys(list: &Expanded) -> Vec<&str> {
        list.keys().collect()
    }

    #[test]
    fn an_edit_keeps_the_base_and_does_nothing_twice() {
        let (first, list) = put("a\nb\nc\n", None);
        assert!(first.stored.is_some() && first.content.changed == Some((3, 0)));
        let (edit, after) = patch(r#"{"add":["d","a"],"drop":["b","x"]}"#, &list);
        assert_eq!((edit.stored.is_none(), edit.content.base), (true, first.content.base));
        assert_eq!((keys(&after), edit.content.count), (vec!["a", "c", "d"], 3));
        assert_eq!(edit.content.changed, Some((1, 1)));
        let (again, same) = patch(r#"{"add":["d","a"],"drop":["b","x"]}"#, &after);
        assert!(again.content.is_said_like(&edit.content) && again.content.changed == Some((0, 0)));
        let (back, first_again) = patch(r#"{"add":["b"],"drop":["d"]}"#, &same);
        assert!(back.content.is_said_like(&first.content));
        assert_eq!(keys(&first_again), ["a", "b", "c"]);
    }

    #[test]
    fn a_list_written_whole_with_few_other_keys_keeps_its_base() {
        let (first, list) = put("a\nb\nc\n", None);
        let (next, after) = put("a\nc\nd\n", Some(&list));
        assert_eq!((next.stored.is_none(), next.content.base), (true, first.content.base));
        assert_eq!((keys(&after), next.content.changed), (vec!["a", "c", "d"], Some((1, 1))));
        let same = ListKeys::from_text(b"a\nc\nd\n").unwrap();
        let anew = whole(&same, Some(&after), Base::New).unwrap();
        assert!(anew.stored.is_some() && anew.content.add.is_empty() && anew.content.drop.is_empty());
        assert_eq!(anew.content.changed, Some((0, 0)));
    }

    #[test]
    fn the_edit_after_the_thousandth_makes_a_new_base() {
        let (first, mut list) = put("a\n", None);
        let many = |from: usize| {
            let keys: Vec<_> = (from..from + 500).map(|n| format!("\"k{n:04}\"")).collect();
            format!(r#"{{"add":[{}]}}"#, keys.join(","))
        };
        for from in [0, 500] {
            let (edit, after) = patch(&many(from), &list);
            assert_eq!(edit.content.base, first.content.base);
            list = after;
        }
        assert_eq!(list.content().add.len(), 1_000);
        let (edit, after) = patch(r#"{"add":["one-more"],"drop":["a"]}"#, &list);
        assert!(edit.stored.is_some() && edit.content.base != first.content.base);
        assert!(edit.content.add.is_empty() && edit.content.drop.is_empty());
        assert_eq!((after.keys().count(), edit.content.count), (1_001 - 1 + 1 - 1 + 1, 1_001));
        assert!(after.contains("one-more") && after.contains("k0999") && !after.contains("a"));
        // The same keys, written whole, are the same object.
        let text: String = after.keys().map(|key| format!("{key}\n")).collect();
        assert_eq!(put(&text, None).0.content.base, edit.content.base);
    }

    #[test]
    fn long_keys_make_a_new_base_before_the_line_is_too_long() {
        let (first, list) = put("a\n", None);
        let keys: Vec<_> = (0..60).map(|n| format!("\"{n:01000}\"")).collect();
        let (edit, after) = patch(&format!(r#"{{"add":[{}]}}"#, keys.join(",")), &list);
        assert!(edit.content.base != first.content.base && after.keys().count() == 61);
    }

    #[test]
    fn an_edit_that_is_none_is_refused_with_its_member() {
        let many: Vec<_> = (0..=MAX_EDITS_AT_ONCE).map(|n| format!("\"{n}\"")).collect();
        let many = format!(r#"{{"drop":[{}]}}"#, many.join(","));
        for (body, pointer) in [
            ("{}", ""),
            (r#"{"add":"a"}"#, "/add"),
            (r#"{"add":["a"],"remove":[]}"#, "/remove"),
            (r#"{"add":["a",""]}"#, "/add/1"),
            (r#"{"add":["a"],"drop":["a"]}"#, "/drop"),
            (many.as_str(), "/drop"),
        ] {
            let fault = ListEdits::from_json(&Json::parse(body.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(fault.problem().pointer, pointer, "{body}");
        }
    }

    #[test]
    fn any_edits_lead_to_the_set_that_they_say() {
        // A small linear congruential generator: the same edits on every run.
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut set: BTreeSet<String> = (0..40).map(|n| format!("k{n}")).collect();
        let (_, mut list) = put(&set.iter().map(|key| format!("{key}\n")).collect::<String>(), None);
        for round in 0..400 {
            let some: BTreeSet<String> = (0..random(6)).map(|_| format!("k{}", random(60))).collect();
            let (planned, after) = if round % 5 == 4 {
                set = set.symmetric_difference(&some).cloned().collect();
                put(&set.iter().map(|key| format!("{key}\n")).collect::<String>(), Some(&list))
            } else {
                let (add, drop): (Vec<_>, Vec<_>) = some.iter().partition(|_| random(2) == 0);
                set.extend(add.iter().map(|key| (*key).clone()));
                set.retain(|key| !drop.contains(&key));
                let array =
                    |keys: &[&String]| keys.iter().map(|k| format!("\"{k}\"")).collect::<Vec<_>>().join(",");
                patch(&format!(r#"{{"add":[{}],"drop":[{}]}}"#, array(&add), array(&drop)), &list)
            };
            assert_eq!(after.keys().collect::<Vec<_>>(), set.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(planned.content.count, set.len() as u64);
            let (came, went) = planned.content.changed.unwrap();
            assert_eq!(list.content().count + came - went, planned.content.count);
            list = after;
        }
    }
}
