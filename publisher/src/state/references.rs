//! References between flags and segments: they resolve, run in no circle, and cost little (FORMAT M-11, P2).

use std::collections::{HashMap, HashSet};

use flagstone_model::limits::MAX_REFERENCE_COST;

use super::entity::{EnvironmentState, Reference};
use crate::author::{FlagDefinition, Mention, Mentioned, Problem, code, did_you_mean};

/// A flag, a segment, or a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Node<'a> {
    Flag(&'a str),
    Segment(&'a str),
    List(&'a str),
}

impl core::fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "flag `{key}`"),
            Self::Segment(key) => write!(f, "segment `{key}`"),
            Self::List(key) => write!(f, "list `{key}`"),
        }
    }
}

impl<'a> Node<'a> {
    fn of(reference: &'a Reference) -> Self {
        match reference {
            Reference::Flag(test) => Self::Flag(test.flag.as_str()),
            Reference::Segment(key) => Self::Segment(key.as_str()),
            Reference::List(key) => Self::List(key.as_str()),
        }
    }
}

/// What is wrong with the references of an environment.
enum Fault<'a> {
    /// A reference leads nowhere.
    Dangling { from: Node<'a>, reference: &'a Reference },
    /// A reference lies on a circle.
    Cycle { from: Node<'a>, path: Vec<Node<'a>> },
    /// A flag or segment costs too much.
    Cost { of: Node<'a>, cost: u64 },
}

/// How many faults are told at once.
const MAX_TOLD: usize = 16;

impl<'a> Fault<'a> {
    /// Whose fault it is.
    const fn node(&self) -> Node<'a> {
        match self {
            Self::Dangling { from: node, .. }
            | Self::Cycle { from: node, .. }
            | Self::Cost { of: node, .. } => *node,
        }
    }
}

/// The references of one environment.
pub(super) struct Graph<'a> {
    environment: &'a EnvironmentState,
    /// The costs found so far.
    costs: HashMap<Node<'a>, u64>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(environment: &'a EnvironmentState) -> Self {
        Self { environment, costs: HashMap::new() }
    }

    fn references(&self, node: Node<'_>) -> &'a [Reference] {
        match node {
            Node::Flag(key) => self.environment.live_flag(key).map_or(&[], |flag| &flag.targeting.references),
            Node::Segment(key) => self.environment.segments.get(key).map_or(&[], |found| &found.references),
            Node::List(_) => &[],
        }
    }

    /// The nodes that refer to others.
    fn sources(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let flags = self.environment.live_flags();
        let flags = flags.filter(|(_, flag)| !flag.targeting.references.is_empty());
        let segments = self.environment.live_segments();
        let segments = segments.filter(|(_, segment)| !segment.references.is_empty());
        let flags = flags.map(|(key, _)| Node::Flag(key.as_str()));
        flags.chain(segments.map(|(key, _)| Node::Segment(key.as_str())))
    }

    fn resolves(&self, reference: &Reference) -> bool {
        match reference {
            Reference::Segment(key) => self.environment.live_segment(key.as_str()).is_some(),
            Reference::List(key) => self.environment.live_list(key.as_str()).is_some(),
            Reference::Flag(test) => self.environment.live_flag(test.flag.as_str()).is_some_and(|flag| {
                test.is.iter().all(|variation| flag.flag.definition.variations.contains_key(variation))
            }),
        }
    }

    fn faults(&mut self) -> Vec<Fault<'a>> {
        let mut faults = Vec::new();
        let sources: Vec<_> = self.sources().collect();
        for &from in &sources {
            let dangling = self.references(from).iter().filter(|reference| !self.resolves(reference));
            faults.extend(dangling.map(|reference| Fault::Dangling { from, reference }));
        }
        if faults.is_empty() {
            for &from in &sources {
                self.cost(from, &mut Vec::new(), &mut faults);
            }
        }
        faults
    }

    /// `1 + Σ cost` over every reference, counted per mention. Stops above the limit, so that it ends.
    fn cost(&mut self, node: Node<'a>, path: &mut Vec<Node<'a>>, faults: &mut Vec<Fault<'a>>) -> u64 {
        if let Node::List(_) = node {
            // It is looked up in, not evaluated.
            return 0;
        }
        if let Some(cost) = self.costs.get(&node) {
            return *cost;
        }
        if let Some(start) = path.iter().position(|on_path| *on_path == node) {
            let circle: Vec<_> = path.iter().skip(start).copied().chain([node]).collect();
            faults.push(Fault::Cycle { from: node, path: circle });
            return 1;
        }
        let depth = u64::try_from(path.len()).unwrap_or(u64::MAX);
        if depth > MAX_REFERENCE_COST {
            return MAX_REFERENCE_COST.saturating_add(1);
        }
        path.push(node);
        let references = self.references(node);
        let cost = references
            .iter()
            .map(|reference| self.cost(Node::of(reference), path, faults))
            .fold(1, u64::saturating_add);
        path.pop();
        if cost > MAX_REFERENCE_COST {
            faults.push(Fault::Cost { of: node, cost });
        }
        self.costs.insert(node, cost);
        cost
    }

    /// How many live flags reach one of `targets` through references, or are one.
    pub(super) fn flags_reaching(&self, targets: impl IntoIterator<Item = Node<'a>>) -> usize {
        let mut dependants: HashMap<Node<'a>, Vec<Node<'a>>> = HashMap::new();
        for from in self.sources() {
            for reference in self.references(from) {
                dependants.entry(Node::of(reference)).or_default().push(from);
            }
        }
        let mut reached: HashSet<Node<'a>> = targets.into_iter().collect();
        let mut open: Vec<_> = reached.iter().copied().collect();
        while let Some(node) = open.pop() {
            for &dependant in dependants.get(&node).into_iter().flatten() {
                if reached.insert(dependant) {
                    open.push(dependant);
                }
            }
        }
        reached.iter().filter(|node| matches!(node, Node::Flag(_))).count()
    }
}

