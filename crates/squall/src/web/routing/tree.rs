//! A tree of segments: finds the pattern that a path fits.
//!
//! At each segment what is more exact goes first: a literal, then parameters with a
//! literal or a constraint, then a plain parameter, then the rest of the path. A choice
//! that leads nowhere is taken back. Each node stands for one depth, so a lookup visits
//! none twice, and usually one per segment: its cost does not grow with the number of
//! routes.
//!
//! Literals are found by a hash of the segment, made while its end is looked for.

use std::borrow::Cow;

use squall_http::wire::uri;

use super::pattern::{Pattern, Segment, Shape, is_dots};
use super::spans::Spans;

/// Patterns, each with a number.
#[derive(Debug)]
pub(super) struct Tree {
    /// The first one is the root.
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// The pattern that ends here.
    leaf: Option<u32>,
    literals: Literals,
    /// Children by parameters that not every segment fits, the strictest first.
    shaped: Vec<(Shape, u32)>,
    /// The child by a parameter that any segment fits.
    plain: Option<u32>,
    /// Patterns that take the rest of the path, the strictest first.
    rests: Vec<(Shape, u32)>,
}

impl Node {
    /// Whether all that goes on from here is the rest of the path, or its end.
    fn takes_only_rests(&self) -> bool {
        self.literals.longest == 0 && self.shaped.is_empty() && self.plain.is_none()
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

/// A path that is looked for.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) path: &'a str,
    /// Whether a segment may be `.` or `..`. Most paths have neither a dot nor anything encoded.
    pub(super) may_hold_dots: bool,
}

impl Tree {
    /// Adds a pattern; the error is the number of the one that matches the same paths.
    pub(super) fn insert(&mut self, pattern: &Pattern, number: u32) -> Result<(), u32> {
        let mut at = 0;
        for segment in &pattern.segments {
            at = match segment {
                Segment::Literal(text) => self.literal(at, text),
                Segment::Param(param) if param.shape.is_plain() => self.plain(at),
                Segment::Param(param) => self.shaped(at, &param.shape),
                Segment::Rest(param) => return self.rest(at, &param.shape, number),
            };
        }
        let leaf = &mut self.nodes[at].leaf;
        match leaf {
            Some(known) => Err(*known),
            None => {
                *leaf = Some(number);
                Ok(())
            }
        }
    }

