//! The file around a signed payload, and the bytes a signature covers (FORMAT T-1.1 to T-1.3).

use crate::base64;
use crate::key::Signature;
use crate::limits::{
    MAX_FILE_BYTES, MAX_FILE_LINES, MAX_MANIFEST_PAYLOAD_BYTES, MAX_ROOT_PAYLOAD_BYTES, MAX_SIGNATURES,
};

/// What is signed. The type is part of the signed bytes, so a root never passes for a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadType {
    /// `application/vnd.flagstone.manifest.v1+json`
    Manifest,
    /// `application/vnd.flagstone.root.v1+json`
    Root,
}

impl PayloadType {
    /// The media type that is signed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "application/vnd.flagstone.manifest.v1+json",
            Self::Root => "application/vnd.flagstone.root.v1+json",
        }
    }

    /// Longest payload of this type, in bytes.
    pub const fn max_payload_bytes(self) -> usize {
        match self {
            Self::Manifest => MAX_MANIFEST_PAYLOAD_BYTES,
            Self::Root => MAX_ROOT_PAYLOAD_BYTES,
        }
    }
}

/// The signed bytes: DSSE's pre-authentication encoding, `"DSSEv1" SP len(type) SP type SP len(body) SP body`.
pub fn pae(payload_type: PayloadType, body: &[u8]) -> Vec<u8> {
    let name = payload_type.as_str();
    let mut bytes = format!("DSSEv1 {} {name} {} ", name.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Why bytes are no manifest or root file at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// More bytes than a file may have.
    #[error("{size} bytes, at most {MAX_FILE_BYTES} are allowed")]
    FileTooLarge {
        /// Bytes given.
        size: usize,
    },
    /// A payload longer than its type allows.
    #[error("a payload of {size} bytes, at most {max} are allowed")]
    PayloadTooLarge {
        /// Bytes of line 1.
        size: usize,
        /// Most its type may have.
        max: usize,
    },
    /// Bytes that are not UTF-8: compressed on the way, or something else entirely.
    #[error("not UTF-8")]
    NotUtf8,
    /// A byte order mark at the start.
    #[error("begins with a byte order mark")]
    ByteOrderMark,
    /// A carriage return anywhere.
    #[error("holds a carriage return")]
    CarriageReturn,
    /// Cut off, or empty.
    #[error("the final newline is missing")]
    NoFinalNewline,
    /// More lines than a file may have.
    #[error("more than {MAX_FILE_LINES} lines")]
    TooManyLines,
    /// Line 1 is empty.
    #[error("the payload is empty")]
    NoPayload,
    /// Line 2 is no signature.
    #[error("no signature line after the payload")]
    NoSignature,
    /// More signatures than a file may have.
    #[error("more than {MAX_SIGNATURES} signature lines")]
    TooManySignatures,
    /// A line that begins like a signature and is none.
    #[error("line {line} is not exactly a signature line")]
    SignatureShape {
        /// Line, from 1.
        line: usize,
    },
    /// Signature lines out of order, or one keyid twice.
    #[error("the key id of line {line} is not above the one before")]
    SignatureOrder {
        /// Line, from 1.
        line: usize,
    },
    /// A line that begins like an inline delta and is none.
    #[error("line {line} is not exactly an inline line")]
    InlineShape {
        /// Line, from 1.
        line: usize,
    },
    /// A signature or inline line where only unknown lines may stand.
    #[error("line {line} does not belong there")]
    Misplaced {
        /// Line, from 1.
        line: usize,
    },
}

impl FramingError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        "malformed"
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::FileTooLarge { .. } => "file-too-large",
            Self::PayloadTooLarge { .. } => "payload-too-large",
            Self::NotUtf8 => "not-utf8",
            Self::ByteOrderMark => "byte-order-mark",
            Self::CarriageReturn => "carriage-return",
            Self::NoFinalNewline => "no-final-newline",
            Self::TooManyLines => "too-many-lines",
            Self::NoPayload => "no-payload",
            Self::NoSignature => "no-signature",
            Self::TooManySignatures => "too-many-signatures",
            Self::SignatureShape { .. } => "signature-shape",
            Self::SignatureOrder { .. } => "signature-order",
            Self::InlineShape { .. } => "inline-shape",
            Self::Misplaced { .. } => "misplaced-line",
        }
    }
}