/// A changed flag or segment, as a request speaks of it.
pub(super) struct Changed<'a> {
    /// Where the request says what it becomes.
    pub(super) pointer: String,
    /// The mentions of the document that stands there; `None` if none does.
    pub(super) mentions: Option<Vec<Mention<'a>>>,
}

/// Says what is wrong with the references of an environment after `changed` was changed.
///
/// `mentions` are those of the changed document, for its pointers; a fault elsewhere is told at the whole document.
pub(super) fn check(
    environment: &EnvironmentState,
    changed: Node<'_>,
    mentions: &[Mention<'_>],
) -> Result<(), Vec<Problem>> {
    let changed = (changed, Changed { pointer: String::new(), mentions: Some(mentions.to_vec()) });
    check_all(environment, &HashMap::from([changed]), "")
}

/// The same after several were changed; what is the fault of none of them is told at `elsewhere`.
pub(super) fn check_all(
    environment: &EnvironmentState,
    changed: &HashMap<Node<'_>, Changed<'_>>,
    elsewhere: &str,
) -> Result<(), Vec<Problem>> {
    let mut graph = Graph::of(environment);
    let faults = graph.faults();
    if faults.is_empty() {
        return Ok(());
    }
    let id = &environment.environment.id;
    let place = |node: Node<'_>| format!("{node} in environment `{id}`");
    let whole = |node: Node<'_>| changed.get(&node).map(|changed| changed.pointer.clone());
    let has_document = |node: Node<'_>| changed.get(&node).is_some_and(|changed| changed.mentions.is_some());
    // Where a changed document names what `of` says; the whole of it if that is not found.
    let own = |node: Node<'_>, of: &dyn Fn(&Reference) -> bool| {
        let Changed { pointer, mentions } = changed.get(&node)?;
        let mut mentions = mentions.iter().flatten();
        let found = mentions.find(|mention| Reference::of(&mention.of).is_some_and(|found| of(&found)));
        Some(format!("{pointer}{}", found.map_or("", |mention| mention.pointer.as_str())))
    };
    let mut problems = Vec::new();
    // The changed entities first: their own members are what the author can mend.
    let (mut own_faults, others): (Vec<_>, Vec<_>) =
        faults.into_iter().partition(|fault| has_document(fault.node()));
    own_faults.extend(others);
    for fault in own_faults.into_iter().take(MAX_TOLD) {
        problems.push(match fault {
            Fault::Dangling { from, reference } if has_document(from) => {
                let mut pointer = own(from, &|mentioned| mentioned == reference).unwrap_or_default();
                if let Reference::Flag(test) = reference
                    && environment.live_flag(test.flag.as_str()).is_some()
                    && let Some(condition) = pointer.strip_suffix("/flag")
                {
                    // The flag is there; a variation that it lacks is named.
                    pointer = format!("{condition}/is");
                }
                Problem::new(code::DANGLING_REFERENCE, pointer, missing(environment, reference))
            }
            Fault::Dangling { from, reference } => {
                let detail = format!("{} refers to it: {}", place(from), missing(environment, reference));
                let pointer = whole(Node::of(reference)).or_else(|| whole(from));
                Problem::new(
                    code::DANGLING_REFERENCE,
                    pointer.unwrap_or_else(|| elsewhere.to_owned()),
                    detail,
                )
            }
            Fault::Cycle { from, path } => {
                let at = path.iter().position(|node| has_document(*node));
                let on_path = at.and_then(|at| {
                    let next = path.get(at.saturating_add(1)).or_else(|| path.get(1))?;
                    own(*path.get(at)?, &|mentioned| Node::of(mentioned) == *next)
                });
                let pointer = on_path.or_else(|| path.iter().find_map(|node| whole(*node)));
                let circle: Vec<_> = path.iter().map(ToString::to_string).collect();
                let detail = format!("{} refers to itself: {}", place(from), circle.join(" → "));
                Problem::new(
                    code::PREREQUISITE_CYCLE,
                    pointer.unwrap_or_else(|| elsewhere.to_owned()),
                    detail,
                )
            }
            Fault::Cost { of, cost } => {
                let costs = &graph.costs;
                let first = own(of, &|mentioned| costs.contains_key(&Node::of(mentioned)));
                let detail = format!(
                    "{} would evaluate {cost} flags and segments, at most {MAX_REFERENCE_COST} are allowed",
                    place(of)
                );
                Problem::new(code::REFERENCE_COST, first.unwrap_or_else(|| elsewhere.to_owned()), detail)
            }
        });
    }
    Err(problems)
}

