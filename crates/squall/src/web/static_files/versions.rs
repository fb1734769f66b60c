//! `Versions`: the hash of a file's content, computed once per change.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use ring::digest::{Context, SHA256};

use super::entry::File;
use crate::file_read::read_at;

/// How many hashes are kept.
const MAX_KEPT: usize = 10_000;
/// What is read at a time.
const CHUNK: usize = 64 << 10;

/// The hashes that are known. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions {
    known: Arc<Mutex<HashMap<String, Known>>>,
}

#[derive(Debug)]
struct Known {
    len: u64,
    modified: Option<SystemTime>,
    version: String,
}

impl Versions {
    /// The version of the file at `path`, if it is known and the file has not changed.
    pub(super) fn known(&self, path: &str, file: &File) -> Option<String> {
        let all = self.known.lock();
        let known = all.get(path)?;
        let same = (known.len, known.modified) == (file.len(), file.modified());
        same.then(|| known.version.clone())
    }

    /// The version of the file at `path`, read if it is not the one that is known; blocks.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn of(&self, path: &str, file: &File) -> io::Result<String> {
        if let Some(version) = self.known(path, file) {
            return Ok(version);
        }
        let (len, modified) = (file.len(), file.modified());
        let version = match file {
            File::Embedded(bytes) => hash(bytes),
            File::Open { file, .. } => {
                let mut context = Context::new(&SHA256);
                let (mut room, mut at) = (vec![0; CHUNK], 0);
                while at < len {
                    let read = read_at(file, &mut room, at)?;
                    context.update(room.get(..read).unwrap_or_default());
                    at += read as u64;
                }
                hex(context.finish().as_ref())
            }
        };
        let known = Known {
            len,
            modified,
            version: version.clone(),
        };
        let mut all = self.known.lock();
        if all.len() < MAX_KEPT || all.contains_key(path) {
            all.insert(path.to_owned(), known);
        }
        Ok(version)
    }
}

/// The beginning of the content's SHA-256: 64 bits, which nobody meets by accident.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&SHA256, bytes).as_ref())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(8).fold(String::new(), |mut hex, byte| {
        // A string takes everything.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
