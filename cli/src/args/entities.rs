//! The verbs of flags, segments, and environments.

use clap::{Args, Subcommand};
use std::path::PathBuf;

use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, SegmentKey, VariationKey};

use crate::args::{ApiArgs, WriteArgs};
use crate::given::Given;

#[derive(Debug, Subcommand)]
pub(crate) enum FlagVerb {
    /// Defines a flag. It is off in every environment.
    #[command(after_help = "\
Examples:
  flagstone flag create new-checkout --owner team-checkout --tag checkout
  flagstone flag create search --type string --variation classic='\"v1\"' --variation neural='\"v2\"' --kind experiment
  flagstone flag create --body @flag.json")]
    Create(Box<FlagCreate>),
    /// All flags, with their state in one environment.
    #[command(after_help = "Example:\n  flagstone flag list -e staging")]
    List(ListArgs),
    /// A flag's definition, and its targeting in one environment.
    #[command(after_help = "Example:\n  flagstone flag show new-checkout -e staging")]
    Show(FlagShow),
    /// Changes a definition, or replaces the targeting in one environment.
    #[command(after_help = "\
Examples:
  flagstone flag edit new-checkout --description 'The new checkout' --tag checkout
  flagstone flag edit new-checkout --patch '{\"owner\":null}'
  flagstone flag edit new-checkout -e staging --targeting @targeting.json")]
    Edit(Box<FlagEdit>),
    /// Archives a flag everywhere. Its key is never used again.
    #[command(after_help = "Example:\n  flagstone flag archive new-checkout --reason 'it is everywhere'")]
    Archive(FlagArchive),
}

