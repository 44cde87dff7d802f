//! Backends that answer nonsense.