    fn grow(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    fn literal(&mut self, at: usize, text: &str) -> usize {
        let hash = Hash::of(text.as_bytes());
        if let Some(child) = self.nodes[at].literals.get(hash, text.as_bytes()) {
            return child as usize;
        }
        let child = self.grow();
        self.nodes[at].literals.insert(text, count(child));
        child
    }

    fn plain(&mut self, at: usize) -> usize {
        if let Some(child) = self.nodes[at].plain {
            return child as usize;
        }
        let child = self.grow();
        self.nodes[at].plain = Some(count(child));
        child
    }

    fn shaped(&mut self, at: usize, shape: &Shape) -> usize {
        let known = self.nodes[at]
            .shaped
            .iter()
            .find(|(known, _)| known == shape);
        if let Some((_, child)) = known {
            return *child as usize;
        }
        let child = self.grow();
        add(&mut self.nodes[at].shaped, shape, count(child));
        child
    }

    fn rest(&mut self, at: usize, shape: &Shape, number: u32) -> Result<(), u32> {
        let rests = &mut self.nodes[at].rests;
        if let Some((_, known)) = rests.iter().find(|(known, _)| known == shape) {
            return Err(*known);
        }
        add(rests, shape, number);
        Ok(())
    }

    /// The number of the pattern that a path fits; `spans` gets its parameters.
    pub(super) fn find(&self, sought: Sought<'_>, spans: &mut Spans) -> Option<u32> {
        let root = self.nodes.first()?;
        (sought.path.starts_with('/')).then(|| self.walk(root, &sought, 1, spans))?
    }

    /// Goes on at `from`, where a segment begins.
    fn walk(
        &self,
        node: &Node,
        sought: &Sought<'_>,
        from: usize,
        spans: &mut Spans,
    ) -> Option<u32> {
        let path = sought.path;
        let rest = path.as_bytes().get(from..)?;
        if node.takes_only_rests() && !matches!(rest, [] | [b'/', ..]) {
            return self.take_rest(node, sought, from, spans);
        }
        let mut hash = Hash::new();
        let (mut end, mut encoded) = (from, false);
        for byte in rest {
            match byte {
                b'/' => break,
                b'%' => encoded = true,
                _ => {}
            }
            hash.add(*byte);
            end += 1;
        }
        let segment = path.get(from..end)?;
        let literal = match encoded {
            false => node.literals.get(hash, segment.as_bytes()),
            true => node.literals.decoded(segment),
        };
        if let Some(found) = literal.and_then(|child| self.enter(child, sought, end, spans)) {
            return Some(found);
        }
        if node.shaped.is_empty() && node.plain.is_none() && node.rests.is_empty() {
            return None;
        }
        let is_dots = sought.may_hold_dots && is_dots(segment);
        if !segment.is_empty() && !is_dots {
            for (shape, child) in &node.shaped {
                let Some((start, stop)) = shape.within(segment) else {
                    continue;
                };
                spans.push(from + start, from + stop);
                if let Some(found) = self.enter(*child, sought, end, spans) {
                    return Some(found);
                }
                spans.pop();
            }
            if let Some(child) = node.plain {
                spans.push(from, end);
                if let Some(found) = self.enter(child, sought, end, spans) {
                    return Some(found);
                }
                spans.pop();
            }
        }
        self.take_rest(node, sought, from, spans)
    }

    /// Goes on behind a segment that ended at `end`.
    fn enter(&self, child: u32, sought: &Sought<'_>, end: usize, spans: &mut Spans) -> Option<u32> {
        let child = self.nodes.get(child as usize)?;
        match end == sought.path.len() {
            true => child.leaf,
            false => self.walk(child, sought, end + 1, spans),
        }
    }

    fn take_rest(
        &self,
        node: &Node,
        sought: &Sought<'_>,
        from: usize,
        spans: &mut Spans,
    ) -> Option<u32> {
        if node.rests.is_empty() {
            return None;
        }
        let path = sought.path;
        let rest = path.get(from..).filter(|rest| !rest.is_empty())?;
        if sought.may_hold_dots && rest.split('/').any(is_dots) {
            return None;
        }
        let fits = |shape: &Shape| shape.is_plain() || shape.within(rest).is_some();
        let (_, number) = node.rests.iter().find(|(shape, _)| fits(shape))?;
        spans.push(from, path.len());
        Some(*number)
    }
}

/// Adds a shape behind those that are as strict.
fn add(shapes: &mut Vec<(Shape, u32)>, shape: &Shape, number: u32) {
    let at = shapes.partition_point(|(known, _)| known.strictness() >= shape.strictness());
    shapes.insert(at, (shape.clone(), number));
}

/// No program has four billion routes.
pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// FNV-1a. What it is asked for comes from the network, what it holds does not: nobody
/// can fill a table of literals with collisions.
#[derive(Debug, Clone, Copy)]
struct Hash(u32);

impl Hash {
    const fn new() -> Self {
        Self(0x811c_9dc5)
    }

    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }

    fn of(text: &[u8]) -> Self {
        let mut hash = Self::new();
        for byte in text {
            hash.add(*byte);
        }
        hash
    }
}

/// The literal children of a node: an open table, at most half full.
#[derive(Debug, Default)]
struct Literals {
    /// A power of two of them, or none.
    slots: Vec<Option<(Box<str>, u32)>>,
    len: usize,
    /// The length of the longest.
    longest: usize,
}

impl Literals {
    fn get(&self, hash: Hash, text: &[u8]) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash.0 as usize & mask;
        while let Some((known, child)) = self.slots.get(at)? {
            if known.as_bytes() == text {
                return Some(*child);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// As [`get`](Self::get), for a segment with percent-encoded bytes. What is not
    /// UTF-8 is no literal.
    fn decoded(&self, raw: &str) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let text: Cow<'_, str> = uri::decode_segment(raw).ok()?;
        self.get(Hash::of(text.as_bytes()), text.as_bytes())
    }

    fn insert(&mut self, text: &str, child: u32) {
        self.len += 1;
        self.longest = self.longest.max(text.len());
        if self.len * 2 > self.slots.len() {
            let larger = (self.slots.len() * 2).max(4);
            let old = std::mem::replace(&mut self.slots, vec![None; larger]);
            for (text, child) in old.into_iter().flatten() {
                self.put(text, child);
            }
        }
        self.put(text.into(), child);
    }

    fn put(&mut self, text: Box<str>, child: u32) {
        let mask = self.slots.len() - 1;
        let mut at = Hash::of(text.as_bytes()).0 as usize & mask;
        while self.slots[at].is_some() {
            at = (at + 1) & mask;
        }
        self.slots[at] = Some((text, child));
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, Sought, Spans, Tree};

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for (number, path) in paths.iter().enumerate() {
            let pattern = Pattern::parse(path).expect(path);
            tree.insert(&pattern, u32::try_from(number).expect("few"))
                .expect(path);
        }
        tree
    }

