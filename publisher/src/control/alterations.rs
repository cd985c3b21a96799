//! Which changes altered what somebody gets.
//!
//! The log is walked backwards in stretches, and each stretch forwards: its first state comes from a checkpoint, each
//! entry that touches something the flag depends on is folded and evaluated. Between entries, schedules and ramps are
//! followed to the moments at which they can change an answer.

use std::collections::BTreeSet;

use flagstone_eval::Entity as Reached;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};

use super::ControlPlane;
use super::error::ControlError;
use super::explain::Compiled;
use super::holes::Holes;
use super::moment::When;
use crate::log::{Actor, Entity, Entry};
use crate::state::State;

/// Entries that are folded in one stretch.
const STRETCH: u64 = 1_000;
/// Entries that one answer looks at; a cursor goes on from there.
pub const MAX_AUDITED_ENTRIES: u64 = 10_000;
/// Changes between two points of a schedule that are told, such as those of linear ramps.
const MAX_FLIPS: usize = 16;

/// A change of what somebody gets.
#[derive(Debug, Clone)]
pub struct Alteration {
    /// When.
    pub time: Instant,
    /// What made it.
    pub by: AlteredBy,
    /// The details before; `None` if there was no such flag, or if what they depend on has been erased.
    pub from: Option<Json<'static>>,
    /// The details after.
    pub to: Option<Json<'static>>,
}

/// What altered it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AlteredBy {
    /// Somebody's change.
    Entry {
        /// Which entry.
        seq: u64,
        /// Who.
        actor: Actor,
        /// The actor's name, unless it was erased.
        actor_name: Option<String>,
        /// Why, unless it was erased.
        reason: Option<String>,
        /// What was changed, of all that the flag depends on.
        entities: Vec<String>,
    },
    /// A schedule or a ramp reached a point.
    Schedule,
}

/// A part of the alterations, newest first.
#[derive(Debug, Clone)]
pub struct Alterations {
    /// Each alteration.
    pub items: Vec<Alteration>,
    /// Where to go on, unless all of the log was looked at.
    pub next: Option<AlterationPlace>,
}

/// Where an alteration stands: its time in epoch milliseconds, and its entry, or 0 for a schedule.
pub type AlterationPlace = (i64, u64);

impl Alteration {
    fn place(&self) -> AlterationPlace {
        let seq = match self.by {
            AlteredBy::Entry { seq, .. } => seq,
            AlteredBy::Schedule => 0,
        };
        (self.time.millis(), seq)
    }
}

impl ControlPlane {
    /// What altered a flag's answer for a context, up to a time or an entry; newest first.
    ///
    /// Only what stands before `before` is told. At most `limit` are told and [`MAX_AUDITED_ENTRIES`] looked at.
    pub async fn alterations(
        &self,
        environment: &EnvironmentId,
        flag: &FlagKey,
        context: &Context,
        when: When,
        before: Option<AlterationPlace>,
        limit: usize,
    ) -> Result<Alterations, ControlError> {
        let when = before.map_or(when, |(time, _)| When::at(Instant::from_millis(time)));
        let (last, mut end) = self.state_and_time(when).await?;
        let holes = Holes::of(&*self.inner.folded.state().await?);
        let subject = Subject { control: self, environment, flag, context, holes: &holes };
        let mut items: Vec<Alteration> = Vec::new();
        let mut high = last.seq();
        while high > 0 {
            let low = high.saturating_sub(STRETCH);
            let (stretch, begin) = self.stretch(subject, low, high, end).await?;
            for alteration in stretch.into_iter().rev() {
                if before.is_some_and(|before| alteration.place() >= before) {
                    continue;
                }
                if items.len() >= limit {
                    let next = items.last().map(Alteration::place);
                    return Ok(Alterations { items, next });
                }
                items.push(alteration);
            }
            (high, end) = (low, begin);
            if high > 0 && last.seq().saturating_sub(high) >= MAX_AUDITED_ENTRIES {
                let next = Some((end.millis(), high.saturating_add(1)));
                return Ok(Alterations { items, next });
            }
        }
        Ok(Alterations { items, next: None })
    }

