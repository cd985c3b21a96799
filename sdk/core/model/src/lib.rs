//! The words of Flagstone: keys, values, contexts, canonical JSON, line heads.
