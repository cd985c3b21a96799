//! The verbs of views, and of what clients may know of attributes.

use clap::{Args, Subcommand};
use flagstone_model::key::ViewId;
use flagstone_model::path::Path;

use crate::args::{ApiArgs, ListArgs, WriteArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AttributeVerb {
    /// What is declared; any other attribute is private.
    #[command(after_help = "Example:\n  flagstone attribute list --json")]
    List(ListArgs),
    /// Declares attributes, and keeps what is declared of others.
    #[command(after_help = "\
Examples:
  flagstone attribute set country=public app.version=public
  flagstone attribute set email=hashed targetingKey=hashed -m 'the web bundle targets our own people'

public: what it is compared with stands in public views as it is. hashed: strings stand there as salted digests, which \
whoever can guess one can confirm. private: a client-visible flag does not test it. A declaration covers what lies \
below its path, unless that is declared itself.")]
    Set(AttributeSet),
    /// Takes declarations back: the attributes are private, or what is declared above them.
    #[command(after_help = "Example:\n  flagstone attribute unset email")]
    Unset(AttributeUnset),
}

#[derive(Debug, Args)]
pub(crate) struct AttributeSet {
    /// What an attribute is to clients: public, hashed, or private; may stand there several times.
    #[arg(value_name = "PATH=VISIBILITY", required = true)]
    pub(crate) declared: Vec<Declared>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AttributeUnset {
    /// The attributes.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<Path>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ViewVerb {
    /// All views; `server` and `client` are in every project.
    #[command(after_help = "Example:\n  flagstone view list")]
    List(ListArgs),
    /// Makes a view, or changes which flags it has.
    #[command(after_help = "\
Examples:
  flagstone view set mobile --audience public --include tag --tag mobile
  flagstone view set checkout --audience keyed --include tag --tag checkout

A public view is read without a key. It has client-visible flags only, and shows no more of them than clients may know. \
Its connection string ends in `&view=ID&access=open`.")]
    Set(ViewSet),
    /// Publishes a view no more. Its id is never used again.
    #[command(
        after_help = "Example:\n  flagstone view delete mobile -m 'the app has its flags from the web bundle'"
    )]
    Delete(ViewDelete),
}

#[derive(Debug, Args)]
pub(crate) struct ViewSet {
    /// Its id.
    pub(crate) id: ViewId,
    /// Who may read it: keyed or public. Of a view that is there, it stays what it is.
    #[arg(long, value_name = "AUDIENCE", value_parser = ["keyed", "public"])]
    pub(crate) audience: String,
    /// Which flags it has: all, client, or tag.
    #[arg(long, value_name = "WHICH", value_parser = ["all", "client", "tag"])]
    pub(crate) include: String,
    /// The tag of its flags, with `--include tag`.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ViewDelete {
    /// Its id.
    pub(crate) id: ViewId,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// `PATH=VISIBILITY`.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) path: Path,
    pub(crate) visibility: String,
}

impl std::str::FromStr for Declared {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, visibility) =
            text.rsplit_once('=').ok_or("a declaration is PATH=VISIBILITY, such as country=public")?;
        let path = Path::parse(path).map_err(|error| error.to_string())?;
        if !["public", "hashed", "private"].contains(&visibility) {
            return Err(format!("an attribute is public, hashed, or private, not `{visibility}`"));
        }
        Ok(Self { path, visibility: visibility.to_owned() })
    }
}
