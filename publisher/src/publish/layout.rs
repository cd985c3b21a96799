//! Where the objects of a stream lie (FORMAT T-3.7).

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_bundle::manifest::Stream;

use crate::author::Audience;
use crate::store::{ObjectPath, StoreError};

/// Who may read the objects of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Whoever holds an SDK key.
    Closed,
}

impl Access {
    /// Of a view that is built in: `client` is open, every other one is closed.
    pub fn of(stream: &Stream) -> Self {
        if stream.view.as_str() == "client" { Self::Open } else { Self::Closed }
    }

    /// The first segment of a path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl From<Audience> for Access {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::Public => Self::Open,
            Audience::Keyed => Self::Closed,
        }
    }
}

/// The paths of one stream's objects.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'s> {
    stream: &'s Stream,
    access: Access,
}

impl<'s> Layout<'s> {
    /// The paths of a stream whose view is built in.
    pub fn of(stream: &'s Stream) -> Self {
        Self::new(stream, Access::of(stream))
    }

    /// The paths of a stream that so many may read.
    pub const fn new(stream: &'s Stream, access: Access) -> Self {
        Self { stream, access }
    }

    fn path(self, rest: &str) -> Result<ObjectPath, StoreError> {
        let access = self.access.as_str();
        ObjectPath::parse(&format!("{access}/{}/v1/{rest}", self.stream.project))
    }

    /// The manifest: the only object that changes.
    pub fn manifest(self) -> Result<ObjectPath, StoreError> {
        self.path(&format!("e/{}/{}/manifest", self.stream.environment, self.stream.view))
    }

    /// The archived manifest that announced a version first.
    pub fn archive(self, epoch: u64, version: u64) -> Result<ObjectPath, StoreError> {
        self.path(&format!("e/{}/{}/m/{epoch}-{version}", self.stream.environment, self.stream.view))
    }

    /// A stored snapshot.
    pub fn snapshot(self, object: &StoredObject) -> Result<ObjectPath, StoreError> {
        self.path(&format!("s/{}.jsonl.{}", object.sha256, extension(object.encoding)))
    }

    /// A stored delta.
    pub fn delta(self, object: &StoredObject) -> Result<ObjectPath, StoreError> {
        self.path(&format!("d/{}.jsonl.{}", object.sha256, extension(object.encoding)))
    }

    /// The stored keys of a list.
    pub fn list(self, object: &StoredObject) -> Result<ObjectPath, StoreError> {
        self.path(&format!("k/{}.txt.{}", object.sha256, extension(object.encoding)))
    }
}

fn extension(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gz",
        _ => "zst",
    }
}

#[cfg(test)]
mod tests {
    use flagstone_model::digest::Digest;
    use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

    use super::*;

    #[test]
    fn paths_are_the_published_ones() {
        let mut stream = Stream {
            project: ProjectId::parse("shop").unwrap(),
            environment: EnvironmentId::parse("production").unwrap(),
            view: ViewId::server(),
        };
        let object = StoredObject { encoding: Encoding::Zstd, sha256: Digest::of(b""), size: 1, raw_size: 1 };
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let layout = Layout::of(&stream);
        assert_eq!(layout.manifest().unwrap().as_str(), "closed/shop/v1/e/production/server/manifest");
        assert_eq!(layout.archive(1, 42).unwrap().as_str(), "closed/shop/v1/e/production/server/m/1-42");
        assert_eq!(layout.snapshot(&object).unwrap().as_str(), format!("closed/shop/v1/s/{empty}.jsonl.zst"));
        assert_eq!(layout.delta(&object).unwrap().as_str(), format!("closed/shop/v1/d/{empty}.jsonl.zst"));
        assert_eq!(layout.list(&object).unwrap().as_str(), format!("closed/shop/v1/k/{empty}.txt.zst"));
        stream.view = ViewId::parse("client").unwrap();
        let manifest = Layout::of(&stream).manifest().unwrap();
        assert_eq!(manifest.as_str(), "open/shop/v1/e/production/client/manifest");
    }
}
