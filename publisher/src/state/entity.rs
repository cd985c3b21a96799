//! The entities of a project, as the log leaves them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use flagstone_model::json::Json;
use flagstone_model::key::{FlagKey, ListKey, SegmentKey};

use super::checks::Remembered;
use super::sorted_map::SortedMap;
use crate::author::{
    Attributes, Check, Environment, FlagDefinition, FlagTest, Instants, Mention, Mentioned, Note, Project,
    Segment, Targeting,
};
use crate::list::ListContent;
use crate::log::Entity;
use crate::lower::layer::Held;
use crate::lower::phase::LastPhases;
use crate::lower::salt::{Chosen, UsedSalt};
use crate::lower::{Elsewhere, Splits, lower_flag, lower_segment, reserve};
use crate::view::{ClientSalt, Redactor, Unfit};

/// The project itself.
#[derive(Debug, Clone)]
pub struct ProjectState {
    /// What its author wrote.
    pub project: Project,
    /// Its edit number.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
}

/// A flag in the project. Archived ones stay: their keys are never used again.
#[derive(Debug, Clone)]
pub struct FlagState {
    /// What its author wrote.
    pub definition: FlagDefinition,
    /// Its edit number.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
}

/// What an entry keeps of a targeting: what the author wrote, and what was settled for it.
#[derive(Debug, Clone)]
pub struct SettledTargeting {
    /// What the author wrote.
    pub authored: Targeting,
    /// Salts, ranges, slots, and phases.
    pub splits: Splits,
    /// The instants of its local times.
    pub instants: Instants,
    pub(super) references: Vec<Reference>,
    pub(super) salts: Vec<UsedSalt>,
    /// About how many bytes the lines of its checks have, but for the flag's key in them.
    pub(super) check_bytes: usize,
}

/// About how much of a check's line is neither its context nor the flag's key.
const CHECK_FRAME_BYTES: usize = 256;

impl SettledTargeting {
    /// A targeting and what was settled for it.
    pub fn new(authored: Targeting, splits: Splits) -> Self {
        let references = Reference::all(authored.mentions());
        let salts = splits.salts(&authored);
        let instants = authored.instants();
        let of_check = |check: &Check| check.context.to_string().len().saturating_add(CHECK_FRAME_BYTES);
        let check_bytes = authored.checks.iter().map(of_check).sum();
        Self { authored, splits, instants, references, salts, check_bytes }
    }

    /// As the log keeps it.
    pub fn to_json(&self) -> Json<'_> {
        let instants = (!self.instants.is_empty()).then(|| ("instants", self.instants.to_json()));
        let authored = [("authored", self.authored.to_json())];
        Json::object(authored.into_iter().chain(self.splits.members()).chain(instants))
    }

    /// The same in the place of what was there `before`, with the phases that follow from that.
    pub(super) fn continued(&self, before: &Self, environment: &LastPhases) -> Self {
        let splits = self.splits.continued(&self.authored, (&before.authored, &before.splits), environment);
        Self { splits, ..self.clone() }
    }

    /// The same where it came about by no change of its own, so that no phase has just begun.
    pub(super) fn settled_down(&self) -> Self {
        let mut quiet = self.clone();
        quiet.splits.phases = self.splits.phases.settled_down();
        quiet
    }

    /// Whether it is on the wire as `other` is, but for the phases of experiments.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.authored == other.authored && self.splits.buckets_like(&other.splits)
    }

    /// Reads what the log keeps.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        let authored = Targeting::parse_settled(json.member("authored")?, settled_instants(json)?).ok()?;
        let splits = Splits::from_members(json)?;
        splits.fit(&authored).then(|| Self::new(authored, splits))
    }
}

/// A flag in one environment.
#[derive(Debug, Clone)]
pub struct FlagInEnvironment {
    /// The flag.
    pub flag: Arc<FlagState>,
    /// Its targeting; that of an untouched flag if nobody has targeted it.
    pub targeting: Arc<SettledTargeting>,
    /// How often it was targeted.
    pub edits: u64,
    /// The last entry that targeted it; 0 if none did.
    pub seq: u64,
    pub(super) line: OnceLock<Arc<str>>,
    pub(super) checks: Remembered,
    /// Its line in public views, or what is in the way, by the declarations of its environment.
    pub(super) redacted: OnceLock<Result<Arc<str>, Arc<[Unfit]>>>,
}

