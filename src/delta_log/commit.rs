//! Commit JSON to actions ("Delta Log Entries").
//!
//! Two readings of the same lines. [`rare_actions`] looks at each line's first
//! key and parses the few lines that a snapshot wants. [`decode`] walks every
//! line once and copies the wanted values of `add` and the keys of `add` and
//! `remove` straight into columns; everything else is skipped, checked to be
//! JSON. Both read a JSON checkpoint too: its lines are actions all the same.
//!
//! The work is cut into decode units by bytes alone ([`plan`]), so that the
//! cut, and with it every batch, is the same whatever the number of threads: a
//! run of small commits is one unit, a big commit is several, each the lines
//! that begin in its share of the file.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::file_columns::{DeletionVector, FileBuilders, deletion_vector};
use super::json::{Cursor, Fault, RawStr, SURROGATE, Scan, Text};
use crate::actions::{
    ActionKey, FileColumns, FileField, FileFields, KeyHasher, RareAction, RareKind,
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

/// The decode units of `texts`, in the order that replay wants them, newest
/// first: so are the shares of one commit, and the commits of one run.
pub(crate) fn plan(texts: Vec<LogText>) -> impl Iterator<Item = Vec<TextSlice>> + Send {
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

/// The decoded file actions of a unit.
pub(crate) struct FileActions {
    /// One row an `add`, in the order of `keys`.
    pub(crate) adds: FileColumns,
    /// Every `add` and `remove`, in the order of the slices and of their lines.
    pub(crate) keys: Vec<ActionKey>,
    /// For each slice, its version and where its keys end.
    pub(crate) ends: Vec<(u64, usize)>,
}

/// Decodes the file actions of a unit: `want` are the columns, the path always
/// among them.
pub(crate) fn decode(
    storage: &dyn Storage,
    unit: &[TextSlice],
    want: FileFields,
    hasher: &KeyHasher,
    memory: &Memory,
) -> Result<FileActions> {
    let bytes = unit.iter().map(TextSlice::bytes).sum::<u64>();
    let mut decoder = Decoder::new(want, hasher, usize::try_from(bytes).unwrap_or(0), memory);
    let mut ends = Vec::with_capacity(unit.len());
    for slice in unit {
        let (lines, base) = slice.lines(storage)?;
        let fail = |at: usize, e: Error| slice.error(storage, base, &lines, at, &e);
        let text = utf8(&lines).map_err(|(at, e)| fail(at, e))?;
        decoder.lines(text).map_err(|fault| fail(fault.at, Error::corrupt(fault.what)))?;
        ends.push((slice.text.version, decoder.keys.len()));
    }
    Ok(FileActions { adds: decoder.adds.finish()?, keys: decoder.keys, ends })
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
    let (mut piece, mut size) = storage.read_head(name, WHOLE_BYTES_MAX)?;
    if size == 0 {
        // A file system without atomic creation can show a commit before its
        // content: look again. A commit without actions is one all the same.
        (piece, size) = storage.read_head(name, WHOLE_BYTES_MAX)?;
    }
    let mut at = piece.len() as u64;
    if at == size {
        return rare_actions_in(name, piece, kinds);
    }
    let mut scan = RareScan { name, kinds, actions: Vec::new(), line: 0 };
    let mut rest = Vec::new();
    loop {
        // The line that the last piece began ends with the first newline.
        let mut begin = 0;
        if !rest.is_empty() {
            begin = memchr::memchr(b'\n', &piece).map_or(piece.len(), |newline| newline + 1);
            rest.extend_from_slice(&piece[..begin]);
            if rest.ends_with(b"\n") {
                scan.lines(&rest, false)?;
                rest.clear();
            }
        }
        let whole = memchr::memrchr(b'\n', &piece[begin..]).map_or(0, |newline| newline + 1);
        scan.lines(&piece[begin..begin + whole], false)?;
        rest.extend_from_slice(&piece[begin + whole..]);
        if rest.len() as u64 > LINE_BYTES_MAX {
            return Err(Error::limit(format!(
                "{name}: a line has more than {LINE_BYTES_MAX} bytes"
            )));
        }
        if at == size {
            break;
        }
        let end = size.min(at + WHOLE_BYTES_MAX);
        drop(piece);
        piece = storage.read_range(name, at..end)?;
        at = end;
    }
    scan.lines(&rest, true)?;
    scan.check_once()?;
    Ok(Rare { actions: scan.actions, size, bytes: None })
}

/// As [`rare_actions`], of a file's whole content.
pub(crate) fn rare_actions_in(name: &str, content: Bytes, kinds: &[RareKind]) -> Result<Rare> {
    let mut scan = RareScan { name, kinds, actions: Vec::new(), line: 0 };
    scan.lines(&content, true)?;
    scan.check_once()?;
    Ok(Rare { actions: scan.actions, size: content.len() as u64, bytes: Some(content) })
}

/// More than this is read in pieces and not kept. A piece stays in the
/// processor's cache, where looking through it costs nearly nothing.
const WHOLE_BYTES_MAX: u64 = 512 << 10;

struct RareScan<'a> {
    name: &'a str,
    kinds: &'a [RareKind],
    actions: Vec<RareAction>,
    /// The number of the line before.
    line: usize,
}

impl RareScan<'_> {
    /// Looks at whole lines; `last` says that the file ends with them.
    fn lines(&mut self, text: &[u8], last: bool) -> Result<()> {
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
                self.line(line)
                    .map_err(|e| e.at(format_args!("{} line {}", self.name, self.line)))?;
            }
            begin = end + 1;
        }
        Ok(())
    }

    /// Whether a line that begins plainly with `key` has to be looked at
    /// closely: it is wanted, or it is no action that the protocol knows.
    fn is_wanted(&self, key: &[u8]) -> bool {
        let rare = std::str::from_utf8(key).ok().and_then(RareKind::from_key);
        match rare {
            Some(kind) => self.kinds.contains(&kind),
            None => !matches!(key, b"add" | b"remove" | b"cdc" | b"checkpointMetadata"),
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        let text = utf8(line).map_err(|(_, e)| e)?;
        let fault = |fault: Box<Fault>| Error::corrupt(fault.what);
        let mut cursor = Cursor::new(text);
        if cursor.peek().is_none() {
            return Ok(());
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
            let Some(kind) = kind else { continue };
            let action = serde_json::from_str(&text[begin..cursor.pos()])
                .and_then(|value| kind.action(value))
                .map_err(|e| {
                    Error::corrupt(format!("{}: {}", kind.key(), escaped(&e.to_string())))
                })?;
            self.actions.push(action);
        }
        cursor.end_of_line().map_err(fault)
    }

    /// "There can be at most one metadata action in a given version of the
    /// table", and one protocol ("Requirements for Writers").
    fn check_once(&self) -> Result<()> {
        for kind in [RareKind::Protocol, RareKind::Metadata] {
            let count = self.actions.iter().filter(|action| action.kind() == kind).count();
            if count > 1 {
                return Err(Error::corrupt(format!(
                    "{}: {count} {} actions where at most one is allowed",
                    self.name,
                    kind.key()
                )));
            }
        }
        Ok(())
    }
}

