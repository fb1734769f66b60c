//! Squall's event loop.
