//! The Flagstone control plane without a cloud: change log, lowering, build, publish.
