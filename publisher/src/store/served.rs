//! The headers that objects are served with, wherever that is: a bucket, a CDN, `flagstone dev`.

use super::ObjectPath;

/// The media type of every object.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// `Cache-Control` of a manifest: it is fresh for a second at the edge, and better old than none.
pub const MANIFEST_CACHE: &str =
    "public, max-age=0, s-maxage=1, stale-while-revalidate=0, stale-if-error=86400, no-transform";

/// `Cache-Control` of everything else, which never changes under its name.
pub const OBJECT_CACHE: &str = "public, max-age=31536000, immutable, no-transform";

/// `Cache-Control` of the object at this path.
pub fn cache_control(path: &ObjectPath) -> &'static str {
    if is_manifest(path) { MANIFEST_CACHE } else { OBJECT_CACHE }
}

/// Whether this is where a stream's manifest lies, the only object that changes (FORMAT T-3.7).
fn is_manifest(path: &ObjectPath) -> bool {
    let mut parts = path.as_str().split('/');
    let (before, end) = (parts.nth(2), (parts.next(), parts.nth(2), parts.next()));
    before == Some("v1") && end == (Some("e"), Some("manifest"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_fresh_for_a_second_and_everything_else_for_good() {
        for (path, cache) in [
            ("closed/shop/v1/e/production/server/manifest", MANIFEST_CACHE),
            ("open/shop/v1/e/production/client/manifest", MANIFEST_CACHE),
            ("closed/shop/v1/e/production/server/m/1-42", OBJECT_CACHE),
            ("closed/shop/v1/s/manifest", OBJECT_CACHE),
            ("closed/shop/v1/e/production/manifest", OBJECT_CACHE),
            ("closed/shop/v1/e/production/server/manifest/x", OBJECT_CACHE),
            ("open/shop/v1/root/1", OBJECT_CACHE),
        ] {
            assert_eq!(cache_control(&ObjectPath::parse(path).unwrap()), cache, "{path}");
        }
    }
}
