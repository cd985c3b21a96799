//! What the admin function asks of the publish function, and its answers: the port [`Publishing`] as events.
//!
//! [`Publishing`]: flagstone_publisher::publish::Publishing

use std::collections::{BTreeMap, BTreeSet};

use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::publish::{Lost, Progress, PublicationState, PublishError, Standing};
use flagstone_publisher::trial::{Course, Race, Trial, Verdict};
use serde::{Deserialize, Serialize};

/// An event of the publish function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Asked {
    /// Announce what the log holds up to `seq`.
    Publish { stream: StreamWire, seq: u64 },
    /// Build a stream anew.
    Rebuild { stream: StreamWire },
    /// Put right one stream or all of them.
    Sweep { stream: Option<StreamWire> },
    /// How a stream stands.
    Standing { stream: StreamWire },
    /// When what is announced was issued.
    Announced { stream: StreamWire },
    /// What an adoption would give up.
    Lost { stream: StreamWire },
    /// Adopt what is announced.
    Adopt { stream: StreamWire, lost: LostWire, covered: HeadWire },
    /// Try the stores.
    Try,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer<T> {
    /// It is done.
    Done(T),
    /// The stream, or a store, is not as it should be.
    Error(ErrorWire),
}

/// A stream as `PROJECT/ENVIRONMENT/VIEW`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct StreamWire(pub(crate) Stream);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgressWire {
    version: u64,
    serial: u64,
    covered_seq: u64,
    announced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StandingWire {
    withheld: BTreeSet<String>,
    alarm: Option<ErrorWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LostWire {
    epoch: u64,
    version: u64,
    serial: u64,
    content: DigestWire,
    replaced: u64,
    anchor: Option<HeadWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadWire {
    seq: u64,
    hash: DigestWire,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrialWire {
    races: Vec<RaceWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RaceWire {
    race: String,
    won: usize,
    verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct DigestWire(Digest);

/// An error with its code, in words, and the numbers that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorWire {
    pub(crate) code: String,
    pub(crate) detail: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) figures: BTreeMap<String, u64>,
}

impl TryFrom<String> for StreamWire {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parse = || {
            let mut parts = text.split('/');
            let stream = Stream {
                project: ProjectId::parse(parts.next()?).ok()?,
                environment: EnvironmentId::parse(parts.next()?).ok()?,
                view: ViewId::parse(parts.next()?).ok()?,
            };
            parts.next().is_none().then_some(Self(stream))
        };
        parse().ok_or("`stream` is not PROJECT/ENVIRONMENT/VIEW")
    }
}

impl From<StreamWire> for String {
    fn from(stream: StreamWire) -> Self {
        stream.0.to_string()
    }
}

impl TryFrom<String> for DigestWire {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Digest::parse(&text).map(Self).ok_or("a digest is 64 lower-case hex digits")
    }
}

impl From<DigestWire> for String {
    fn from(digest: DigestWire) -> Self {
        digest.0.to_string()
    }
}

impl From<LogHead> for HeadWire {
    fn from(LogHead { seq, hash }: LogHead) -> Self {
        Self { seq, hash: DigestWire(hash) }
    }
}

impl From<HeadWire> for LogHead {
    fn from(HeadWire { seq, hash }: HeadWire) -> Self {
        Self { seq, hash: hash.0 }
    }
}

impl From<Lost> for LostWire {
    fn from(Lost { epoch, version, serial, content, replaced, anchor }: Lost) -> Self {
        let (content, anchor) = (DigestWire(content), anchor.map(Into::into));
        Self { epoch, version, serial, content, replaced, anchor }
    }
}

impl From<LostWire> for Lost {
    fn from(LostWire { epoch, version, serial, content, replaced, anchor }: LostWire) -> Self {
        let (content, anchor) = (content.0, anchor.map(Into::into));
        Self { epoch, version, serial, content, replaced, anchor }
    }
}

impl From<Progress> for ProgressWire {
    fn from(Progress { version, serial, covered_seq, state }: Progress) -> Self {
        Self { version, serial, covered_seq, announced: state == PublicationState::Announced }
    }
}

impl From<ProgressWire> for Progress {
    fn from(ProgressWire { version, serial, covered_seq, announced }: ProgressWire) -> Self {
        let state = if announced { PublicationState::Announced } else { PublicationState::Pending };
        Self { version, serial, covered_seq, state }
    }
}

impl From<Standing> for StandingWire {
    fn from(Standing { withheld, alarm }: Standing) -> Self {
        Self { withheld, alarm: alarm.as_ref().map(Into::into) }
    }
}

impl From<StandingWire> for Standing {
    fn from(StandingWire { withheld, alarm }: StandingWire) -> Self {
        Self { withheld, alarm: alarm.map(Into::into) }
    }
}

impl From<Trial> for TrialWire {
    fn from(Trial { races }: Trial) -> Self {
        let wire = |Race { course, won, verdict }| RaceWire {
            race: Course::as_str(course).to_owned(),
            won,
            verdict: Verdict::as_str(verdict).to_owned(),
        };
        Self { races: races.into_iter().map(wire).collect() }
    }
}

impl TrialWire {
    /// The trial, unless a later release has told of something that this one does not know.
    pub(crate) fn read(self) -> Option<Trial> {
        let read = |RaceWire { race, won, verdict }: RaceWire| {
            let course = Course::ALL.into_iter().find(|course| course.as_str() == race)?;
            let verdict = Verdict::ALL.into_iter().find(|known| known.as_str() == verdict)?;
            Some(Race { course, won, verdict })
        };
        Some(Trial { races: self.races.into_iter().map(read).collect::<Option<_>>()? })
    }
}

impl ErrorWire {
    /// An error that names no numbers.
    pub(crate) fn plain(code: &str, detail: &impl ToString) -> Self {
        Self { code: code.to_owned(), detail: detail.to_string(), figures: BTreeMap::new() }
    }
}

impl From<&PublishError> for ErrorWire {
    fn from(error: &PublishError) -> Self {
        let figures: &[(&str, u64)] = match error {
            PublishError::Unclaimed { version, serial, claimed_version, claimed_serial } => &[
                ("version", *version),
                ("serial", *serial),
                ("claimed_version", *claimed_version),
                ("claimed_serial", *claimed_serial),
            ],
            PublishError::ArchiveDiffers { version } => &[("version", *version)],
            PublishError::LogBehind { head, covered } => &[("head", *head), ("covered", *covered)],
            PublishError::OlderBuilder { own, claimed } => &[("own", *own), ("claimed", *claimed)],
            _ => &[],
        };
        let figures = figures.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        Self { code: error.code().to_owned(), detail: error.to_string(), figures }
    }
}

impl From<ErrorWire> for PublishError {
    /// What the control plane tells apart is the same error here as there; any other keeps its code and its words.
    fn from(error: ErrorWire) -> Self {
        let figure = |name: &str| error.figures.get(name).copied();
        let found = match error.code.as_str() {
            "unclaimed-manifest" => (|| {
                Some(Self::Unclaimed {
                    version: figure("version")?,
                    serial: figure("serial")?,
                    claimed_version: figure("claimed_version")?,
                    claimed_serial: figure("claimed_serial")?,
                })
            })(),
            "archive-differs" => figure("version").map(|version| Self::ArchiveDiffers { version }),
            "log-behind" => {
                figure("head").zip(figure("covered")).map(|(head, covered)| Self::LogBehind { head, covered })
            }
            "builder-older" => {
                figure("own").zip(figure("claimed")).map(|(own, claimed)| Self::OlderBuilder { own, claimed })
            }
            "nothing-to-adopt" => Some(Self::NothingToAdopt),
            "contended" => Some(Self::Contended),
            "publication-timeout" => Some(Self::TimedOut),
            "publisher-unavailable"
            | "signer-unavailable"
            | "storage-busy"
            | "storage-unavailable"
            | "store-busy"
            | "store-unavailable" => {
                Some(Self::Unavailable { source: format!("{} ({})", error.detail, error.code).into() })
            }
            _ => None,
        };
        found.unwrap_or(Self::Failed { code: error.code, detail: error.detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamWire {
        StreamWire::try_from("shop/production/server".to_owned()).unwrap()
    }

    #[test]
    fn events_are_what_the_manual_says() {
        let hash = "ab".repeat(32);
        let lost = format!(
            r#"{{"epoch":1,"version":4,"serial":5,"content":"{hash}","replaced":2,"anchor":{{"seq":9,"hash":"{hash}"}}}}"#
        );
        for text in [
            r#"{"do":"publish","stream":"shop/production/server","seq":7}"#.to_owned(),
            r#"{"do":"rebuild","stream":"shop/production/server"}"#.to_owned(),
            r#"{"do":"sweep","stream":null}"#.to_owned(),
            r#"{"do":"standing","stream":"shop/production/server"}"#.to_owned(),
            r#"{"do":"announced","stream":"shop/production/server"}"#.to_owned(),
            r#"{"do":"lost","stream":"shop/production/server"}"#.to_owned(),
            r#"{"do":"try"}"#.to_owned(),
            format!(
                r#"{{"do":"adopt","stream":"shop/production/server","lost":{lost},"covered":{{"seq":9,"hash":"{hash}"}}}}"#
            ),
        ] {
            let asked: Asked = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&asked).unwrap(), text);
        }
        let sweep: Asked = serde_json::from_str(r#"{"do":"sweep"}"#).unwrap();
        assert_eq!(sweep, Asked::Sweep { stream: None });
        assert_eq!(
            serde_json::from_str::<Asked>(r#"{"do":"publish","stream":"shop/production/server","seq":7}"#)
                .unwrap(),
            Asked::Publish { stream: stream(), seq: 7 }
        );
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in [
            r#"{"do":"publish","stream":"shop/production/server"}"#,
            r#"{"do":"publish","stream":"shop/production/server","seq":-1}"#,
            r#"{"do":"publish","stream":"shop/production/server","seq":1,"more":1}"#,
            r#"{"do":"rebuild","stream":"shop/production"}"#,
            r#"{"do":"rebuild","stream":"shop/production/server/more"}"#,
            r#"{"do":"rebuild","stream":"Shop/production/server"}"#,
            r#"{"do":"nothing"}"#,
            r#"{"stream":"shop/production/server"}"#,
        ] {
            assert!(serde_json::from_str::<Asked>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_trial_comes_back_as_it_went_unless_it_has_a_word_of_a_later_release() {
        let races: Vec<_> = Course::ALL
            .into_iter()
            .flat_map(|course| Verdict::ALL.map(|verdict| Race { course, won: 2, verdict }))
            .collect();
        let text = serde_json::to_string(&TrialWire::from(Trial { races: races.clone() })).unwrap();
        let read = |text: &str| serde_json::from_str::<TrialWire>(text).unwrap().read();
        assert_eq!(read(&text), Some(Trial { races }));
        assert_eq!(read(&text.replacen("replace", "erase", 1)), None);
        assert_eq!(read(&text.replacen("unclear", "drawn", 1)), None);
    }

    #[test]
    fn what_the_control_plane_tells_apart_comes_back_as_it_went() {
        for error in [
            PublishError::Unclaimed { version: 4, serial: 5, claimed_version: 2, claimed_serial: 3 },
            PublishError::ArchiveDiffers { version: 2 },
            PublishError::LogBehind { head: 1, covered: 2 },
            PublishError::OlderBuilder { own: 6, claimed: 7 },
            PublishError::NothingToAdopt,
            PublishError::Contended,
            PublishError::TimedOut,
        ] {
            let text = serde_json::to_string(&ErrorWire::from(&error)).unwrap();
            let back = PublishError::from(serde_json::from_str::<ErrorWire>(&text).unwrap());
            assert_eq!((back.code(), back.to_string()), (error.code(), error.to_string()));
            assert_eq!(back.is_alarm(), error.is_alarm());
        }
        let other = PublishError::from(ErrorWire::from(&PublishError::ObjectTaken));
        assert_eq!(
            other.to_string(),
            "the publisher failed: an object could not be stored under its digest (object-taken)"
        );
        let cut = ErrorWire { code: "log-behind".into(), detail: "?".into(), figures: BTreeMap::new() };
        assert_eq!(PublishError::from(cut).code(), "publisher-failed", "never an alarm without its figures");
    }
}
