//! The Flagstone SDK for Rust: signed feature flags, evaluated in process.
