//! Commit JSON to actions ("Delta Log Entries").
//!
//! Two readings of the same lines. [`rare_actions`] looks at each line's first
//! key and parses the few lines that a snapshot wants; [`first_of`] is the same
//! look, and ends with the first of them. [`decode`] walks every
//! line once and copies what is [`Wanted`] of it, values into columns and keys
//! of files beside them; everything else is skipped, checked to be JSON. Both
//! read a JSON checkpoint too: its lines are actions all the same.
//!
//! The work is cut into decode units by bytes alone ([`plan`]), so that the
//! cut, and with it every batch, is the same whatever the number of threads: a
//! run of small commits is one unit, a big commit is several, each the lines
//! that begin in its share of the file.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::file_columns::{DeletionVector, FileBuilders, deletion_vector};
use super::json::{Cursor, Fault, RawStr, SURROGATE, Scan, Text};
use super::segment::CommitFile;
use crate::actions::{
    ActionKey, ActionKind, ActionKinds, FileColumns, FileField, FileFields, FileKind, KeyHasher,
    RareAction, RareKind, decode_path,
};
use crate::error::{Error, Result, escaped};
use crate::memory::Memory;
use crate::storage::Storage;

/// A commit of more bytes than this is cut into shares: a share stays in the
/// processor's cache from when it is read until it is decoded.
const SHARE_BYTES: u64 = 512 << 10;
/// A unit ends once it has this many bytes, of small commits or of shares of
/// one big commit. A smaller one would make batches of few rows.
const UNIT_BYTES: u64 = 1 << 20;
/// How far beyond its end a share is read at once, to find its last line's end.
const BEYOND_BYTES: u64 = 8 << 10;
/// The longest line that is read: one action should not cost unbounded memory.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// A commit, or a JSON checkpoint, as a segment names it.
#[derive(Debug, Clone)]
pub(crate) struct LogText {
    pub(crate) name: Arc<str>,
    pub(crate) version: u64,
    pub(crate) size: u64,
    /// The content, where it has been read and kept.
    pub(crate) bytes: Option<Bytes>,
}

/// A commit, or a compaction and what it stands for.
#[derive(Debug, Clone)]
pub(crate) struct CommitText {
    pub(crate) text: LogText,
    /// Newest first; empty if the text is a commit's.
    pub(crate) compacted: Vec<LogText>,
}

impl CommitText {
    pub(crate) fn of_commit(text: LogText) -> CommitText {
        CommitText { text, compacted: Vec::new() }
    }

    /// Whether a compaction is worth reading. It is decoded whole before any of
    /// it counts, because one that is bad must not count at all: so it has to be
    /// small enough for that, and so have the commits that would then be read in
    /// its place. Others are decoded in parallel, as commits are.
    pub(crate) fn saves_work(&self) -> bool {
        const COMPACTION_BYTES_MAX: u64 = 8 << 20;
        const COMMITS_BYTES_MAX: u64 = 64 << 20;
        let commits = self.compacted.iter().map(|text| text.size).sum::<u64>();
        self.text.size > 0
            && self.text.size < commits
            && self.text.size <= COMPACTION_BYTES_MAX
            && commits <= COMMITS_BYTES_MAX
    }
}

/// One commit of a unit, or a share of it.
#[derive(Debug, Clone)]
pub(crate) struct TextSlice {
    pub(crate) text: LogText,
    /// The share: the lines that begin in it.
    pub(crate) range: Range<u64>,
}

/// In which order commits are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    OldestFirst,
}

/// The decode units of `texts`, which are in `order`; so are the shares of one
/// commit, and the commits of one run. Lines are always in the order of the file.
pub(crate) fn plan(
    texts: Vec<LogText>,
    order: Order,
) -> impl Iterator<Item = Vec<TextSlice>> + Send {
    let mut texts = texts.into_iter().peekable();
    // The shares of a big commit that are still to come.
    let mut shares: Vec<TextSlice> = Vec::new();
    std::iter::from_fn(move || {
        let mut unit = Vec::new();
        let mut bytes = 0;
        while bytes < UNIT_BYTES {
            let slice = if let Some(share) = shares.pop() {
                share
            } else if let Some(text) =
                texts.next_if(|text| unit.is_empty() || text.size <= SHARE_BYTES)
            {
                if text.size > SHARE_BYTES {
                    let count = text.size.div_ceil(SHARE_BYTES);
                    let cut = |i: u64| text.size / count * i + (text.size % count).min(i);
                    let range = |i| cut(i)..cut(i + 1);
                    let text = &text;
                    shares.extend(
                        (0..count).map(|i| TextSlice { text: text.clone(), range: range(i) }),
                    );
                    if order == Order::OldestFirst {
                        shares.reverse();
                    }
                    continue;
                }
                TextSlice::whole(text)
            } else {
                break;
            };
            bytes += slice.bytes();
            unit.push(slice);
        }
        (!unit.is_empty()).then_some(unit)
    })
}

