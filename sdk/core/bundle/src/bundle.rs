//! Bundle files: roots, manifest, and content in one file (FORMAT T-5.1).
//!
//! The cache on disk, what is baked into an image, and a test vector are all this one file, and all of them are
//! verified like a download.

use flagstone_model::json::Json;
use flagstone_model::limits::{MAX_RAW_BYTES, MAX_STORED_BYTES};

use crate::container::{Caps, ContainerError, ZSTD_LEVEL, decode_frame, encode_zstd_level};
use crate::content::{Content, ContentError};
use crate::delta::DeltaLines;
use crate::framing::FramingError;
use crate::limits::{
    MAX_BUNDLE_BYTES, MAX_BUNDLE_DELTAS, MAX_BUNDLE_HEADER_BYTES, MAX_BUNDLE_ROOTS, MAX_FILE_BYTES,
};
use crate::manifest::{Manifest, ManifestError, Stream, UnverifiedManifest};
use crate::payload::{self, PayloadError};
use crate::root::{Pin, Root, RootError, UnverifiedRoot, root_number};

/// The format a bundle file of this version names.
pub const BUNDLE_FORMAT: &str = "flagstone/bundle/1";

/// Why a bundle file is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// More bytes than the file or one of its parts may have.
    #[error("{part}: {size} bytes, at most {cap} are allowed")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// Bytes.
        size: u64,
        /// Most allowed.
        cap: u64,
    },
    /// No header line.
    #[error("no header line of at most {MAX_BUNDLE_HEADER_BYTES} bytes")]
    NoHeader,
    /// A header that is no JSON of the right form.
    #[error("header: {0}")]
    Header(#[source] PayloadError),
    /// Of a later format.
    #[error("the format is {format:?}, this reads {BUNDLE_FORMAT:?}")]
    Unsupported {
        /// The format it names, cut at 64 characters.
        format: String,
    },
    /// Parts that are not roots, manifest, snapshot, and deltas, in this order.
    #[error("part {index} of the header is not what should stand there")]
    Parts {
        /// Place in `parts`, from 0.
        index: usize,
    },
    /// The parts do not fill the file exactly.
    #[error("the parts need {expected} bytes, the file has {actual}")]
    Length {
        /// Bytes by the header.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// A root is not trusted.
    #[error("root {number}: {source}")]
    Root {
        /// Its number by the header.
        number: u64,
        /// Why.
        source: RootError,
    },
    /// The manifest is not taken.
    #[error("manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// Lines that no signature or signed digest covers.
    #[error("{part}: holds lines that nothing proves")]
    Unproved {
        /// Which part.
        part: &'static str,
    },
    /// The manifest names a root that is not the last of the file.
    #[error("the manifest is signed under root {named}, the file ends with root {last}")]
    OtherRoot {
        /// Number the manifest names.
        named: u64,
        /// Number of the last root.
        last: u64,
    },
    /// The snapshot or a delta does not unpack.
    #[error("{part}: {source}")]
    Container {
        /// Which part.
        part: &'static str,
        /// Why.
        source: ContainerError,
    },
    /// Snapshot and deltas do not give the content the manifest names.
    #[error("{part}: {source}")]
    Content {
        /// Which part.
        part: &'static str,
        /// Why.
        source: ContentError,
    },
}

impl BundleError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::NoHeader | Self::Header(_) | Self::Parts { .. } | Self::Length { .. } => "malformed",
            Self::Unsupported { .. } => "unsupported",
            Self::OtherRoot { .. } => "untrusted",
            Self::Unproved { .. } => "digest-mismatch",
            Self::Root { source, .. } => source.code(),
            Self::Manifest(error) => error.code(),
            Self::Container { source, .. } => source.code(),
            Self::Content { source, .. } => source.code(),
        }
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "bundle-too-large",
            Self::NoHeader => "bundle-without-header",
            Self::Header(error) => error.detail(),
            Self::Parts { .. } => "bundle-parts",
            Self::Length { .. } => "bundle-length",
            Self::Unsupported { .. } => "format",
            Self::OtherRoot { .. } => "bundle-root",
            Self::Unproved { .. } => "unproved-lines",
            Self::Root { source, .. } => source.detail(),
            Self::Manifest(error) => error.detail(),
            Self::Container { source, .. } => source.detail(),
            Self::Content { source, .. } => source.detail(),
        }
    }
}

impl From<FramingError> for BundleError {
    fn from(error: FramingError) -> Self {
        Self::Manifest(error.into())
    }
}

/// The parts of a bundle file as they stand in it. None of them is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Root files with their numbers, from the pinned one on.
    pub roots: Vec<(u64, &'a [u8])>,
    /// The manifest file.
    pub manifest: &'a [u8],
    /// A stored snapshot, of this version or an older one.
    pub snapshot: &'a [u8],
    /// Stored deltas that lead from it to this version.
    pub deltas: Vec<&'a [u8]>,
}

