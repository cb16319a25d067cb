//! The engine for a TiKV cluster.