impl TextSlice {
    /// All of a text.
    pub(crate) fn whole(text: LogText) -> TextSlice {
        TextSlice { range: 0..text.size, text }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The lines of the share, and where in the commit they begin.
    fn lines(&self, storage: &dyn Storage) -> Result<(Bytes, u64)> {
        let LogText { name, bytes, .. } = &self.text;
        let size = self.text.size;
        let Range { start, end } = self.range;
        if start == 0 && end == size {
            let bytes = match bytes {
                Some(bytes) => bytes.clone(),
                None => storage.read(name)?,
            };
            if bytes.len() as u64 != size {
                return Err(Error::storage(format!(
                    "{name}: {} bytes where there were {size} when the snapshot was opened: the \
                     file was replaced",
                    bytes.len()
                )));
            }
            return Ok((bytes, 0));
        }
        let read = |range: Range<u64>| match bytes {
            Some(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
            None => storage.read_range(name, range),
        };
        // From the byte before, to see whether a line begins with the share; and
        // somewhat beyond, because the last line goes on to its end there.
        let from = start.saturating_sub(1);
        let mut read_end = size.min(end + BEYOND_BYTES);
        let head = read(from..read_end)?;
        let share = (end - from) as usize;
        let first = if start == 0 {
            0
        } else {
            match memchr::memchr(b'\n', &head[..share]) {
                Some(at) if at + 1 < share => at + 1,
                // No line begins here: a long one of an earlier share goes through.
                _ => return Ok((Bytes::new(), start)),
            }
        };
        let base = from + first as u64;
        if let Some(at) = memchr::memchr(b'\n', &head[share - 1..]) {
            return Ok((head.slice(first..share + at), base));
        }
        let mut lines = head.slice(first..).to_vec();
        while read_end < size {
            let more = read(read_end..size.min(read_end + (1 << 20)))?;
            read_end += more.len() as u64;
            match memchr::memchr(b'\n', &more) {
                Some(newline) => {
                    lines.extend_from_slice(&more[..=newline]);
                    break;
                }
                None => lines.extend_from_slice(&more),
            }
            if read_end - end > LINE_BYTES_MAX {
                return Err(Error::limit(format!(
                    "{name}: a line has more than {LINE_BYTES_MAX} bytes"
                )));
            }
        }
        Ok((Bytes::from(lines), base))
    }

    /// An error at `at` bytes into the lines that begin at `base`, with the
    /// file's name and the line's number. Counting lines is left to here, where
    /// something is wrong already.
    fn error(&self, storage: &dyn Storage, base: u64, lines: &[u8], at: usize, e: &Error) -> Error {
        let mut number = 1 + memchr::memchr_iter(b'\n', &lines[..at.min(lines.len())]).count();
        let mut from = 0;
        while from < base {
            let to = base.min(from + (1 << 20));
            let before = match &self.text.bytes {
                Some(bytes) => Ok(bytes.slice(from as usize..to as usize)),
                None => storage.read_range(&self.text.name, from..to),
            };
            let Ok(before) = before else { break };
            number += memchr::memchr_iter(b'\n', &before).count();
            from = to;
        }
        e.at(format_args!("{} line {number}", self.text.name))
    }
}

/// What is wanted of the actions of a unit. An action of which nothing is wanted
/// is not looked into, but for being JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// The actions that become a row each.
    pub(crate) rows: ActionKinds,
    /// The columns of the rows; the path is always among them.
    pub(crate) fields: FileFields,
    /// The file actions whose keys are hashed.
    pub(crate) keys: ActionKinds,
}

impl Wanted {
    /// What reconciliation needs: the keys of adds and removes. Of the two,
    /// those that are in `rows` are rows.
    pub(crate) fn reconciled(rows: ActionKinds, fields: FileFields) -> Wanted {
        let keys = ActionKinds::from_iter([ActionKind::ADD, ActionKind::REMOVE]);
        Wanted { rows, fields, keys }
    }

    fn has(&self, kind: FileKind) -> bool {
        let kind = ActionKind::File(kind);
        self.rows.has(kind) || self.keys.has(kind)
    }
}

/// The decoded actions of a unit.
pub(crate) struct Actions {
    /// In the order of the slices and of their lines, as are the keys.
    pub(crate) rows: FileColumns,
    pub(crate) keys: Vec<ActionKey>,
    /// For each slice, where it ends.
    pub(crate) ends: Vec<SliceEnd>,
}

/// Where a slice ends in the [`Actions`] of its unit.
pub(crate) struct SliceEnd {
    pub(crate) version: u64,
    pub(crate) rows: usize,
    pub(crate) keys: usize,
}

/// Decodes what is wanted of a unit.
pub(crate) fn decode(
    storage: &dyn Storage,
    unit: &[TextSlice],
    wanted: Wanted,
    hasher: &KeyHasher,
    memory: &Memory,
) -> Result<Actions> {
    let bytes = unit.iter().map(TextSlice::bytes).sum::<u64>();
    let mut decoder = Decoder::new(wanted, hasher, usize::try_from(bytes).unwrap_or(0), memory);
    let mut ends = Vec::with_capacity(unit.len());
    for slice in unit {
        let (lines, base) = slice.lines(storage)?;
        let fail = |at: usize, e: Error| slice.error(storage, base, &lines, at, &e);
        let text = utf8(&lines).map_err(|(at, e)| fail(at, e))?;
        decoder.lines(text).map_err(|fault| fail(fault.at, Error::corrupt(fault.what)))?;
        ends.push(SliceEnd {
            version: slice.text.version,
            rows: decoder.rows.rows(),
            keys: decoder.keys.len(),
        });
    }
    Ok(Actions { rows: decoder.rows.finish()?, keys: decoder.keys, ends })
}

fn utf8(bytes: &[u8]) -> Result<&str, (usize, Error)> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| {
        let at = simdutf8::compat::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
        (at, Error::corrupt("not UTF-8"))
    })
}