impl FlagInEnvironment {
    pub(super) fn untouched(flag: Arc<FlagState>) -> Self {
        let authored = Targeting::untouched(&flag.definition);
        let targeting = Arc::new(SettledTargeting::new(authored, Splits::default()));
        let (line, checks, redacted) = Default::default();
        Self { flag, targeting, edits: 0, seq: 0, line, checks, redacted }
    }

    /// The same after an edit of the flag's definition.
    pub(super) fn redefined(&self, flag: Arc<FlagState>) -> Self {
        if self.edits == 0 {
            return Self::untouched(flag);
        }
        let (line, checks, redacted) = Default::default();
        Self { flag, line, checks, redacted, ..self.clone() }
    }

    /// The same, targeted by an entry, for the `edits`th time.
    pub(super) fn targeted(&self, targeting: SettledTargeting, edits: u64, seq: u64) -> Self {
        Self {
            flag: Arc::clone(&self.flag),
            targeting: Arc::new(targeting),
            edits,
            seq,
            line: OnceLock::new(),
            checks: Remembered::default(),
            redacted: OnceLock::new(),
        }
    }

    /// The same, not redacted yet.
    pub(super) fn unredacted(&self) -> Self {
        Self { redacted: OnceLock::new(), ..self.clone() }
    }

    /// Its line in public views, redacted once, or what is in the way.
    pub(super) fn redacted(&self, redactor: Redactor<'_>) -> Result<&Arc<str>, &[Unfit]> {
        let redacted =
            self.redacted.get_or_init(|| redactor.flag(self.line()).map(Arc::from).map_err(Arc::from));
        redacted.as_ref().map_err(|unfit| &**unfit)
    }

    /// Its edit number, which also rises with its definition's; the `rev` of its line.
    pub fn revision(&self) -> u64 {
        self.flag.revision.saturating_add(self.edits)
    }

    /// The last entry that changed its targeting or its definition.
    pub fn last_seq(&self) -> u64 {
        self.seq.max(self.flag.seq)
    }

    /// Whether it is in no snapshot any more.
    pub fn is_archived(&self) -> bool {
        self.flag.definition.archived
    }

    /// Its line, lowered once.
    pub fn line(&self) -> &Arc<str> {
        self.line.get_or_init(|| {
            let SettledTargeting { authored, splits, .. } = &*self.targeting;
            lower_flag(&self.flag.definition, authored, splits, self.revision()).into()
        })
    }

    /// What a line of it takes: with what it may become longer by being switched off, so that this takes nothing.
    pub(super) fn size_of(&self, line: &str) -> usize {
        line.len().saturating_add(reserve(self.targeting.authored.on, self.revision()))
    }
}

/// A segment of an environment.
#[derive(Debug, Clone)]
pub struct SegmentState {
    /// What its author wrote; `None` if it was deleted. Its key is never used again.
    pub segment: Option<Segment>,
    /// Its edit number.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
    pub(super) references: Vec<Reference>,
    pub(super) salts: Vec<UsedSalt>,
    pub(super) line: OnceLock<Arc<str>>,
    /// Whether its line has a test on which languages could disagree.
    pub(super) is_delicate: OnceLock<bool>,
    /// Its line in public views, or what is in the way, by the declarations of its environment.
    pub(super) redacted: OnceLock<Result<Arc<str>, Arc<[Unfit]>>>,
}

/// The member `instants` of what the log keeps of an entity; none if it has no such member.
pub(super) fn settled_instants(json: &Json<'_>) -> Option<Instants> {
    json.member("instants").map_or_else(|| Some(Instants::default()), Instants::from_json)
}

/// What the log keeps of a segment: what its author wrote and, beside it, the instants of its local times.
pub(super) fn segment_to_json(segment: &Segment) -> Json<'static> {
    let instants = segment.instants();
    let mut json = segment.to_json().into_owned();
    if let (Json::Object(members), false) = (&mut json, instants.is_empty()) {
        members.push(("instants".into(), instants.to_json().into_owned()));
    }
    json
}

/// What is told of what the log keeps of an entity: operands that are published in another way than they were written.
pub(crate) fn notes(entity: &Entity, state: &Json<'_>) -> Vec<Note> {
    match entity {
        Entity::Targeting(..) => SettledTargeting::from_json(state).map(|settled| settled.authored.notes()),
        Entity::Segment(..) => segment_from_json(state).map(|segment| segment.notes()),
        _ => None,
    }
    .unwrap_or_default()
}