    /// The alterations by the entries after `low` up to `high`, and by time until `end`, oldest first; and the time of
    /// the first of these entries.
    async fn stretch(
        &self,
        subject: Subject<'_>,
        low: u64,
        high: u64,
        end: Instant,
    ) -> Result<(Vec<Alteration>, Instant), ControlError> {
        let folded = &self.inner.folded;
        let mut state = match low {
            0 => State::new(folded.project().clone()),
            low => State::clone(&*folded.state_at_seq(low).await?),
        };
        let count = usize::try_from(high.saturating_sub(low)).unwrap_or(usize::MAX);
        let mut entries = Vec::with_capacity(count);
        while entries.len() < count {
            let after = low.saturating_add(entries.len() as u64);
            let page =
                folded.log().read(folded.project(), after, count.saturating_sub(entries.len())).await?;
            if page.is_empty() {
                break;
            }
            entries.extend(page);
        }
        let begin = entries.first().map_or(end, |entry| Instant::from_millis(entry.header.time_ms));
        let mut walk = Walk::from(subject, &state, begin).await?;
        for entry in &entries {
            state.apply(entry)?;
            walk.entry(entry, &state).await?;
        }
        walk.pass(end);
        Ok((walk.alterations, begin))
    }
}

/// Whose answer it is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    control: &'a ControlPlane,
    environment: &'a EnvironmentId,
    flag: &'a FlagKey,
    context: &'a Context,
    holes: &'a Holes,
}

impl Subject<'_> {
    async fn compiled(self, state: &State) -> Result<Option<Known>, ControlError> {
        let Some(environment) = state.environment(self.environment.as_str()) else { return Ok(None) };
        let compiled = Compiled::of(self.control, environment, self.flag).await?;
        let whole = self.holes.check_reach(environment, &compiled.reach).is_ok();
        Ok(Some(Known { compiled, whole }))
    }

    fn answer(self, known: Option<&Known>, at: Instant) -> Answer {
        let known = known.filter(|known| known.whole && known.compiled.has(self.flag));
        known
            .map(|known| &known.compiled)
            .map(|compiled| compiled.snapshot.evaluate(self.flag.as_str(), None, self.context, at).to_json())
    }
}

/// What the flag depends on.
struct Known {
    compiled: Compiled,
    /// Whether nothing of it has been erased.
    whole: bool,
}

/// Details, if there is such a flag, and nothing that they depend on has been erased.
type Answer = Option<Json<'static>>;

/// Whether two answers give somebody something else: another value, variation, or rule.
fn differ(a: &Answer, b: &Answer) -> bool {
    let told = |answer: &Answer| {
        let members = ["value", "variation", "rule"];
        answer.as_ref().map(|json| members.map(|name| json.member(name).map(Json::to_canonical)))
    };
    told(a) != told(b)
}

/// A walk through time: what is compiled, what it answers, and since when.
struct Walk<'a> {
    subject: Subject<'a>,
    known: Option<Known>,
    /// Moments at which the answer may change by itself.
    points: Vec<Instant>,
    answer: Answer,
    now: Instant,
    alterations: Vec<Alteration>,
}

impl<'a> Walk<'a> {
    async fn from(subject: Subject<'a>, state: &State, now: Instant) -> Result<Self, ControlError> {
        let known = subject.compiled(state).await?;
        let points = known.as_ref().map(|known| points(&known.compiled)).unwrap_or_default();
        let answer = subject.answer(known.as_ref(), now);
        Ok(Self { subject, known, points, answer, now, alterations: Vec::new() })
    }

    /// An entry, already folded into `state`.
    async fn entry(&mut self, entry: &Entry, state: &State) -> Result<(), ControlError> {
        let entities = self.touched(entry);
        if entities.is_empty() {
            return Ok(());
        }
        let time = Instant::from_millis(entry.header.time_ms.max(self.now.millis()));
        self.pass(time);
        self.known = self.subject.compiled(state).await?;
        self.points = self.known.as_ref().map(|known| points(&known.compiled)).unwrap_or_default();
        let data = entry.read_data().ok().flatten();
        let (actor_name, reason) = data.map_or((None, None), |data| (data.actor_name, data.reason));
        let actor = entry.header.actor.clone();
        self.turn(time, AlteredBy::Entry { seq: entry.seq(), actor, actor_name, reason, entities });
        Ok(())
    }

