//! The bytes of Flagstone: manifests, roots, snapshots, deltas, bundles, and the one verifier.