/// Reads what the log keeps of a segment.
pub(super) fn segment_from_json(json: &Json<'_>) -> Option<Segment> {
    Segment::parse_settled(&authored_segment(json), settled_instants(json)?).ok()
}

/// What its author wrote, out of what the log keeps of a segment.
pub(crate) fn authored_segment(json: &Json<'_>) -> Json<'static> {
    let mut json = json.clone().into_owned();
    if let Json::Object(members) = &mut json {
        members.retain(|(name, _)| name != "instants");
    }
    json
}

impl SegmentState {
    pub(super) fn new(segment: Option<Segment>, revision: u64, seq: u64) -> Self {
        let mentions = || segment.iter().flat_map(Segment::mentions);
        let references = Reference::all(mentions());
        let salts = mentions()
            .filter_map(|mention| match mention.of {
                Mentioned::Salt(salt) => Some(UsedSalt::new(salt, Chosen::ByAuthor)),
                _ => None,
            })
            .collect();
        let (line, is_delicate, redacted) = Default::default();
        Self { segment, revision, seq, references, salts, line, is_delicate, redacted }
    }

    /// Its line, lowered once; `None` if it was deleted.
    pub fn line(&self, key: &SegmentKey) -> Option<&Arc<str>> {
        let segment = self.segment.as_ref()?;
        Some(self.line.get_or_init(|| lower_segment(key, segment).into()))
    }

    /// The same, not redacted yet.
    pub(super) fn unredacted(&self) -> Self {
        Self { redacted: OnceLock::new(), ..self.clone() }
    }

    /// Its line in public views, redacted once, or what is in the way; `None` if it was deleted.
    pub(super) fn redacted(
        &self,
        key: &SegmentKey,
        redactor: Redactor<'_>,
    ) -> Option<Result<Arc<str>, Vec<Unfit>>> {
        let line = self.line(key)?;
        let redacted = self.redacted.get_or_init(|| redactor.segment(line).map(Arc::from).map_err(Arc::from));
        Some(redacted.clone().map_err(|unfit| unfit.to_vec()))
    }
}

/// A list of an environment.
#[derive(Debug, Clone)]
pub struct ListState {
    /// What it holds; `None` if it was deleted. Its key is never used again.
    pub content: Option<ListContent>,
    /// Its edit number.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
    pub(super) line: OnceLock<Arc<str>>,
}

impl ListState {
    pub(super) const fn new(content: Option<ListContent>, revision: u64, seq: u64) -> Self {
        Self { content, revision, seq, line: OnceLock::new() }
    }

    /// Its line, made once; `None` if it was deleted.
    pub fn line(&self, key: &ListKey) -> Option<&Arc<str>> {
        let content = self.content.as_ref()?;
        Some(self.line.get_or_init(|| content.line(key).into()))
    }
}

/// An environment and everything in it.
#[derive(Debug, Clone)]
pub struct EnvironmentState {
    /// What its author wrote.
    pub environment: Environment,
    /// What its public views are hashed with; `None` in an environment that is older than they are.
    pub client_salt: Option<ClientSalt>,
    /// What the project declares of attributes.
    pub attributes: Arc<Attributes>,
    /// Its edit number.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
    /// Every flag of the project, archived ones too.
    pub flags: SortedMap<FlagKey, Arc<FlagInEnvironment>>,
    /// Its segments, deleted ones too.
    pub segments: SortedMap<SegmentKey, Arc<SegmentState>>,
    /// Its lists, deleted ones too.
    pub lists: SortedMap<ListKey, Arc<ListState>>,
}

impl EnvironmentState {
    /// A flag that is not archived.
    pub fn live_flag(&self, key: &str) -> Option<&Arc<FlagInEnvironment>> {
        self.flags.get(key).filter(|flag| !flag.is_archived())
    }

    /// The flags that are not archived.
    pub fn live_flags(&self) -> impl Iterator<Item = (&FlagKey, &Arc<FlagInEnvironment>)> {
        self.flags.iter().filter(|(_, flag)| !flag.is_archived())
    }

    /// A segment that is not deleted.
    pub fn live_segment(&self, key: &str) -> Option<&Segment> {
        self.segments.get(key)?.segment.as_ref()
    }

    /// The segments that are not deleted.
    pub fn live_segments(&self) -> impl Iterator<Item = (&SegmentKey, &Arc<SegmentState>)> {
        self.segments.iter().filter(|(_, segment)| segment.segment.is_some())
    }

    /// What a flag to be settled has to heed, if the changed flags `but` have not been settled yet.
    pub(super) fn elsewhere(&self, but: impl Fn(&FlagKey) -> bool) -> Elsewhere<'_> {
        let others = self.live_flags().filter(|(key, _)| !but(key));
        let slots = others.flat_map(|(key, flag)| {
            let SettledTargeting { authored, splits, .. } = &*flag.targeting;
            Held::of(key, authored, &splits.slots)
        });
        Elsewhere { slots: slots.collect(), phases: self.last_phases(), ..Elsewhere::default() }
    }

    /// The last phase of every experiment there ever was, those of archived flags too.
    pub(super) fn last_phases(&self) -> LastPhases {
        let mut phases = LastPhases::default();
        for flag in self.flags.values() {
            let SettledTargeting { authored, splits, .. } = &*flag.targeting;
            phases.add(authored, &splits.phases, !flag.is_archived());
        }
        phases
    }

    /// A list that is not deleted.
    pub fn live_list(&self, key: &str) -> Option<&ListContent> {
        self.lists.get(key)?.content.as_ref()
    }

    /// The lists that are not deleted.
    pub fn live_lists(&self) -> impl Iterator<Item = (&ListKey, &Arc<ListState>)> {
        self.lists.iter().filter(|(_, list)| list.content.is_some())
    }

    /// The lists that live flags and segments name.
    pub(super) fn named_lists(&self) -> BTreeSet<&ListKey> {
        let flags = self.live_flags().flat_map(|(_, flag)| &flag.targeting.references);
        let segments = self.live_segments().flat_map(|(_, segment)| &segment.references);
        let named = flags.chain(segments).filter_map(|reference| match reference {
            Reference::List(key) => Some(key),
            Reference::Flag(_) | Reference::Segment(_) => None,
        });
        named.collect()
    }
}