/// The first key of a line, where the line is plainly one action: `{"key":{`.
fn plain_key(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"{\"")?;
    let end = memchr::memchr(b'"', rest)?;
    rest[end..].starts_with(b"\":{").then_some(&rest[..end])
}

/// What one look at a commit finds.
pub(crate) struct Rare {
    pub(crate) actions: Vec<RareAction>,
    /// The content, if it was no more than the bytes to keep.
    pub(crate) bytes: Option<Bytes>,
    pub(crate) size: u64,
}

/// The rare actions of `kinds` in the commit or JSON checkpoint `name`, in the
/// order of their lines. Lines of other actions are not parsed, but a line that
/// is plainly no action, or is cut off, is an error.
pub(crate) fn rare_actions(storage: &dyn Storage, name: &str, kinds: &[RareKind]) -> Result<Rare> {
    let mut actions = Vec::new();
    let mut lines = Lines::new(name, kinds, |kind, value| collect(&mut actions, kind, value));
    let (size, bytes) = lines.of_file(storage, PIECE_BYTES)?;
    check_once(name, &actions)?;
    Ok(Rare { actions, size, bytes })
}

/// As [`rare_actions`], of a file's whole content.
pub(crate) fn rare_actions_in(name: &str, content: Bytes, kinds: &[RareKind]) -> Result<Rare> {
    let mut actions = Vec::new();
    let mut lines = Lines::new(name, kinds, |kind, value| collect(&mut actions, kind, value));
    // What collects never breaks off.
    let _ = lines.look(&content, true)?;
    check_once(name, &actions)?;
    Ok(Rare { actions, size: content.len() as u64, bytes: Some(content) })
}

/// The JSON text of the first action of `kind` in a commit, `None` where there
/// is none. Nothing behind it is looked at, and little of it is read: the first
/// line of a commit of gigabytes costs what that of a small one does.
pub(crate) fn first_of(
    storage: &dyn Storage,
    commit: &CommitFile,
    kind: RareKind,
) -> Result<Option<String>> {
    /// Beyond the first line of nearly every commit.
    const HEAD_BYTES: u64 = 16 << 10;
    let mut first = None;
    let kinds = [kind];
    let mut lines = Lines::new(&commit.name, &kinds, |_, value| {
        first = Some(value.to_owned());
        Ok(ControlFlow::Break(()))
    });
    match &commit.inline {
        Some(content) => drop(lines.look(content, true)?),
        None => drop(lines.of_file(storage, HEAD_BYTES)?),
    }
    Ok(first)
}

fn collect(actions: &mut Vec<RareAction>, kind: RareKind, value: &str) -> Result<ControlFlow<()>> {
    let action = serde_json::from_str(value)
        .and_then(|value| kind.action(value))
        .map_err(|e| Error::corrupt(format!("{}: {}", kind.key(), escaped(&e.to_string()))))?;
    actions.push(action);
    Ok(ControlFlow::Continue(()))
}

/// "There can be at most one metadata action in a given version of the
/// table", and one protocol ("Requirements for Writers").
fn check_once(name: &str, actions: &[RareAction]) -> Result<()> {
    for kind in [RareKind::Protocol, RareKind::Metadata] {
        let count = actions.iter().filter(|action| action.kind() == kind).count();
        if count > 1 {
            return Err(Error::corrupt(format!(
                "{name}: {count} {} actions where at most one is allowed",
                kind.key()
            )));
        }
    }
    Ok(())
}

/// More than this is read in pieces and not kept. A piece stays in the
/// processor's cache, where looking through it costs nearly nothing.
const PIECE_BYTES: u64 = 512 << 10;

/// A look through the lines of a file for actions of a few kinds.
struct Lines<'a, F> {
    name: &'a str,
    kinds: &'a [RareKind],
    /// Takes each of them, as the text of its JSON value; it may break off.
    found: F,
    /// The number of the line before.
    line: usize,
}

