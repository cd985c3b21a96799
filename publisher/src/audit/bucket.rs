//! What is announced: read without the right to write, and verified.

use flagstone_bundle::content::Content;
use flagstone_bundle::manifest::{Manifest, Stream, UnverifiedManifest};
use flagstone_bundle::root::{Pin, Root, UnverifiedRoot};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

use super::lists::{self, Last};
use super::{Fault, PublishedObjects};
use crate::list::ListContent;
use crate::publish::{Access, Layout};
use crate::store::{ObjectPath, StoreError};

/// A manifest, and the path in the bucket where it lies.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) manifest: Manifest,
}

/// Everything one stream has ever announced that is still there.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) stream: Stream,
    /// Where its objects lie.
    pub(super) access: Access,
    /// The manifest that clients poll.
    pub(super) newest: Option<Found>,
    /// The archive, by version.
    pub(super) archived: Vec<Found>,
}

/// The bucket of one project.
pub(super) struct Bucket<'p> {
    published: &'p dyn PublishedObjects,
    project: &'p ProjectId,
    root: Option<Root>,
    lists: Last,
}

impl<'p> Bucket<'p> {
    /// Manifests are checked against the root document `kept`, else against the one that is published.
    pub(super) async fn open(
        published: &'p dyn PublishedObjects,
        project: &'p ProjectId,
        kept: Option<Vec<u8>>,
    ) -> Result<Self, Fault> {
        let mut bucket = Self { published, project, root: None, lists: Last::default() };
        bucket.root = bucket.read_root(kept).await?;
        Ok(bucket)
    }

    async fn read_root(&self, kept: Option<Vec<u8>>) -> Result<Option<Root>, Fault> {
        let path = format!("open/{}/v1/root/1", self.project);
        let published = self.read(&path).await?;
        let Some(file) = kept.as_ref().or(published.as_ref()) else { return Ok(None) };
        if kept.is_some() && published.is_some() && kept != published {
            return Err(Fault::of_object(
                "root-foreign",
                &path,
                "it is another root than the one beside the keys",
            ));
        }
        let payload = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let pin = Pin { root: 1, sha256: Digest::of(payload) };
        let root = UnverifiedRoot::parse(file)
            .map_err(|error| Fault::of_object(error.code(), &path, error))?
            .verify_pinned(&pin)
            .map_err(|error| Fault::of_object(error.code(), &path, error))?;
        Ok(Some(root))
    }

    /// All streams that were ever announced.
    pub(super) async fn streams(&self) -> Result<Vec<Announced>, Fault> {
        let mut streams = Vec::new();
        let Some(root) = &self.root else { return Ok(streams) };
        for access in [Access::Closed, Access::Open] {
            let base = format!("{}/{}/v1/e", access.as_str(), self.project);
            for environment in self.names(&base).await? {
                for view in self.names(&format!("{base}/{environment}")).await? {
                    let ids = (EnvironmentId::parse(&environment), ViewId::parse(&view));
                    let (Ok(environment), Ok(view)) = ids else { continue };
                    let stream = Stream { project: self.project.clone(), environment, view };
                    if [ViewId::server(), ViewId::client()].contains(&stream.view)
                        && access != Access::of(&stream)
                    {
                        let what = "objects of this view do not lie here";
                        return Err(Fault::of_object("view-misplaced", &base, what));
                    }
                    streams.push(self.announced(stream, access, root).await?);
                }
            }
        }
        Ok(streams)
    }

    async fn announced(&self, stream: Stream, access: Access, root: &Root) -> Result<Announced, Fault> {
        let path = path_of(Layout::new(&stream, access).manifest())?;
        let newest = self.manifest(&path, &stream, root).await?;
        let archive = format!("{}/m", path.trim_end_matches("/manifest"));
        let mut archived = Vec::new();
        for name in self.names(&archive).await? {
            let path = format!("{archive}/{name}");
            let Some(found) = self.manifest(&path, &stream, root).await? else { continue };
            if name != format!("{}-{}", found.manifest.epoch(), found.manifest.version()) {
                let what = format!(
                    "it holds epoch {}, version {}",
                    found.manifest.epoch(),
                    found.manifest.version()
                );
                return Err(Fault::of_object("archive-misnamed", &path, what));
            }
            archived.push(found);
        }
        archived.sort_by_key(|found| (found.manifest.epoch(), found.manifest.version()));
        Ok(Announced { stream, access, newest, archived })
    }

    /// Where a stream's manifest lies, and its serial, read again.
    pub(super) async fn newest(
        &self,
        stream: &Stream,
        access: Access,
    ) -> Result<(String, Option<u64>), Fault> {
        let path = path_of(Layout::new(stream, access).manifest())?;
        let Some(root) = &self.root else { return Ok((path, None)) };
        let found = self.manifest(&path, stream, root).await?;
        Ok((path, found.map(|found| found.manifest.serial())))
    }

    async fn manifest(&self, path: &str, stream: &Stream, root: &Root) -> Result<Option<Found>, Fault> {
        let Some(file) = self.read(path).await? else { return Ok(None) };
        let manifest = UnverifiedManifest::parse(&file)
            .map_err(|error| Fault::of_object(error.code(), path, error))?
            .verify(root, stream)
            .map_err(|error| Fault::of_object(error.code(), path, error))?;
        Ok(Some(Found { path: path.to_owned(), manifest }))
    }

    /// Checks that the snapshot a manifest names is there and is its content.
    pub(super) async fn check_snapshot(&self, found: &Found, access: Access) -> Result<(), Fault> {
        let Found { manifest, .. } = found;
        let path = path_of(Layout::new(manifest.stream(), access).snapshot(manifest.snapshot()))?;
        let stored = self.read(&path).await?.ok_or_else(|| {
            Fault::of_object("object-missing", &path, format!("version {} needs it", manifest.version()))
        })?;
        let content =
            manifest.open_snapshot(&stored).map_err(|error| Fault::of_object(error.code(), &path, error))?;
        manifest.check(&content).map_err(|error| Fault::of_object(error.code(), &path, error))?;
        self.check_lists(manifest.stream(), &content, &path).await
    }

    /// Checks that the objects of the lists that lines name are there, and hold what the lines say.
    async fn check_lists(&self, stream: &Stream, content: &Content, snapshot: &str) -> Result<(), Fault> {
        for line in content.lines().filter(|line| line.starts_with(b"{\"list\":")) {
            let of_line = |what: String| Fault::of_object("list-mismatch", snapshot, what);
            let (key, list) =
                ListContent::from_line(line).ok_or_else(|| of_line("a list cannot be read".to_owned()))?;
            let path = path_of(Layout::of(stream).list(&list.base))?;
            let fault = |code: &str, what: String| Fault::of_object(code, &path, what);
            let base = match self.lists.keys(&list.base) {
                Some(base) => base,
                None => self.lists.keep(&list.base, lists::open(&list.base, self.read(&path).await?, fault)?),
            };
            lists::check(list, base).map_err(|what| of_line(format!("list `{key}`: {what}")))?;
        }
        Ok(())
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.published.read(path).await.map_err(|error| Fault::unreadable(path, error))
    }

    async fn names(&self, path: &str) -> Result<Vec<String>, Fault> {
        self.published.names(path).await.map_err(|error| Fault::unreadable(path, error))
    }
}

fn path_of(path: Result<ObjectPath, StoreError>) -> Result<String, Fault> {
    path.map(|path| path.as_str().to_owned()).map_err(|error| Fault::new(error.code(), error))
}