/// A file cut into its parts. Nothing about it is proved yet.
#[derive(Debug, Clone)]
pub(crate) struct Framed<'a> {
    /// The file through its last signature line.
    pub(crate) signed: &'a [u8],
    pub(crate) payload_type: PayloadType,
    pub(crate) payload: &'a [u8],
    pub(crate) signatures: Vec<Signature>,
    pub(crate) inline: Option<InlineLine<'a>>,
}

/// The inline line, which no signature covers.
#[derive(Debug, Clone)]
pub(crate) struct InlineLine<'a> {
    pub(crate) bytes: Vec<u8>,
    /// The file through this line.
    pub(crate) through: &'a [u8],
}

const SIGNATURE_START: &str = "{\"keyid\":";
const INLINE_START: &str = "{\"inline\":";

impl<'a> Framed<'a> {
    pub(crate) fn parse(payload_type: PayloadType, file: &'a [u8]) -> Result<Self, FramingError> {
        if file.len() > MAX_FILE_BYTES {
            return Err(FramingError::FileTooLarge { size: file.len() });
        }
        let text = core::str::from_utf8(file).map_err(|_| FramingError::NotUtf8)?;
        if text.starts_with('\u{feff}') {
            return Err(FramingError::ByteOrderMark);
        }
        if text.contains('\r') {
            return Err(FramingError::CarriageReturn);
        }
        let text = text.strip_suffix('\n').ok_or(FramingError::NoFinalNewline)?;
        let mut lines = (1..).zip(text.split('\n')).peekable();
        if text.split('\n').count() > MAX_FILE_LINES {
            return Err(FramingError::TooManyLines);
        }

        let payload = lines.next().map_or("", |(_, line)| line).as_bytes();
        if payload.is_empty() {
            return Err(FramingError::NoPayload);
        }
        let max = payload_type.max_payload_bytes();
        if payload.len() > max {
            return Err(FramingError::PayloadTooLarge { size: payload.len(), max });
        }

        let mut signatures: Vec<Signature> = Vec::new();
        while let Some((line, text)) = lines.next_if(|(_, text)| text.starts_with(SIGNATURE_START)) {
            let signature = Signature::parse_line(text).ok_or(FramingError::SignatureShape { line })?;
            if signatures.last().is_some_and(|last| last.keyid >= signature.keyid) {
                return Err(FramingError::SignatureOrder { line });
            }
            if signatures.len() == MAX_SIGNATURES {
                return Err(FramingError::TooManySignatures);
            }
            signatures.push(signature);
        }
        if signatures.is_empty() {
            return Err(FramingError::NoSignature);
        }

        // The file from its start through that many lines.
        let first_lines = |count: usize| {
            let lengths = file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len);
            file.get(..lengths.take(count).sum()).unwrap_or_default()
        };
        let signed_lines = signatures.len().saturating_add(1);
        let mut inline = None;
        if let Some((line, text)) = lines.next_if(|(_, text)| text.starts_with(INLINE_START)) {
            let bytes = text.strip_prefix("{\"inline\":\"").and_then(|rest| rest.strip_suffix("\"}"));
            let bytes = bytes.and_then(base64::decode).ok_or(FramingError::InlineShape { line })?;
            inline = Some(InlineLine { bytes, through: first_lines(line) });
        }
        // Unsigned lines of a later version, harmless because nothing reads them.
        let known = |text: &str| text.starts_with(SIGNATURE_START) || text.starts_with(INLINE_START);
        if let Some((line, _)) = lines.find(|(_, text)| known(text)) {
            return Err(FramingError::Misplaced { line });
        }
        Ok(Self { signed: first_lines(signed_lines), payload_type, payload, signatures, inline })
    }
}

/// Puts a file together and reads it back, so that nothing is written that no client would take.
///
/// Signatures may come in any order; `inline` is the stored bytes of the first delta.
pub fn assemble(
    payload_type: PayloadType,
    payload: &[u8],
    signatures: &[Signature],
    inline: Option<&[u8]>,
) -> Result<Vec<u8>, FramingError> {
    let mut sorted = signatures.to_vec();
    sorted.sort_by_key(|signature| signature.keyid);

    let mut file = payload.to_vec();
    file.push(b'\n');
    for signature in sorted {
        file.extend_from_slice(signature.to_line().as_bytes());
        file.push(b'\n');
    }
    if let Some(bytes) = inline {
        file.extend_from_slice(format!("{INLINE_START}\"{}\"}}\n", base64::encode(bytes)).as_bytes());
    }
    let framed = Framed::parse(payload_type, &file)?;
    if framed.payload != payload {
        // A newline inside the payload: what was signed is not what a client would read.
        return Err(FramingError::NoSignature);
    }
    Ok(file)
}