/// What the log keeps of an environment: what its author wrote and, beside it, its salt.
pub(super) fn environment_to_json(environment: &Environment, salt: Option<&ClientSalt>) -> Json<'static> {
    let mut json = environment.to_json().into_owned();
    if let (Json::Object(members), Some(salt)) = (&mut json, salt) {
        members.push((CLIENT_SALT.into(), Json::from(salt.to_string())));
    }
    json
}

/// Reads what the log keeps of an environment.
pub(super) fn environment_from_json(json: &Json<'_>) -> Option<(Environment, Option<ClientSalt>)> {
    let salt = match json.member(CLIENT_SALT) {
        Some(salt) => Some(ClientSalt::parse(salt.as_str()?)?),
        None => None,
    };
    Some((Environment::parse(&authored_environment(json)).ok()?, salt))
}

/// What its author wrote, out of what the log keeps of an environment.
pub(crate) fn authored_environment(json: &Json<'_>) -> Json<'static> {
    let mut json = json.clone().into_owned();
    if let Json::Object(members) = &mut json {
        members.retain(|(name, _)| name != CLIENT_SALT);
    }
    json
}

/// The member of an environment in the log that its author did not write.
const CLIENT_SALT: &str = "client_salt";

/// All environments of a project.
pub(super) type Environments = BTreeMap<flagstone_model::key::EnvironmentId, Arc<EnvironmentState>>;

/// One mention of a flag, a segment, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// A flag, and variations of it.
    Flag(FlagTest),
    /// A segment.
    Segment(SegmentKey),
    /// A list.
    List(ListKey),
}

impl Reference {
    fn all<'a>(mentions: impl IntoIterator<Item = Mention<'a>>) -> Vec<Self> {
        mentions.into_iter().filter_map(|mention| Self::of(&mention.of)).collect()
    }

    /// The reference that a mention is, if it is one.
    pub(super) fn of(mentioned: &Mentioned<'_>) -> Option<Self> {
        match *mentioned {
            Mentioned::Flag(test) => Some(Self::Flag(test.clone())),
            Mentioned::Segment(key) => Some(Self::Segment(key.clone())),
            Mentioned::List(key) => Some(Self::List(key.clone())),
            Mentioned::Variation(_) | Mentioned::Salt(_) | Mentioned::Moment(_) | Mentioned::Term(_) => None,
        }
    }
}