impl<'a, F> Lines<'a, F>
where
    F: FnMut(RareKind, &str) -> Result<ControlFlow<()>>,
{
    fn new(name: &'a str, kinds: &'a [RareKind], found: F) -> Self {
        Lines { name, kinds, found, line: 0 }
    }

    /// Looks through the file, of which `head` bytes are read first; gives its
    /// size, and its content if that was all of it.
    fn of_file(&mut self, storage: &dyn Storage, head: u64) -> Result<(u64, Option<Bytes>)> {
        let name = self.name;
        let (mut piece, mut size) = storage.read_head(name, head)?;
        if size == 0 {
            // A file system without atomic creation can show a commit before its
            // content: look again. A commit without actions is one all the same.
            (piece, size) = storage.read_head(name, head)?;
        }
        let mut at = piece.len() as u64;
        if at == size {
            let _ = self.look(&piece, true)?;
            return Ok((size, Some(piece)));
        }
        let mut rest = Vec::new();
        loop {
            // The line that the last piece began ends with the first newline.
            let mut begin = 0;
            if !rest.is_empty() {
                begin = memchr::memchr(b'\n', &piece).map_or(piece.len(), |newline| newline + 1);
                rest.extend_from_slice(&piece[..begin]);
                if rest.ends_with(b"\n") {
                    if self.look(&rest, false)?.is_break() {
                        return Ok((size, None));
                    }
                    rest.clear();
                }
            }
            let whole = memchr::memrchr(b'\n', &piece[begin..]).map_or(0, |newline| newline + 1);
            if self.look(&piece[begin..begin + whole], false)?.is_break() {
                return Ok((size, None));
            }
            rest.extend_from_slice(&piece[begin + whole..]);
            if rest.len() as u64 > LINE_BYTES_MAX {
                return Err(Error::limit(format!(
                    "{name}: a line has more than {LINE_BYTES_MAX} bytes"
                )));
            }
            if at == size {
                break;
            }
            let end = size.min(at + PIECE_BYTES);
            drop(piece);
            piece = storage.read_range(name, at..end)?;
            at = end;
        }
        let _ = self.look(&rest, true)?;
        Ok((size, None))
    }

    /// Looks at whole lines; `last` says that the file ends with them.
    fn look(&mut self, text: &[u8], last: bool) -> Result<ControlFlow<()>> {
        let mut begin = 0;
        while begin < text.len() {
            let newline = memchr::memchr(b'\n', &text[begin..]).map(|at| begin + at);
            let end = newline.unwrap_or(text.len());
            let line = &text[begin..end];
            self.line += 1;
            // The last line is where a commit that was cut off shows it: it is
            // checked whole.
            let is_cut = newline.is_none() || last && end + 1 == text.len();
            if is_cut || plain_key(line).is_none_or(|key| self.is_wanted(key)) {
                let looked = self
                    .line(line)
                    .map_err(|e| e.at(format_args!("{} line {}", self.name, self.line)))?;
                if looked.is_break() {
                    return Ok(looked);
                }
            }
            begin = end + 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether a line that begins plainly with `key` has to be looked at
    /// closely: it is wanted, or it is no action that the protocol knows.
    fn is_wanted(&self, key: &[u8]) -> bool {
        match ActionKind::from_key(key) {
            Some(ActionKind::Rare(kind)) => self.kinds.contains(&kind),
            Some(ActionKind::File(_)) => false,
            None => true,
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<ControlFlow<()>> {
        let text = utf8(line).map_err(|(_, e)| e)?;
        let fault = |fault: Box<Fault>| Error::corrupt(fault.what);
        let mut cursor = Cursor::new(text);
        let mut looked = ControlFlow::Continue(());
        if cursor.peek().is_none() {
            return Ok(looked);
        }
        cursor.begin_object().map_err(fault)?;
        let mut first = true;
        while let Some(key) = cursor.next_key(&mut first).map_err(fault)? {
            let kind = self.kinds.iter().copied().find(|kind| key.is(kind.key()));
            if cursor.null().map_err(fault)? {
                continue;
            }
            let begin = cursor.pos();
            cursor.skip_value().map_err(fault)?;
            if let Some(kind) = kind.filter(|_| looked.is_continue()) {
                looked = (self.found)(kind, &text[begin..cursor.pos()])?;
            }
        }
        // What breaks off is a whole line too.
        cursor.end_of_line().map_err(fault)?;
        Ok(looked)
    }
}

/// The one-pass scanner of actions.
struct Decoder<'a> {
    wanted: Wanted,
    hasher: &'a KeyHasher,
    rows: FileBuilders,
    keys: Vec<ActionKey>,
    /// The members of the last file action of each kind.
    shapes: [Shape; FileKind::COUNT],
    scratch: Vec<u8>,
    value: Text,
}

/// The keys of an action's members in the order of the line before.
///
/// A writer spells every line alike, so one comparison with what came last
/// time at this place does for searching the key's end and telling what it is.
#[derive(Default)]
struct Shape(Vec<(Vec<u8>, Option<FileField>)>);

impl Shape {
    /// More members than this are not remembered: no action has so many.
    const MEMBERS_MAX: usize = 32;

    /// What the member of `kind` at `place` is, the cursor at its value; `None`
    /// after the last one.
    fn next(
        &mut self,
        kind: FileKind,
        cursor: &mut Cursor<'_>,
        place: &mut usize,
    ) -> Scan<Option<Option<FileField>>> {
        let at = *place;
        *place += 1;
        if let Some((token, field)) = self.0.get(at)
            && cursor.eat(token)
        {
            return Ok(Some(*field));
        }
        let begin = cursor.pos();
        let Some(key) = cursor.next_key(&mut (at == 0))? else { return Ok(None) };
        let field = field_of(key).filter(|&field| kind.has(field));
        let member = (cursor.since(begin).to_vec(), field);
        if let Some(known) = self.0.get_mut(at) {
            *known = member;
        } else if at == self.0.len() && at < Shape::MEMBERS_MAX {
            self.0.push(member);
        }
        Ok(Some(field))
    }
}

impl<'a> Decoder<'a> {
    /// A decoder of about `bytes` of lines.
    fn new(wanted: Wanted, hasher: &'a KeyHasher, bytes: usize, memory: &Memory) -> Self {
        Decoder {
            wanted,
            hasher,
            rows: FileBuilders::new(wanted.fields, wanted.rows, bytes, memory),
            keys: Vec::new(),
            shapes: Default::default(),
            scratch: Vec::new(),
            value: Text::default(),
        }
    }

    fn lines(&mut self, text: &str) -> Scan<()> {
        let mut cursor = Cursor::new(text);
        loop {
            match cursor.peek() {
                None => return Ok(()),
                // An empty line.
                Some(b'\n') => cursor.end_of_line()?,
                Some(_) => {
                    self.line(&mut cursor)?;
                    cursor.end_of_line()?;
                }
            }
        }
    }

    fn line(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
        // What most lines begin with, to the byte.
        let plain = if cursor.eat(b"{\"add\":{") {
            self.file(FileKind::Add, cursor)?;
            true
        } else if cursor.eat(b"{\"remove\":{") {
            self.file(FileKind::Remove, cursor)?;
            true
        } else {
            cursor.begin_object()?;
            false
        };
        let mut first = !plain;
        let mut has_action = plain;
        while let Some(key) = cursor.next_key(&mut first)? {
            let Some(kind) = kind_of(key) else {
                cursor.skip_value()?;
                continue;
            };
            // A writer that spells the absent actions of a line as null is read.
            if cursor.null()? {
                continue;
            }
            if std::mem::replace(&mut has_action, true) {
                return Err(cursor.fault("a line holds more than one action"));
            }
            match kind {
                ActionKind::File(kind) if self.wanted.has(kind) => {
                    cursor.begin_object()?;
                    self.file(kind, cursor)?;
                }
                kind if self.wanted.rows.has(kind) => {
                    let begin = cursor.pos();
                    cursor.skip_value()?;
                    let body = cursor.since(begin);
                    self.rows.rare_row(kind, body).map_err(|what| cursor.fault(what))?;
                }
                _ => cursor.skip_value()?,
            }
        }
        Ok(())
    }

    /// Decodes what is wanted of a file action, the cursor behind its `{`.
    fn file(&mut self, kind: FileKind, cursor: &mut Cursor<'_>) -> Scan<()> {
        if self.wanted.rows.has(ActionKind::File(kind)) {
            self.row(kind, cursor)
        } else if self.wanted.keys.has(ActionKind::File(kind)) {
            self.key(kind, cursor)
        } else {
            cursor.seek(cursor.pos() - 1);
            cursor.skip_value()
        }
    }

    /// Decodes a row and its key, the cursor behind the `{`.
    fn row(&mut self, kind: FileKind, cursor: &mut Cursor<'_>) -> Scan<()> {
        let begin = cursor.pos();
        let mut vector = None;
        let mut seen = FileFields::default();
        let mut place = 0;
        while let Some(field) = self.shapes[kind as usize].next(kind, cursor, &mut place)? {
            let Some(field) = field else {
                cursor.skip_value()?;
                continue;
            };
            if seen.has(field) {
                return Err(cursor.fault(has_key_twice(kind)));
            }
            if cursor.null()? {
                continue;
            }
            seen.insert(field);
            match field {
                FileField::Path => self.rows.path.append_next(cursor)?,
                FileField::DeletionVector => vector = Some(deletion_vector(cursor)?),
                _ => self.rows.value(field, cursor, &mut self.value)?,
            }
        }
        if !seen.has(FileField::Path) {
            cursor.seek(begin);
            return Err(cursor.fault(has_no_path(kind)));
        }
        let action = ActionKind::File(kind);
        self.rows.end_row(action, seen, vector.as_ref()).map_err(|what| cursor.fault(what))?;
        let path = self.rows.path.last();
        if !self.wanted.keys.has(action) {
            let checked = decode_path(path, &mut self.scratch).map(|_| ());
            return checked.map_err(|e| cursor.fault(e.message()));
        }
        let path =
            self.hasher.path(path, &mut self.scratch).map_err(|e| cursor.fault(e.message()))?;
        self.push_key(kind, path, vector.as_ref()).map_err(|what| cursor.fault(what))
    }

    /// Decodes a key alone, the cursor behind the `{`.
    fn key(&mut self, kind: FileKind, cursor: &mut Cursor<'_>) -> Scan<()> {
        let begin = cursor.pos();
        let mut path = None;
        let mut vector = None;
        let mut place = 0;
        while let Some(field) = self.shapes[kind as usize].next(kind, cursor, &mut place)? {
            match field {
                Some(field @ (FileField::Path | FileField::DeletionVector)) => {
                    let is_twice =
                        if field == FileField::Path { path.is_some() } else { vector.is_some() };
                    if is_twice {
                        return Err(cursor.fault(has_key_twice(kind)));
                    }
                    if cursor.null()? {
                        continue;
                    }
                    if field == FileField::Path {
                        path = Some(cursor.string()?);
                    } else {
                        vector = Some(deletion_vector(cursor)?);
                    }
                }
                _ => cursor.skip_value()?,
            }
        }
        let Some(raw) = path else {
            cursor.seek(begin);
            return Err(cursor.fault(has_no_path(kind)));
        };
        let raw = raw.resolve(&mut self.value).map_err(|_| cursor.fault(SURROGATE))?;
        let path =
            self.hasher.path(raw, &mut self.scratch).map_err(|e| cursor.fault(e.message()))?;
        self.push_key(kind, path, vector.as_ref()).map_err(|what| cursor.fault(what))
    }

    fn push_key(
        &mut self,
        kind: FileKind,
        path: u128,
        vector: Option<&DeletionVector<'_>>,
    ) -> Result<(), &'static str> {
        let file = match vector {
            None => path,
            Some(vector) => {
                let mut inline = Text::default();
                let storage_type =
                    vector.storage_type.resolve(&mut self.value).map_err(|_| SURROGATE)?;
                let inline = vector.path_or_inline.resolve(&mut inline).map_err(|_| SURROGATE)?;
                let offset = vector.offset.map(i64::from);
                self.hasher.file(path, storage_type, inline, offset, &mut self.scratch)
            }
        };
        self.keys.push(ActionKey { file, path, is_add: kind == FileKind::Add });
        Ok(())
    }
}

#[cold]
fn has_key_twice(kind: FileKind) -> String {
    format!("{} has the same key twice, which is ambiguous", kind.noun())
}

#[cold]
fn has_no_path(kind: FileKind) -> String {
    format!("{} has no path", kind.noun())
}

/// The action that a line calls `key`: a name spelled with escapes is the same
/// name.
fn kind_of(key: RawStr<'_>) -> Option<ActionKind> {
    match key.plain() {
        Some(key) => ActionKind::from_key(key),
        None => ActionKind::from_key(key.resolve(&mut Text::default()).ok()?),
    }
}

fn field_of(key: RawStr<'_>) -> Option<FileField> {
    let mut scratch = Text::default();
    Some(match key.resolve(&mut scratch).ok()? {
        b"path" => FileField::Path,
        b"partitionValues" => FileField::PartitionValues,
        b"size" => FileField::Size,
        b"modificationTime" => FileField::ModificationTime,
        b"dataChange" => FileField::DataChange,
        b"stats" => FileField::Stats,
        b"tags" => FileField::Tags,
        b"deletionVector" => FileField::DeletionVector,
        b"baseRowId" => FileField::BaseRowId,
        b"defaultRowCommitVersion" => FileField::DefaultRowCommitVersion,
        b"clusteringProvider" => FileField::ClusteringProvider,
        b"deletionTimestamp" => FileField::DeletionTimestamp,
        b"extendedFileMetadata" => FileField::ExtendedFileMetadata,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Int64Type};

    use super::*;
    use crate::storage;

    struct Log {
        _dir: tempfile::TempDir,
        storage: Arc<dyn Storage>,
        text: LogText,
    }

    fn log(content: &[u8]) -> Log {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("_delta_log")).unwrap();
        let name = "_delta_log/00000000000000000000.json";
        std::fs::write(dir.path().join(name), content).unwrap();
        let storage = storage::open(dir.path().to_str().unwrap(), &Memory::default()).unwrap();
        let size = content.len() as u64;
        let text = LogText { name: name.into(), version: 0, size, bytes: None };
        Log { _dir: dir, storage, text }
    }

    fn all_fields() -> FileFields {
        FileFields::from_iter(FileField::ALL)
    }

    fn decode_as(log: &Log, order: Order, wanted: Wanted) -> Result<Vec<Actions>> {
        let hasher = KeyHasher::new();
        plan(vec![log.text.clone()], order)
            .map(|unit| decode(log.storage.as_ref(), &unit, wanted, &hasher, &Memory::default()))
            .collect()
    }

    fn one(line: &str, wanted: Wanted) -> Result<Actions> {
        let log = log(line.as_bytes());
        Ok(decode_as(&log, Order::NewestFirst, wanted)?.remove(0))
    }

    /// As a listing wants it: rows of adds, keys of adds and removes.
    fn listed() -> Wanted {
        Wanted::reconciled(ActionKinds::from_iter([ActionKind::ADD]), all_fields())
    }

    /// Rows of `kinds`, and no keys.
    fn rows_of(kinds: impl IntoIterator<Item = ActionKind>) -> Wanted {
        let rows = ActionKinds::from_iter(kinds);
        Wanted { rows, fields: all_fields(), keys: ActionKinds::default() }
    }

    fn names(actions: &Actions) -> Vec<&'static str> {
        (0..actions.rows.rows).map(|row| actions.rows.kind(row).key()).collect()
    }

    fn texts(actions: &Actions, field: FileField) -> Vec<Option<String>> {
        let column = actions.rows.column(field).unwrap().as_string::<i32>();
        column.iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn numbers(actions: &Actions, field: FileField) -> Vec<Option<i64>> {
        let column = actions.rows.column(field).unwrap();
        let column = arrow::compute::cast(column, &DataType::Int64).unwrap();
        column.as_primitive::<Int64Type>().iter().collect()
    }

    const DV: &str = r#""deletionVector":{"storageType":"u","pathOrInlineDv":"<4$go)s!dkVsxG*vpLez","offset":1,"sizeInBytes":34,"cardinality":1}"#;

    /// One of each action, and lines that are none.
    fn every_action() -> String {
        [
            r#"{"commitInfo":{"operation" : "WRITE","n":1.50}}"#,
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#,
            r#"{"metaData":{"id":"x"}}"#,
            r#"{"txn":{"appId":"a\u0062","version":1}}"#,
            r#"{"domainMetadata":{"domain":"d","configuration":"","removed":false}}"#,
            "",
            "{}",
            r#"{"unknown":{"path":"no"}}"#,
            r#"{"add":{"path":"a","size":1,"modificationTime":2,"partitionValues":{},"dataChange":true,"clusteringProvider":"liquid","deletionTimestamp":"not of an add","unknown":[]}}"#,
            &format!(
                r#"{{"remove":{{"path":"b","deletionTimestamp":3,"extendedFileMetadata":true,"partitionValues":{{"p":"1"}},"size":4,"stats":"{{\"numRecords\":5}}","tags":{{"k":"v"}},"baseRowId":6,"defaultRowCommitVersion":7,"dataChange":false,"clusteringProvider":8,{DV}}}}}"#
            ),
            r#"{"cdc":{"path":"c","size":9,"partitionValues":{},"dataChange":false,"stats":10}}"#,
            r#"{ "txn" : null, "remove" : {"path":"d\u002fe"} }"#,
        ]
        .join("\n")
    }

    #[test]
    fn each_wanted_action_is_a_row_in_the_order_of_the_lines() {
        let actions = one(&every_action(), rows_of(ActionKind::ALL)).unwrap();
        let rare = ["commitInfo", "protocol", "metaData", "txn", "domainMetadata"];
        assert_eq!(names(&actions), [&rare[..], &["add", "remove", "cdc", "remove"]].concat());
        let text = |text: &str| Some(text.to_owned());
        let after_rare = |files: [Option<String>; 4]| [vec![None; 5], files.to_vec()].concat();
        assert_eq!(
            texts(&actions, FileField::Path),
            after_rare([text("a"), text("b"), text("c"), text("d/e")])
        );
        assert_eq!(
            texts(&actions, FileField::Body),
            [
                text(r#"{"operation" : "WRITE","n":1.50}"#),
                text(r#"{"minReaderVersion":1,"minWriterVersion":2}"#),
                text(r#"{"id":"x"}"#),
                text(r#"{"appId":"a\u0062","version":1}"#),
                text(r#"{"domain":"d","configuration":"","removed":false}"#),
                None,
                None,
                None,
                None,
            ]
        );
        let file_numbers = |field| numbers(&actions, field)[5..].to_vec();
        for (field, expected) in [
            (FileField::Size, [Some(1), Some(4), Some(9), None]),
            (FileField::ModificationTime, [Some(2), None, None, None]),
            (FileField::DeletionTimestamp, [None, Some(3), None, None]),
            (FileField::ExtendedFileMetadata, [None, Some(1), None, None]),
            (FileField::DataChange, [Some(1), Some(0), Some(0), None]),
            (FileField::NumRecords, [None, Some(5), None, None]),
            (FileField::BaseRowId, [None, Some(6), None, None]),
            (FileField::DefaultRowCommitVersion, [None, Some(7), None, None]),
        ] {
            assert_eq!(file_numbers(field), expected, "{field:?}");
        }
        // What a kind of action does not have is ignored in it, whatever it is.
        let provider = texts(&actions, FileField::ClusteringProvider);
        assert_eq!(provider, after_rare([text("liquid"), None, None, None]));
        let stats = texts(&actions, FileField::Stats);
        assert_eq!(stats, after_rare([None, text(r#"{"numRecords":5}"#), None, None]));
        let vectors = actions.rows.column(FileField::DeletionVector).unwrap();
        assert_eq!((vectors.null_count(), vectors.is_valid(6)), (8, true));
        assert!(actions.keys.is_empty());
        assert_eq!((actions.ends[0].rows, actions.ends[0].keys), (9, 0));
    }

    #[test]
    fn what_is_not_wanted_is_no_row_and_is_not_looked_into() {
        // A size that is none, and a path twice, in actions that nobody wants.
        let lines = [
            r#"{"add":{"path":"a","size":"x"}}"#,
            r#"{"remove":{"path":"a","path":"b"}}"#,
            r#"{"commitInfo":5}"#,
            r#"{"cdc":{"path":"c"}}"#,
        ]
        .join("\n");
        let actions = one(&lines, rows_of([ActionKind::CDC])).unwrap();
        assert_eq!(names(&actions), ["cdc"]);
        for kind in [ActionKind::ADD, ActionKind::REMOVE] {
            assert!(one(&lines, rows_of([kind])).is_err(), "{kind:?}");
        }
        // But it is JSON all the same.
        let cut = r#"{"add":{"path":"a","size":}}"#;
        assert!(one(cut, rows_of([ActionKind::CDC])).is_err());

        let listed = one(&every_action(), listed()).unwrap();
        assert_eq!(names(&listed), ["add"]);
        assert_eq!(
            listed.keys.iter().map(|key| key.is_add).collect::<Vec<_>>(),
            [true, false, false]
        );
    }

    #[test]
    fn what_makes_an_add_corrupt_makes_a_remove_and_a_cdc_corrupt_that_is_a_row() {
        for (kind, noun) in [("add", "an add"), ("remove", "a remove"), ("cdc", "a cdc")] {
            for (members, what) in [
                (r#""path":"a","size":-5"#, "negative"),
                (r#""path":"a","size":12.5"#, "whole number"),
                (r#""path":"a","size":9223372036854775808"#, "whole number"),
                (r#""path":"a","path":"b""#, "same key twice"),
                (r#""path":"a","size":1,"size":1"#, "same key twice"),
                (r#""path":null"#, "no path"),
                (r#""size":1"#, "no path"),
                (r#""path":"""#, "is empty"),
                (r#""path":"a%00b""#, "NUL"),
                (r#""path":"../a""#, "climbs out"),
            ] {
                let line = format!(r#"{{"{kind}":{{{members}}}}}"#);
                let error = one(&line, rows_of(ActionKind::ALL)).map(|_| ()).unwrap_err();
                assert!(error.message().contains(what), "{line}: {error}");
                assert!(error.message().contains("line 1"), "{line}: {error}");
                if what == "no path" || what == "same key twice" {
                    assert!(error.message().contains(noun), "{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_line_that_holds_two_actions_is_an_error_whatever_is_wanted() {
        for line in [r#"{"txn":{},"cdc":{"path":"a"}}"#, r#"{"add":{"path":"a"},"txn":{}}"#] {
            for wanted in [listed(), rows_of(ActionKind::ALL), rows_of([])] {
                let error = one(line, wanted).map(|_| ()).unwrap_err();
                assert!(error.message().contains("more than one action"), "{error}");
            }
        }
    }

    #[test]
    fn an_action_whose_name_is_spelled_with_escapes_is_that_action() {
        let lines = r#"{"\u0061dd":{"path":"a"}}
{"c\u0064c":{"path":"b"}}
{"\u0074xn":{}}"#;
        let actions = one(lines, rows_of(ActionKind::ALL)).unwrap();
        assert_eq!(names(&actions), ["add", "cdc", "txn"]);
    }

    #[test]
    fn the_shares_of_a_big_commit_come_in_the_order_asked_for() {
        let count = 20_000;
        let line = |i| match i % 3 {
            0 => format!("{{\"add\":{{\"path\":\"{i:08}\",\"size\":{i}}}}}\n"),
            1 => format!("{{\"remove\":{{\"path\":\"{i:08}\",\"size\":{i}}}}}\n"),
            _ => format!("{{\"txn\":{{\"appId\":\"{:060}\",\"version\":{i}}}}}\n", 0),
        };
        let content: String = (0..count).map(line).collect();
        assert!(content.len() as u64 > 2 * SHARE_BYTES);
        let log = log(content.as_bytes());
        let wanted = rows_of(ActionKind::ALL);

        let oldest_first = decode_as(&log, Order::OldestFirst, wanted).unwrap();
        let paths = oldest_first.iter().flat_map(|unit| texts(unit, FileField::Path));
        let expected = (0..count).map(|i| (i % 3 != 2).then(|| format!("{i:08}")));
        assert!(paths.eq(expected));

        let newest_first = decode_as(&log, Order::NewestFirst, wanted).unwrap();
        let first = &newest_first[0];
        let last_slice = first.ends[0].rows;
        assert!(0 < last_slice && last_slice < first.rows.rows);
        assert_eq!(numbers(first, FileField::Size)[last_slice - 1], Some(19_999));
        let rows = |units: &[Actions]| units.iter().map(|unit| unit.rows.rows).sum::<usize>();
        assert_eq!((rows(&newest_first), rows(&oldest_first)), (count, count));
    }

    #[test]
    fn a_deletion_vector_is_read_in_an_add_and_in_a_remove() {
        let lines = format!(
            "{{\"remove\":{{\"path\":\"a\",{DV}}}}}\n{{\"add\":{{\"path\":\"a\",{DV}}}}}\n"
        );
        let both = ActionKinds::from_iter([ActionKind::ADD, ActionKind::REMOVE]);
        for wanted in [listed(), Wanted::reconciled(both, all_fields())] {
            let actions = one(&lines, wanted).unwrap();
            assert_eq!(actions.keys[0].file, actions.keys[1].file);
            assert_ne!(actions.keys[0].file, actions.keys[0].path);
            let expected = if wanted.rows == both { 2 } else { 1 };
            assert_eq!(actions.rows.rows, expected);
        }
    }

    #[test]
    fn a_compaction_saves_work_only_where_it_is_small_and_its_commits_are_not_many() {
        const MIB: u64 = 1 << 20;
        let saves_work = |size: u64, commits: &[u64]| {
            let text = |size: u64| LogText { name: "c".into(), version: 0, size, bytes: None };
            let compacted = commits.iter().map(|&size| text(size)).collect();
            CommitText { text: text(size), compacted }.saves_work()
        };
        assert!(saves_work(1, &[1, 1]) && saves_work(99, &[50, 50]));
        assert!(!saves_work(0, &[50, 50]) && !saves_work(100, &[50, 50]));
        assert!(saves_work(8 * MIB, &[9 * MIB, 0]) && !saves_work(8 * MIB + 1, &[9 * MIB, 0]));
        assert!(saves_work(1, &[32 * MIB; 2]) && !saves_work(1, &[32 * MIB, 32 * MIB + 1]));
    }
}