    /// What an entry changes of what the flag depends on, or of the flag itself.
    fn touched(&self, entry: &Entry) -> Vec<String> {
        let Subject { environment, flag, .. } = self.subject;
        let reaches = |reached: Reached| {
            self.known.as_ref().is_some_and(|known| known.compiled.reach.lines.contains_key(&reached))
        };
        let concerns = |entity: &Entity| match entity {
            Entity::Flag(key) => key == flag || reaches(Reached::Flag(key.as_str().into())),
            Entity::Targeting(of, key) => {
                of == environment && (key == flag || reaches(Reached::Flag(key.as_str().into())))
            }
            Entity::Segment(of, key) => of == environment && reaches(Reached::Segment(key.as_str().into())),
            Entity::List(of, key) => {
                let looks_in = |known: &Known| known.compiled.reach.lists.contains_key(key);
                of == environment && self.known.as_ref().is_some_and(looks_in)
            }
            // A new environment has its flags.
            Entity::Environment(of) => of == environment && self.known.is_none(),
            _ => false,
        };
        let touched = entry.header.changes.iter().map(|change| &change.entity);
        touched.filter(|entity| concerns(entity)).map(ToString::to_string).collect()
    }

    /// Time goes on to `end`, and schedules with it.
    fn pass(&mut self, end: Instant) {
        let points: Vec<_> = self
            .points
            .iter()
            .copied()
            .filter(|point| *point > self.now && *point < end)
            .chain([end])
            .collect();
        for point in points {
            self.flips(point);
            self.turn(point, AlteredBy::Schedule);
        }
    }

    /// Changes before `point`, between the moments that are written down: those of linear ramps.
    fn flips(&mut self, point: Instant) {
        let last = Instant::from_millis(point.millis().saturating_sub(1));
        for _ in 0..MAX_FLIPS {
            if last <= self.now || !differ(&self.answer, &self.answer_at(last)) {
                return;
            }
            let (mut same, mut other) = (self.now.millis(), last.millis());
            while other.saturating_sub(same) > 1 {
                let middle = same.midpoint(other);
                if differ(&self.answer, &self.answer_at(Instant::from_millis(middle))) {
                    other = middle;
                } else {
                    same = middle;
                }
            }
            self.turn(Instant::from_millis(other), AlteredBy::Schedule);
        }
    }

    fn answer_at(&self, at: Instant) -> Answer {
        self.subject.answer(self.known.as_ref(), at)
    }

    /// The answer at a moment, and an alteration if it is another one.
    fn turn(&mut self, time: Instant, by: AlteredBy) {
        let to = self.answer_at(time);
        self.now = time;
        if differ(&self.answer, &to) {
            let from = self.answer.clone();
            self.alterations.push(Alteration { time, by, from, to: to.clone() });
        }
        self.answer = to;
    }
}

/// The moments that lines name: points of ramps, and bounds of times; ascending.
fn points(compiled: &Compiled) -> Vec<Instant> {
    let mut found = BTreeSet::new();
    for line in compiled.reach.lines.values().flatten() {
        if let Ok(json) = Json::parse(line.as_bytes()) {
            collect(&json, &mut found);
        }
    }
    found.into_iter().collect()
}

fn collect(json: &Json<'_>, found: &mut BTreeSet<Instant>) {
    let instant = |json: &Json<'_>| json.as_str().and_then(|text| Instant::parse(text).ok());
    for (name, value) in json.as_object().unwrap_or_default() {
        match (name.as_ref(), value) {
            ("ramp", Json::Array(points)) => {
                let times = points.iter().filter_map(|point| point.as_array()?.first());
                found.extend(times.filter_map(instant));
            }
            ("time", Json::Object(bounds)) => {
                found.extend(bounds.iter().filter_map(|(_, bound)| instant(bound)));
            }
            // Values and operands may look like anything.
            ("values" | "meta" | "in", _) => {}
            (_, inside) => collect(inside, found),
        }
    }
    json.as_array().unwrap_or_default().iter().for_each(|element| collect(element, found));
}