/// What a definition says besides key, type, and variations.
#[derive(Debug, Clone, Args)]
pub(crate) struct DefinitionArgs {
    /// Why it exists: release, kill-switch, experiment, permission, ops.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// What it decides, for people.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// A tag; may stand there several times.
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Who answers for it.
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    /// Whether browsers and apps may see it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) client_visible: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct FlagCreate {
    /// Its key.
    #[arg(required_unless_present = "body")]
    pub(crate) key: Option<FlagKey>,
    /// bool, string, int, float, or json [bool].
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) flag_type: Option<String>,
    /// A variation; may stand there several times. A bool flag has `on` and `off`.
    #[arg(long = "variation", value_name = "NAME=JSON")]
    pub(crate) variations: Vec<Variation>,
    #[command(flatten)]
    pub(crate) definition: DefinitionArgs,
    /// The whole definition: JSON, @FILE, or - for standard input. Options win over it.
    #[arg(long, value_name = "JSON")]
    pub(crate) body: Option<Given>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FlagShow {
    /// The flag.
    pub(crate) key: FlagKey,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FlagEdit {
    /// The flag.
    pub(crate) key: FlagKey,
    #[command(flatten)]
    pub(crate) definition: DefinitionArgs,
    /// A merge patch of the definition: JSON, @FILE, or -. Options win over it.
    #[arg(long, value_name = "JSON", conflicts_with = "targeting")]
    pub(crate) patch: Option<Given>,
    /// The whole targeting in the environment instead: JSON, @FILE, or -.
    #[arg(long, value_name = "JSON", conflicts_with_all = ["kind", "description", "tags", "owner", "client_visible"])]
    pub(crate) targeting: Option<Given>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FlagArchive {
    /// The flag.
    pub(crate) key: FlagKey,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SegmentVerb {
    /// All segments of the environment.
    #[command(after_help = "Example:\n  flagstone segment list -e staging")]
    List(ListArgs),
    /// One segment.
    #[command(after_help = "Example:\n  flagstone segment show staff")]
    Show(SegmentShow),
    /// Writes a segment, new or over the one that is there.
    #[command(after_help = "\
Example:
  flagstone segment put staff '{\"rules\":[{\"if\":[{\"attr\":\"email\",\"ends\":[\"@example.com\"]}]}]}'")]
    Put(SegmentPut),
    /// Deletes a segment that nothing refers to.
    #[command(after_help = "Example:\n  flagstone segment delete staff -e staging")]
    Delete(SegmentDelete),
}

#[derive(Debug, Args)]
pub(crate) struct SegmentShow {
    /// The segment.
    pub(crate) key: SegmentKey,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SegmentPut {
    /// The segment.
    pub(crate) key: SegmentKey,
    /// {"include":[],"exclude":[],"rules":[{"if":[…]}]}: JSON, @FILE, or -.
    #[arg(value_name = "JSON")]
    pub(crate) body: Given,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SegmentDelete {
    /// The segment.
    pub(crate) key: SegmentKey,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ListVerb {
    /// All lists of the environment.
    #[command(after_help = "Example:\n  flagstone list list -e staging")]
    List(ListArgs),
    /// What a list is: how many keys, in which object.
    #[command(after_help = "Example:\n  flagstone list show vips")]
    Show(ListShow),
    /// Writes a list whole, new or over the one that is there: one key a line.
    #[command(after_help = "\
Examples:
  flagstone list put vips vips.txt
  psql -Atc 'select id from customers where vip' | flagstone list put vips -")]
    Put(ListPut),
    /// Adds keys to a list.
    #[command(after_help = "\
Examples:
  flagstone list add vips u-900001 u-900002
  flagstone list add vips - < new.txt                   one key a line")]
    Add(ListEdit),
    /// Drops keys from a list.
    #[command(after_help = "Example:\n  flagstone list drop vips u-7")]
    Drop(ListEdit),
    /// Whether a list has a key. The exit status is 0 or 1.
    #[command(after_help = "Example:\n  flagstone list contains vips u-7 && echo yes")]
    Contains(ListContains),
    /// Writes the keys of a list to standard output, one a line.
    #[command(after_help = "Example:\n  flagstone list keys vips > vips.txt")]
    Keys(ListShow),
    /// Deletes a list that nothing refers to.
    #[command(after_help = "Example:\n  flagstone list delete vips -e staging")]
    Delete(ListDelete),
}

#[derive(Debug, Args)]
pub(crate) struct ListShow {
    /// The list.
    pub(crate) key: ListKey,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListPut {
    /// The list.
    pub(crate) key: ListKey,
    /// A file with one key a line, in UTF-8; - is standard input.
    pub(crate) file: PathBuf,
    /// Makes a new object even where an edit of the present one would do, so that no other key stands anywhere in the
    /// list: before a key is erased.
    #[arg(long)]
    pub(crate) rebase: bool,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListEdit {
    /// The list.
    pub(crate) key: ListKey,
    /// The keys; - reads them from standard input, one a line.
    #[arg(required = true, value_name = "KEYS")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListContains {
    /// The list.
    pub(crate) key: ListKey,
    /// The key that is looked for.
    #[arg(value_name = "LISTED")]
    pub(crate) listed: String,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListDelete {
    /// The list.
    pub(crate) key: ListKey,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnvVerb {
    /// All environments of the project.
    #[command(after_help = "Example:\n  flagstone env list --json")]
    List(ListArgs),
    /// Creates an environment: every flag is off in it, or it is a copy of another.
    #[command(after_help = "\
Examples:
  flagstone env create qa --name Quality
  flagstone env create preview --copy-from production")]
    Create(EnvCreate),
    /// Changes what an environment is called. Its id stays.
    #[command(after_help = "\
Examples:
  flagstone env edit production --name Live
  flagstone env edit qa --description ''                takes the description away")]
    Edit(EnvEdit),
}

#[derive(Debug, Args)]
pub(crate) struct EnvCreate {
    /// Its id.
    pub(crate) id: EnvironmentId,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Begins with all targetings and segments of this one; the same users get the same variations.
    #[arg(long, value_name = "ENVIRONMENT")]
    pub(crate) copy_from: Option<EnvironmentId>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EnvEdit {
    /// Its id.
    pub(crate) id: EnvironmentId,
    /// What people call it; empty takes the name away.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// What it is for; empty takes the description away.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// `NAME=JSON`.
#[derive(Debug, Clone)]
pub(crate) struct Variation {
    pub(crate) name: VariationKey,
    pub(crate) value: Given,
}

impl std::str::FromStr for Variation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("a variation is NAME=JSON, such as on=true")?;
        let name = VariationKey::parse(name).map_err(|error| error.to_string())?;
        Ok(Self { name, value: Given::Text(value.to_owned()) })
    }
}