    /// Which pattern, and the parameters.
    fn find(tree: &Tree, path: &str) -> Option<(u32, String)> {
        let mut spans = Spans::default();
        let sought = Sought {
            path,
            may_hold_dots: true,
        };
        let number = tree.find(sought, &mut spans)?;
        let params: Vec<_> = spans.iter().map(|span| span.of(path)).collect();
        Some((number, params.join(",")))
    }

    #[test]
    fn the_more_exact_goes_first_and_dead_ends_are_taken_back() {
        let tree = tree(&[
            "/users/{name}",
            "/users/me",
            "/users/{id:[0-9]+}",
            "/users/u{id}",
            "/{*rest}",
            "/users/me/{*rest}",
            "/users/{id:[0-9]+}/x",
            "/users/{name}/y",
        ]);
        for (path, number, params) in [
            ("/users/me", 1, ""),
            ("/users/12", 2, "12"),
            ("/users/u12", 3, "12"),
            ("/users/bob", 0, "bob"),
            ("/users/12/x", 6, "12"),
            ("/users/12/y", 7, "12"),
            ("/users/bob/x", 4, "users/bob/x"),
            ("/users/me/y", 5, "y"),
            ("/users/", 4, "users/"),
            ("/else", 4, "else"),
        ] {
            assert_eq!(
                find(&tree, path),
                Some((number, params.to_owned())),
                "{path}"
            );
        }
        assert_eq!(find(&tree, "/"), None);
        assert_eq!(find(&tree, "*"), None);
    }

    #[test]
    fn literals_match_however_they_are_encoded() {
        let tree = tree(&["/ping", "/a%2Fb", "/é/{x}", "/", "/a b/c"]);
        for (path, found) in [
            ("/%70ing", Some(0)),
            ("/%70%69%6E%67", Some(0)),
            ("/ping%2F", None),
            ("/a%2fb", Some(1)),
            ("/a/b", None),
            ("/%C3%A9/1", Some(2)),
            ("/%c3%a9/1", Some(2)),
            ("/%E9/1", None),
            ("/", Some(3)),
            ("//", None),
            ("/a%20b/c", Some(4)),
            ("/%2570ing", None),
        ] {
            assert_eq!(find(&tree, path).map(|(number, _)| number), found, "{path}");
        }
    }

    #[test]
    fn dots_are_no_parameter() {
        let tree = tree(&["/a/{x}", "/b/{*x}"]);
        for path in ["/a/..", "/a/%2e", "/b/../a", "/b/c/%2E%2e/d", "/b/.", "/a/"] {
            assert_eq!(find(&tree, path), None, "{path}");
        }
        for path in ["/b/..c/d.", "/b/caf%E9/x.%FF", "/a/caf%E9"] {
            assert!(find(&tree, path).is_some(), "{path}");
        }
    }

    #[test]
    fn the_same_paths_twice_are_a_conflict() {
        let mut tree = tree(&["/a/{x}", "/b/{*x}", "/c/{x:[0-9]}"]);
        for (path, with) in [("/a/{y}", 0), ("/b/{*y}", 1), ("/c/{y:[0-9]}", 2)] {
            let pattern = Pattern::parse(path).expect(path);
            assert_eq!(tree.insert(&pattern, 9), Err(with), "{path}");
        }
    }

    #[test]
    fn a_thousand_literals_are_all_found() {
        let paths: Vec<_> = (0..1000).map(|n| format!("/route{n}")).collect();
        let tree = tree(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        for (number, path) in paths.iter().enumerate() {
            assert_eq!(
                find(&tree, path).map(|(found, _)| found as usize),
                Some(number)
            );
        }
    }
}