impl Parts<'_> {
    /// Writes the file. Limits are those of reading.
    pub fn write(&self) -> Result<Vec<u8>, BundleError> {
        let names = self.roots.iter().map(|(number, _)| format!("root/{number}"));
        let names = names.chain(["manifest".to_owned(), "snapshot".to_owned()]);
        let names = names.chain(self.deltas.iter().map(|_| "delta".to_owned()));
        let parts = self
            .bytes()
            .zip(names)
            .map(|(bytes, name)| Json::Array(vec![Json::from(name), Json::from(bytes.len() as u64)]));
        let header = Json::object([("format", Json::from(BUNDLE_FORMAT)), ("parts", parts.collect())]);
        let mut file = header.to_string().into_bytes();
        file.push(b'\n');
        self.bytes().for_each(|bytes| file.extend_from_slice(bytes));
        UnverifiedBundle::parse(&file)?;
        Ok(file)
    }

    fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        let roots = self.roots.iter().map(|(_, bytes)| *bytes);
        roots.chain([self.manifest, self.snapshot]).chain(self.deltas.iter().copied())
    }
}

/// A stored snapshot of `content` for a bundle of `manifest`, where the fetched one is not at hand: after deltas, when
/// a cache is compacted.
///
/// A loader takes a snapshot as long as the one the manifest names for that one, so this never has that length
/// without being it.
pub fn compress_snapshot(manifest: &Manifest, content: &Content) -> Result<Vec<u8>, ContainerError> {
    let raw = content.raw();
    let named = manifest.snapshot();
    for level in (1..=ZSTD_LEVEL).rev() {
        let (stored, object) = encode_zstd_level(&raw, level)?;
        if object.size != named.size || object.sha256 == named.sha256 {
            return Ok(stored);
        }
    }
    Err(ContainerError::Compressor)
}

/// A file that is cut like a bundle. Nothing in it is proved until it is loaded.
#[derive(Debug, Clone)]
pub struct UnverifiedBundle<'a>(Parts<'a>);

/// What a part of the header says.
enum Part {
    Root(u64),
    Manifest,
    Snapshot,
    Delta,
}

impl<'a> UnverifiedBundle<'a> {
    /// Cuts a file by its header line. Every byte belongs to exactly one part.
    pub fn parse(file: &'a [u8]) -> Result<Self, BundleError> {
        within("file", file.len(), MAX_BUNDLE_BYTES as u64)?;
        let start = file.get(..=MAX_BUNDLE_HEADER_BYTES).unwrap_or(file);
        let end = memchr::memchr(b'\n', start).ok_or(BundleError::NoHeader)?;
        let (header, rest) = file.split_at_checked(end).ok_or(BundleError::NoHeader)?;
        let sizes = read_header(header)?;

        let mut rest = rest.get(1..).unwrap_or_default();
        let actual = rest.len() as u64;
        let expected = sizes.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
        if expected != actual {
            return Err(BundleError::Length { expected, actual });
        }
        let mut parts = Parts { roots: Vec::new(), manifest: &[], snapshot: &[], deltas: Vec::new() };
        let mut delta_bytes = 0_usize;
        for (part, size) in sizes {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let Some((bytes, after)) = rest.split_at_checked(size) else {
                return Err(BundleError::Length { expected, actual });
            };
            rest = after;
            match part {
                Part::Root(number) => {
                    within("root", size, MAX_FILE_BYTES as u64)?;
                    parts.roots.push((number, bytes));
                }
                Part::Manifest => {
                    within("manifest", size, MAX_FILE_BYTES as u64)?;
                    parts.manifest = bytes;
                }
                Part::Snapshot => {
                    within("snapshot", size, MAX_STORED_BYTES)?;
                    parts.snapshot = bytes;
                }
                Part::Delta => {
                    delta_bytes = delta_bytes.saturating_add(size);
                    within("deltas", delta_bytes, MAX_STORED_BYTES)?;
                    parts.deltas.push(bytes);
                }
            }
        }
        Ok(Self(parts))
    }