fn missing(environment: &EnvironmentState, reference: &Reference) -> String {
    match reference {
        Reference::Segment(key) => {
            let keys = environment.live_segments().map(|(key, _)| key.as_str());
            format!("there is no segment `{key}`{}", did_you_mean(key.as_str(), keys))
        }
        Reference::List(key) => {
            let keys = environment.live_lists().map(|(key, _)| key.as_str());
            let hint = did_you_mean(key.as_str(), keys);
            format!("there is no list `{key}`{hint}; make it first (`flagstone list put`)")
        }
        Reference::Flag(test) => match environment.live_flag(test.flag.as_str()) {
            None => {
                let keys = environment.live_flags().map(|(key, _)| key.as_str());
                format!("there is no flag `{}`{}", test.flag, did_you_mean(test.flag.as_str(), keys))
            }
            Some(flag) => {
                let variations = &flag.flag.definition.variations;
                let absent = test.is.iter().find(|variation| !variations.contains_key(*variation));
                let absent = absent.map(AsRef::as_ref).unwrap_or_default();
                let hint = did_you_mean(absent, variations.keys().map(AsRef::as_ref));
                format!("flag `{}` has no variation `{absent}`{hint}", test.flag)
            }
        },
    }
}

/// Says which variations of its own flag a targeting names that the flag does not have.
pub(super) fn unknown_variations(
    mentions: &[Mention<'_>],
    definition: &FlagDefinition,
    code: &'static str,
) -> Vec<Problem> {
    let unknown = |mention: &Mention<'_>| match mention.of {
        Mentioned::Variation(variation) if !definition.variations.contains_key(variation) => {
            let names = definition.variations.keys().map(AsRef::as_ref);
            let hint = did_you_mean(variation.as_str(), names);
            let detail = format!("flag `{}` has no variation `{variation}`{hint}", definition.key);
            Some(Problem::new(code, mention.pointer.clone(), detail))
        }
        _ => None,
    };
    mentions.iter().filter_map(unknown).collect()
}