/// The one-pass scanner of file actions.
struct Decoder<'a> {
    hasher: &'a KeyHasher,
    adds: FileBuilders,
    keys: Vec<ActionKey>,
    /// The members of the last add and of the last remove.
    add_shape: Shape,
    remove_shape: Shape,
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

    /// What the member at `place` is, the cursor at its value; `None` after the
    /// last one.
    fn next(
        &mut self,
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
        let field = field_of(key);
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
    fn new(want: FileFields, hasher: &'a KeyHasher, bytes: usize, memory: &Memory) -> Self {
        Decoder {
            hasher,
            adds: FileBuilders::new(want, bytes, memory),
            keys: Vec::new(),
            add_shape: Shape::default(),
            remove_shape: Shape::default(),
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
            self.add(cursor)?;
            true
        } else if cursor.eat(b"{\"remove\":{") {
            self.remove(cursor)?;
            true
        } else {
            cursor.begin_object()?;
            false
        };
        let mut first = !plain;
        let mut has_action = plain;
        while let Some(key) = cursor.next_key(&mut first)? {
            let kind = ActionName::of(key);
            // A writer that spells the absent actions of a line as null is read.
            if kind != ActionName::Unknown && cursor.null()? {
                continue;
            }
            if kind != ActionName::Unknown && std::mem::replace(&mut has_action, true) {
                return Err(cursor.fault("a line holds more than one action"));
            }
            match kind {
                ActionName::Add => {
                    cursor.begin_object()?;
                    self.add(cursor)?;
                }
                ActionName::Remove => {
                    cursor.begin_object()?;
                    self.remove(cursor)?;
                }
                ActionName::Other | ActionName::Unknown => cursor.skip_value()?,
            }
        }
        Ok(())
    }

    /// Decodes an add, the cursor behind its `{`.
    fn add(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
        let begin = cursor.pos();
        let mut vector = None;
        let mut seen = FileFields::default();
        let mut place = 0;
        while let Some(field) = self.add_shape.next(cursor, &mut place)? {
            let Some(field) = field else {
                cursor.skip_value()?;
                continue;
            };
            if seen.has(field) {
                return Err(cursor.fault("an add has the same key twice, which is ambiguous"));
            }
            if cursor.null()? {
                continue;
            }
            seen.insert(field);
            match field {
                FileField::Path => self.adds.path.append_next(cursor)?,
                FileField::DeletionVector => vector = Some(deletion_vector(cursor)?),
                _ => self.adds.value(field, cursor, &mut self.value)?,
            }
        }
        if !seen.has(FileField::Path) {
            cursor.seek(begin);
            return Err(cursor.fault("an add has no path"));
        }
        self.adds.end_row(seen, vector.as_ref()).map_err(|what| cursor.fault(what))?;
        let path = self
            .hasher
            .path(self.adds.path.last(), &mut self.scratch)
            .map_err(|e| cursor.fault(e.message()))?;
        self.push_key(path, vector.as_ref(), true).map_err(|what| cursor.fault(what))
    }

    /// Decodes the key of a remove, the cursor behind its `{`.
    fn remove(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
        let begin = cursor.pos();
        let mut path = None;
        let mut vector = None;
        let mut place = 0;
        while let Some(field) = self.remove_shape.next(cursor, &mut place)? {
            match field {
                Some(field @ (FileField::Path | FileField::DeletionVector)) => {
                    let is_twice =
                        if field == FileField::Path { path.is_some() } else { vector.is_some() };
                    if is_twice {
                        let what = "a remove has the same key twice, which is ambiguous";
                        return Err(cursor.fault(what));
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
            return Err(cursor.fault("a remove has no path"));
        };
        let raw = raw.resolve(&mut self.value).map_err(|_| cursor.fault(SURROGATE))?;
        let path =
            self.hasher.path(raw, &mut self.scratch).map_err(|e| cursor.fault(e.message()))?;
        self.push_key(path, vector.as_ref(), false).map_err(|what| cursor.fault(what))
    }

    fn push_key(
        &mut self,
        path: u128,
        vector: Option<&DeletionVector<'_>>,
        is_add: bool,
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
        self.keys.push(ActionKey { file, path, is_add });
        Ok(())
    }
}

/// The actions that a line can hold, as far as reconciliation tells them apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ActionName {
    Add,
    Remove,
    Other,
    Unknown,
}

impl ActionName {
    fn of(key: RawStr<'_>) -> ActionName {
        match key.plain() {
            Some(b"add") => ActionName::Add,
            Some(b"remove") => ActionName::Remove,
            Some(
                b"commitInfo"
                | b"metaData"
                | b"protocol"
                | b"txn"
                | b"domainMetadata"
                | b"cdc"
                | b"sidecar"
                | b"checkpointMetadata",
            ) => ActionName::Other,
            Some(_) => ActionName::Unknown,
            // A name may be spelled with escapes, and is the same name.
            None if key.is("add") => ActionName::Add,
            None if key.is("remove") => ActionName::Remove,
            None => ActionName::Unknown,
        }
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
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
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

    fn decode_all(log: &Log) -> Result<Vec<FileActions>> {
        let hasher = KeyHasher::new();
        let want = FileFields::from_iter(FileField::ALL);
        plan(vec![log.text.clone()])
            .map(|unit| decode(log.storage.as_ref(), &unit, want, &hasher, &Memory::default()))
            .collect()
    }

    fn one(line: &str) -> Result<FileActions> {
        Ok(decode_all(&log(line.as_bytes()))?.remove(0))
    }

    #[test]
    fn a_deletion_vector_is_read_in_an_add_and_in_a_remove() {
        let dv = r#""deletionVector":{"storageType":"u","pathOrInlineDv":"<4$go)s!dkVsxG*vpLez","offset":1,"sizeInBytes":34,"cardinality":1}"#;
        let actions = one(&format!(
            "{{\"remove\":{{\"path\":\"a\",{dv}}}}}\n{{\"add\":{{\"path\":\"a\",{dv}}}}}\n"
        ))
        .unwrap();
        assert_eq!(actions.adds.rows, 1);
        assert_eq!(actions.keys[0].file, actions.keys[1].file);
        assert_ne!(actions.keys[0].file, actions.keys[0].path);
    }
}