    /// The parts, to copy them into another file. Not one of them is proved.
    pub const fn parts(&self) -> &Parts<'a> {
        &self.0
    }

    /// Verifies everything, from the pin down to the content hash: the only way to a [`Verified`].
    pub fn load(&self, pin: &Pin, stream: &Stream) -> Result<Verified, BundleError> {
        let root = self.load_root(pin)?;
        let manifest = UnverifiedManifest::parse(self.0.manifest)?.verify(&root, stream)?;
        if manifest.root() != root.number() {
            // With more than one root: the manifest is checked against the one it names, and is `superseded` if the
            // last has a higher epoch (FORMAT T-2.9).
            return Err(BundleError::OtherRoot { named: manifest.root(), last: root.number() });
        }
        // A client stores what is proved and no more, so anything else was put there.
        if manifest.file() != self.0.manifest {
            return Err(BundleError::Unproved { part: "manifest" });
        }
        let content = self.load_content(&manifest)?;
        Ok(Verified { root, manifest, content })
    }

    fn load_root(&self, pin: &Pin) -> Result<Root, BundleError> {
        let mut trusted: Option<Root> = None;
        for &(number, file) in &self.0.roots {
            let read = |file| UnverifiedRoot::parse(file).map_err(RootError::from);
            let root = match &trusted {
                None => read(file).and_then(|root| root.verify_pinned(pin)),
                Some(trusted) => read(file).and_then(|root| root.verify_successor(trusted)),
            };
            let root = root.map_err(|source| BundleError::Root { number, source })?;
            if root.number() != number {
                let source = RootError::Number { expected: number, offered: root.number() };
                return Err(BundleError::Root { number, source });
            }
            if root.file() != file {
                return Err(BundleError::Unproved { part: "root" });
            }
            trusted = Some(root);
        }
        trusted.ok_or(BundleError::Parts { index: 0 })
    }

    fn load_content(&self, manifest: &Manifest) -> Result<Content, BundleError> {
        let fault = |part| move |source| BundleError::Content { part, source };
        let unpack = |part, stored, caps| {
            decode_frame(stored, caps).map_err(|source| BundleError::Container { part, source })
        };
        // A client may store what it compressed itself, which the content hash proves. A snapshot as long as the one
        // the manifest names is that one, or it was altered in a bit that unpacking does not notice.
        let named = manifest.snapshot();
        if self.0.deltas.is_empty() && named.size == self.0.snapshot.len() as u64 {
            let as_named = named.check(self.0.snapshot);
            as_named.map_err(|source| BundleError::Container { part: "snapshot", source })?;
        }
        let raw = unpack("snapshot", self.0.snapshot, Caps::SNAPSHOT)?;
        let mut content = Content::parse(&raw).map_err(fault("snapshot"))?;
        // All deltas together unpack to no more than a snapshot may.
        let mut raw_left = MAX_RAW_BYTES;
        for stored in &self.0.deltas {
            let raw = unpack("delta", stored, Caps { stored: MAX_STORED_BYTES, raw: raw_left })?;
            raw_left = raw_left.saturating_sub(raw.len() as u64);
            let delta = DeltaLines::parse(&raw).map_err(fault("delta"))?;
            (content, _) = content.apply(&delta).map_err(fault("delta"))?;
        }
        content.check(manifest.lines(), manifest.content()).map_err(fault("content"))?;
        Ok(content)
    }
}

fn within(part: &'static str, size: usize, cap: u64) -> Result<(), BundleError> {
    let size = size as u64;
    if size > cap { Err(BundleError::TooLarge { part, size, cap }) } else { Ok(()) }
}

/// Reads `parts`: one or more roots with rising numbers, the manifest, the snapshot, deltas.
fn read_header(header: &[u8]) -> Result<Vec<(Part, u64)>, BundleError> {
    let json = payload::parse(header).map_err(BundleError::Header)?;
    let members = payload::Members::of(&json).map_err(BundleError::Header)?;
    let format = members.text("format").map_err(BundleError::Header)?;
    if format != BUNDLE_FORMAT {
        return Err(BundleError::Unsupported { format: format.chars().take(64).collect() });
    }
    let mut parts: Vec<(Part, u64)> = Vec::new();
    for (index, json) in members.array("parts").map_err(BundleError::Header)?.iter().enumerate() {
        let wrong = BundleError::Parts { index };
        let Some([name, size]) = json.as_array() else { return Err(wrong) };
        let (Some(name), Some(size)) = (name.as_str(), size.as_integer()) else { return Err(wrong) };
        let Ok(size) = u64::try_from(size) else { return Err(wrong) };
        let part = match (name, parts.last().map(|(part, _)| part)) {
            ("manifest", Some(Part::Root(_))) => Part::Manifest,
            ("snapshot", Some(Part::Manifest)) => Part::Snapshot,
            ("delta", Some(Part::Snapshot | Part::Delta)) => Part::Delta,
            (name, last) => {
                let number = name.strip_prefix("root/").and_then(root_number);
                match (number, last) {
                    (Some(number), None) => Part::Root(number),
                    (Some(number), Some(Part::Root(last))) if number.checked_sub(*last) == Some(1) => {
                        Part::Root(number)
                    }
                    _ => return Err(wrong),
                }
            }
        };
        parts.push((part, size));
        let roots = parts.iter().filter(|(part, _)| matches!(part, Part::Root(_))).count();
        let deltas = parts.iter().filter(|(part, _)| matches!(part, Part::Delta)).count();
        if roots > MAX_BUNDLE_ROOTS || deltas > MAX_BUNDLE_DELTAS {
            return Err(wrong);
        }
    }
    if !matches!(parts.last(), Some((Part::Snapshot | Part::Delta, _))) {
        return Err(BundleError::Parts { index: parts.len() });
    }
    Ok(parts)
}

/// A bundle whose every part is proved: what an SDK starts from.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The trusted root.
    pub root: Root,
    /// The manifest.
    pub manifest: Manifest,
    /// The content it names.
    pub content: Content,
}

impl Verified {
    /// What it is, as plain data to print.
    pub fn describe(&self) -> Json<'static> {
        Json::object([("root", self.root.describe()), ("manifest", self.manifest.describe())])
    }
}
