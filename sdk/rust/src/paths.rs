//! Where the objects of a stream are (FORMAT T-3.7).

use flagstone_bundle::container::Encoding;
use flagstone_bundle::manifest::Stream;
use flagstone_model::digest::Digest;

use crate::connection::{Access, Connection};

/// Makes paths below a base URL, each beginning with a slash.
#[derive(Debug)]
pub(crate) struct Paths {
    stream: Stream,
    access: Access,
}

impl Paths {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self { stream: connection.stream().clone(), access: connection.access() }
    }

    /// Whether the objects lie under `closed/`. Roots never do.
    pub(crate) fn are_closed(&self) -> bool {
        self.access == Access::Closed
    }

    pub(crate) fn manifest(&self) -> String {
        let Stream { environment, view, .. } = &self.stream;
        format!("{}/e/{environment}/{view}/manifest", self.versioned())
    }

    pub(crate) fn root(&self, number: u64) -> String {
        format!("/open/{}/v1/root/{number}", self.stream.project)
    }

    pub(crate) fn snapshot(&self, sha256: Digest, encoding: Encoding) -> String {
        format!("{}/s/{sha256}.jsonl.{}", self.versioned(), extension(encoding))
    }

    pub(crate) fn delta(&self, sha256: Digest, encoding: Encoding) -> String {
        format!("{}/d/{sha256}.jsonl.{}", self.versioned(), extension(encoding))
    }

    /// Lists are never in public views: they lie under `closed/`, whatever the stream does.
    pub(crate) fn list(&self, sha256: Digest) -> String {
        format!("/closed/{}/v1/k/{sha256}.txt.zst", self.stream.project)
    }

    fn versioned(&self) -> String {
        format!("/{}/{}/v1", self.access.as_str(), self.stream.project)
    }
}

const fn extension(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gz",
        // A later encoding is refused before anything is fetched.
        _ => "zst",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_lie_where_the_format_says() {
        let digest = Digest::of(b"");
        let text = |view: &str| {
            format!("flagstone://cdn.example?project=shop&environment=production&view={view}&root=1:{digest}")
        };
        let paths = Paths::new(&Connection::parse(&text("server")).unwrap());
        assert_eq!(paths.manifest(), "/closed/shop/v1/e/production/server/manifest");
        assert_eq!(paths.root(3), "/open/shop/v1/root/3");
        assert_eq!(paths.snapshot(digest, Encoding::Zstd), format!("/closed/shop/v1/s/{digest}.jsonl.zst"));
        assert_eq!(paths.delta(digest, Encoding::Gzip), format!("/closed/shop/v1/d/{digest}.jsonl.gz"));
        assert_eq!(paths.list(digest), format!("/closed/shop/v1/k/{digest}.txt.zst"));
        let paths = Paths::new(&Connection::parse(&text("client")).unwrap());
        assert_eq!(paths.manifest(), "/open/shop/v1/e/production/client/manifest");
        assert!(!paths.are_closed());
    }
}
