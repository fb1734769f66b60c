//! Squall.
